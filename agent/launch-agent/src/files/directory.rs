//! Directories of root's own, opened and made without following links.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fchmod, fstat, mkdirat};

/// Flags with which a directory is opened: a link in its place is refused.
pub(super) const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Opens a directory of root's without following a link at its end.
pub(crate) fn open_directory(at: impl AsFd, name: &Path) -> io::Result<OwnedFd> {
    Ok(openat(at, name, DIRECTORY, Mode::empty())?)
}

/// Makes the directory where it is absent, and opens it. It must be this process's own.
pub(crate) fn make_own_directory(at: impl AsFd, name: &Path, mode: Mode) -> io::Result<OwnedFd> {
    match mkdirat(at.as_fd(), name, mode) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let fd = open_directory(at, name)?;
    let stat = fstat(&fd)?;
    if stat.st_uid != nix::unistd::geteuid().as_raw() {
        let message = format!("{} belongs to user {}", name.display(), stat.st_uid);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    // The umask may have taken bits away that slots need.
    fchmod(&fd, mode)?;
    Ok(fd)
}
