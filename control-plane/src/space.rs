//! Room on the disk of the data directory.
//!
//! On a full disk nothing can be acknowledged. So a server stops to take what it does not have to
//! take while there is still room for what is running: submits are refused and no task is handed
//! out, and what tasks send has the rest.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use nix::sys::statvfs::statvfs;

/// The disk of the data directory.
#[derive(Debug)]
pub(crate) struct Space {
    dir: PathBuf,
    min_free_bytes: u64,
}

impl Space {
    pub(crate) fn new(dir: PathBuf, min_free_bytes: u64) -> Self {
        Self { dir, min_free_bytes }
    }

    /// Returns the free bytes of the disk, where the system says.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        let stat = statvfs(&self.dir).ok()?;
        let free = u128::from(stat.blocks_available()) * u128::from(stat.fragment_size());
        u64::try_from(free).ok()
    }

    /// Returns true while there is too little room to begin anything. Where the system does not
    /// say, writing will.
    pub(crate) fn is_short(&self) -> bool {
        statvfs(&self.dir).is_ok_and(|stat| {
            let free = u128::from(stat.blocks_available()) * u128::from(stat.fragment_size());
            free < u128::from(self.min_free_bytes)
        })
    }
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
        assert!(Space::new(temp.path().to_owned(), u64::MAX).is_short());
        assert!(!Space::new(temp.path().to_owned(), 0).is_short());
    }
}
