//! Room on the disk of the data directory.
//!
//! On a full disk nothing can be acknowledged. So a server stops to take what it does not have to
//! take while there is still room for what is running: submits are refused and no task is handed
//! out; tasks that run wait with artifacts and archives, and their output has the rest.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, io};

use nix::sys::statvfs::statvfs;
use russet_text::format_size;

/// Largest reserve that nobody has asked for, in bytes.
const MAX_RESERVE: u64 = 1_000_000_000;

/// Part of a smaller disk that is its reserve then: a twentieth.
const RESERVE_PART: u64 = 20;

/// The disk of the data directory.
#[derive(Debug)]
pub(crate) struct Space {
    dir: PathBuf,
    /// Bytes that are to stay free; `None` for [`usual_reserve`].
    reserve: Option<u64>,
    was_short: AtomicBool,
}

/// Room on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Free bytes.
    pub free: u64,
    /// Bytes below which no task is given out.
    pub reserve: u64,
}

/// Returns the room on the disk of a directory, where the system says. Without a `reserve` it is the
/// usual one of that disk.
pub(crate) fn room_of(dir: &Path, reserve: Option<u64>) -> Option<Room> {
    let stat = statvfs(dir).ok()?;
    let bytes =
        |blocks: u128| u64::try_from(blocks * u128::from(stat.fragment_size())).unwrap_or(u64::MAX);
    let free = bytes(u128::from(stat.blocks_available()));
    let size = bytes(u128::from(stat.blocks()));
    Some(Room { free, reserve: reserve.unwrap_or_else(|| usual_reserve(size)) })
}

/// Less room than is to stay free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortage(Room);

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (free, reserve) = (format_size(self.0.free), format_size(self.0.reserve));
        write!(f, "the control plane's disk has {free} left, of a reserve of {reserve}")
    }
}

impl Space {
    pub(crate) fn new(dir: PathBuf, reserve: Option<u64>) -> Self {
        Self { dir, reserve, was_short: AtomicBool::new(false) }
    }

    /// Returns the free bytes of the disk, where the system says.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        room_of(&self.dir, self.reserve).map(|room| room.free)
    }

    /// Returns true while there is too little room to begin anything.
    pub(crate) fn is_short(&self) -> bool {
        self.shortage().is_some()
    }

    /// Returns what is missing while there is too little room to begin anything, for people who ask
    /// why tasks wait. Where the system does not say how much there is, writing will.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        let room = room_of(&self.dir, self.reserve)?;
        let shortage = (room.free < room.reserve).then_some(Shortage(room));
        // Once for each change, however many calls look.
        if self.was_short.swap(shortage.is_some(), Ordering::Relaxed) != shortage.is_some() {
            match &shortage {
                Some(shortage) => {
                    tracing::error!("{shortage}: no task is given out until there is room");
                }
                None => tracing::info!("the control plane's disk has room again"),
            }
        }
        shortage
    }
}

/// The reserve of a disk of `size` bytes, unless configured.
fn usual_reserve(size: u64) -> u64 {
    (size / RESERVE_PART).min(MAX_RESERVE)
}

/// Codes with which SQLite says that there is no room: `SQLITE_FULL`, and where a file could not
/// grow, `SQLITE_IOERR_WRITE` and `SQLITE_IOERR_SHMSIZE`; and PostgreSQL, `disk_full`.
const FULL_CODES: [&str; 4] = ["13", "778", "4874", "53100"];

/// Returns true where an error, or one of its causes, is that the disk is full.
pub(crate) fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let is_io = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        let is_database = |error: &sqlx::Error| {
            let code = error.as_database_error().and_then(|error| error.code());
            code.is_some_and(|code| FULL_CODES.contains(&&*code))
        };
        if error.downcast_ref().is_some_and(is_io) || error.downcast_ref().is_some_and(is_database)
        {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::ObjectError;

    #[test]
    fn a_full_disk_is_found_among_the_causes() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let store = object_store::Error::Generic { store: "x", source: Box::new(full()) };
        assert!(is_full(&ObjectError::Store(store)));
        assert!(!is_full(&io::Error::from(io::ErrorKind::NotFound)));
    }

    #[test]
    fn a_disk_is_short_below_what_is_wanted() {
        let temp = tempfile::tempdir().unwrap();
        let short = Space::new(temp.path().to_owned(), Some(u64::MAX)).shortage().unwrap();
        assert!(short.to_string().contains("of a reserve of"), "{short}");
        assert!(!Space::new(temp.path().to_owned(), Some(0)).is_short());
    }

    #[test]
    fn the_usual_reserve_is_a_gigabyte_or_a_twentieth_of_a_smaller_disk() {
        assert_eq!(usual_reserve(100_000_000), 5_000_000);
        assert_eq!(usual_reserve(2_000_000_000_000), 1_000_000_000);
    }
}
