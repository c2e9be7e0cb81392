//! Files that share their blocks with another one until either is written to: what btrfs, XFS and
//! others call a reflink.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Makes a new file with the content of `source`, and opens it. It gets nothing else of it.
///
/// # Errors
/// There is something of the name (`AlreadyExists`), or these two cannot share: they are on
/// different file systems, or on one that cannot. Then there is no new file.
pub fn clone_file(source: &File, dir: &OwnedFd, name: &CStr) -> io::Result<File> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(dir, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
    if let Err(error) = rustix::fs::ioctl_ficlone(&file, source) {
        unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)?;
        return Err(error.into());
    }
    Ok(File::from(file))
}
