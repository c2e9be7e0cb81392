//! Limits of what an archive may become.
//!
//! Threat: a few kilobytes can say that they are terabytes, or millions of files. Who made them may
//! want the disk of the machine full before anybody measures it.

use std::io;

use russet_text::format_size;

/// Bytes in the files of an archive for each of its own, at most. What people archive has 3 to 20;
/// nothing but zeros has 30,000.
const MAX_RATIO: u64 = 1_000;

/// Bytes that every archive may hold, however small it is.
const MIN_BYTES: u64 = 1 << 30;

/// Bytes in the files of one archive, at most: 1 TiB.
const MAX_BYTES: u64 = 1 << 40;

/// Entries of one archive, at most.
const MAX_ENTRIES: u64 = 10_000_000;

/// Bytes that an entry takes on disk, roughly, whatever is in it.
const ENTRY_BYTES: u64 = 512;

/// Bytes that a file takes besides its content, roughly: its last block is not full.
const FILE_BYTES: u64 = 4096;

/// What an archive may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that its files may hold, holes included.
    bytes: u64,
    /// Bytes that they may take on disk. `None`: as much as there is room.
    disk: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: MAX_BYTES, disk: None }
    }
}

impl Limits {
    /// Returns the limits of an archive of `size` compressed bytes, which may take `disk` bytes.
    #[must_use]
    pub fn of_archive(size: u64, disk: Option<u64>) -> Self {
        Self { bytes: size.saturating_mul(MAX_RATIO).clamp(MIN_BYTES, MAX_BYTES), disk }
    }

    /// Checks an archive so far, before its next content is written.
    pub(super) fn check(self, entries: u64, bytes: u64) -> io::Result<()> {
        if entries > MAX_ENTRIES {
            return Err(refused("the archive: it holds more than 10 million files".to_owned()));
        }
        if bytes > self.bytes {
            let most = format_size(self.bytes);
            return Err(refused(format!("the archive: it says that it holds more than {most}")));
        }
        Ok(())
    }

    /// The room on disk that is left at the begin.
    pub(super) fn room(self) -> Room {
        Room { all: self.disk, left: self.disk.unwrap_or(u64::MAX) }
    }
}

/// Room on disk for what is unpacked.
#[derive(Debug)]
pub(super) struct Room {
    all: Option<u64>,
    left: u64,
}

impl Room {
    /// Takes the room of an entry without its content.
    pub(super) fn take_entry(&mut self, size: u64, attributes: usize) -> io::Result<()> {
        let own = if size > 0 { FILE_BYTES } else { ENTRY_BYTES };
        self.take(own.saturating_add(attributes as u64))
    }

    /// Takes room, before something is written.
    pub(super) fn take(&mut self, bytes: u64) -> io::Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(refused(format!(
                "the archive needs more room than the {} that the task has left on disk\nhint: the \
                 owner of this runner sets the limit",
                format_size(self.all.unwrap_or_default())
            ))),
        }
    }
}

fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
