//! A directory that nobody else can enter or exchange.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

/// Makes a directory of this process's user alone. Its parent may be one where everybody can make
/// files, so one that somebody else made first is refused.
pub(crate) fn own_directory(path: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let meta = std::fs::symlink_metadata(path)?;
    let me = nix::unistd::geteuid().as_raw();
    if meta.is_dir() && meta.uid() == me && meta.mode() & 0o022 == 0 {
        return Ok(());
    }
    let message = format!("{} is not a directory that belongs to this user alone", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}
