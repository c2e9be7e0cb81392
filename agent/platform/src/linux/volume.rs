//! Volumes: those that forget whose a file is, and writing to their disks.

use std::io;
use std::path::{Path, PathBuf};

/// Writes what is in memory of the volume of a directory to its disk. True: it is written now.
///
/// # Errors
///
/// The directory cannot be opened, or the disk fails.
pub fn sync_volume(directory: &Path) -> io::Result<bool> {
    rustix::fs::syncfs(std::fs::File::open(directory)?)?;
    Ok(true)
}

/// Returns the volume of a path where it is mounted to ignore owners. Linux has no such option for
/// file systems that have owners; others are told by trying.
pub(crate) fn volume_without_owners(_path: &Path) -> io::Result<Option<PathBuf>> {
    Ok(None)
}
