//! Files that share their blocks with another one until either is written to: clones, on APFS.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use rustix::fs::{CloneFlags, fclonefileat};

/// Makes a new file with the content of `source`, and opens it. It also has the permissions and
/// extended attributes of that.
///
/// # Errors
/// There is something of the name (`AlreadyExists`), or these two cannot share: they are on
/// different file systems, or on one that cannot. Then there is no new file.
pub fn clone_file(source: &File, dir: &OwnedFd, name: &CStr) -> io::Result<File> {
    fclonefileat(source, dir, name, CloneFlags::NOFOLLOW | CloneFlags::NOOWNERCOPY)?;
    // Who exchanges it now is of the same user, and gets what that user may do anyway.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    Ok(File::from(openat(dir, name, flags, Mode::empty())?))
}
