//! The directories on the way to an entry.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, fstat, fstatat, futimens, mkdirat};
use nix::sys::time::TimeSpec;

use super::{Meta, c_string, make_way, set_attributes};

/// An open directory on the way to the current entry.
pub(super) struct Level {
    pub(super) name: Vec<u8>,
    pub(super) fd: OwnedFd,
    /// Metadata that it gets once everything in it is there.
    pub(super) finish: Option<Meta>,
    /// Permissions that it had and gets back, where we had to take more.
    pub(super) restore: Option<Mode>,
}

/// Opens a directory that is there, and no link.
pub(super) fn open_dir(dir: impl AsFd, name: &CString) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(dir, name.as_c_str(), flags, Mode::empty())
}

/// Opens a directory in another one. What is no directory is replaced by one.
pub(super) fn open_or_make(dir: &OwnedFd, part: &[u8]) -> io::Result<Level> {
    let name = c_string(part)?;
    let mut restore = None;
    let fd = match open_dir(dir, &name) {
        Ok(fd) => fd,
        Err(Errno::ENOENT) => make_dir(dir, &name)?,
        // A link says ELOOP on Linux and macOS, or ENOTDIR.
        Err(Errno::ELOOP | Errno::ENOTDIR) => {
            make_way(dir, &name)?;
            make_dir(dir, &name)?
        }
        Err(Errno::EACCES) => {
            // A directory of ours that does not let us in, as one of a package cache may be.
            let stat = fstatat(dir, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
            restore = Some(Mode::from_bits_truncate(stat.st_mode & 0o777));
            // A link that is put there now leads to a file of the same user at worst.
            fchmodat(dir, name.as_c_str(), Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
            open_dir(dir, &name)?
        }
        Err(error) => return Err(error.into()),
    };
    if restore.is_none() {
        let stat = fstat(&fd)?;
        let ours = stat.st_uid == nix::unistd::geteuid().as_raw();
        if ours && stat.st_mode & 0o700 != 0o700 {
            let had = Mode::from_bits_truncate(stat.st_mode & 0o777);
            fchmod(&fd, had | Mode::S_IRWXU)?;
            restore = Some(had);
        }
    }
    Ok(Level { name: part.to_owned(), fd, finish: None, restore })
}

fn make_dir(dir: &OwnedFd, name: &CString) -> Result<OwnedFd, Errno> {
    match mkdirat(dir, name.as_c_str(), Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(Errno::EEXIST) => open_dir(dir, name),
        Err(error) => Err(error),
    }
}

/// Gives a directory what it is to have, now that everything in it is there.
pub(super) fn leave(level: Level) -> io::Result<u64> {
    let mut lost = 0;
    if let Some(meta) = level.finish {
        let file = File::from(level.fd);
        lost = set_attributes(&file, &meta);
        // Directories that somebody else made, such as `/opt`, are not ours to change.
        let ours = fstat(&file)?.st_uid == nix::unistd::geteuid().as_raw();
        if ours {
            fchmod(&file, meta.permissions())?;
            futimens(&file, &TimeSpec::UTIME_OMIT, &meta.time())?;
        }
    } else if let Some(mode) = level.restore {
        fchmod(&level.fd, mode)?;
    }
    Ok(lost)
}
