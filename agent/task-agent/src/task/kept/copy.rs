//! Copying trees between a home and a set, by clones where the file system can.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{
    FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstat, fstatat, futimens, mkdirat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::symlinkat;
use russet_platform::{clone_file, os};
use xattr::FileExt as _;

use crate::archive::{is_kept, write_with_holes};
use crate::task::clean::files;

/// Directories in directories, at most. Each costs two descriptors and stack.
const MAX_LEVELS: usize = 100;

/// Entries of one copy, at most.
const MAX_ENTRIES: u64 = 5_000_000;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Direction of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Into a home: what is there stays.
    Home,
    /// Into a set, from which users of other slots read.
    Set,
}

/// Sum of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Copied {
    /// Entries.
    pub(super) entries: u64,
    /// Bytes on disk.
    pub(super) bytes: u64,
    /// Entries that are no file, directory or link, cannot be read, or lie too deep.
    pub(super) left_out: u64,
    /// Files whose blocks are shared with the original.
    pub(super) cloned: u64,
}

/// Reason why a copy ended before it was whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    /// It is larger than it may be.
    #[error("there is more in it than may be kept")]
    TooLarge,
    /// It took too long.
    #[error("it takes too long")]
    TooLong,
    /// The task is stopped.
    #[error("the task was stopped")]
    Stopped,
    /// A path cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The name, without the way to it.
        path: String,
        /// Cause.
        source: io::Error,
    },
}

/// A copy under way.
pub(super) struct Copier<'a> {
    pub(super) direction: Direction,
    /// Bytes that it may still take on disk.
    pub(super) room: u64,
    pub(super) until: Instant,
    pub(super) stopped: &'a AtomicBool,
    pub(super) copied: Copied,
    can_clone: bool,
    buffer: Vec<u8>,
}

impl<'a> Copier<'a> {
    pub(super) fn new(
        direction: Direction,
        room: u64,
        until: Instant,
        stopped: &'a AtomicBool,
    ) -> Self {
        let (copied, buffer) = (Copied::default(), vec![0; PIECE_BYTES]);
        Self { direction, room, until, stopped, copied, can_clone: true, buffer }
    }

    /// Copies an entry with all that is in it. One that goes away meanwhile was never there.
    pub(super) fn copy_entry(
        &mut self,
        from: &OwnedFd,
        name: &CStr,
        to: &OwnedFd,
        level: usize,
    ) -> Result<(), CopyError> {
        self.look_at_limits()?;
        let named = |source: io::Error| named(name, source);
        let stat = match fstatat(from, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(()),
            Err(error) => return Err(named(error.into())),
        };
        self.copied.entries += 1;
        match kind(&stat) {
            SFlag::S_IFDIR if level >= MAX_LEVELS => self.leave_out(),
            SFlag::S_IFDIR => return self.copy_directory(from, name, to, level),
            SFlag::S_IFREG => return self.copy_file(from, name, to),
            SFlag::S_IFLNK => self.copy_link(from, name, to, &stat).map_err(named)?,
            _ => self.leave_out(),
        }
        Ok(())
    }

    fn look_at_limits(&self) -> Result<(), CopyError> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(CopyError::Stopped);
        }
        if Instant::now() > self.until {
            return Err(CopyError::TooLong);
        }
        if self.copied.entries >= MAX_ENTRIES { Err(CopyError::TooLarge) } else { Ok(()) }
    }

    fn leave_out(&mut self) {
        self.copied.left_out += 1;
    }

    fn take_room(&mut self, bytes: u64) -> Result<(), CopyError> {
        self.room = self.room.checked_sub(bytes).ok_or(CopyError::TooLarge)?;
        self.copied.bytes += bytes;
        Ok(())
    }

    fn copy_directory(
        &mut self,
        from: &OwnedFd,
        name: &CStr,
        to: &OwnedFd,
        level: usize,
    ) -> Result<(), CopyError> {
        let named = |error: Errno| named(name, error.into());
        let source = match files::open_directory(from, name) {
            Ok(source) => source,
            Err(Errno::EACCES | Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {
                self.leave_out();
                return Ok(());
            }
            Err(error) => return Err(named(error)),
        };
        let stat = fstat(&source).map_err(named)?;
        // What is mounted in it is no part of it.
        if stat.st_dev != fstat(from).map_err(named)?.st_dev {
            self.leave_out();
            return Ok(());
        }
        let is_new = match mkdirat(to, name, Mode::S_IRWXU) {
            Ok(()) => true,
            Err(Errno::EEXIST) if self.direction == Direction::Home => false,
            Err(error) => return Err(named(error)),
        };
        self.take_room(files::allocated_bytes(&stat))?;
        let target = match files::open_directory(to, name) {
            Ok(target) => target,
            // A file or a link of the home's own is in its place.
            Err(Errno::ENOTDIR | Errno::ELOOP) if !is_new => {
                self.leave_out();
                return Ok(());
            }
            Err(error) => return Err(named(error)),
        };
        for inner in files::list_names(&source).map_err(|error| self::named(name, error))? {
            self.copy_entry(&source, &inner, &target, level + 1)?;
        }
        if is_new {
            fchmod(&target, self.permissions(&stat)).map_err(named)?;
            futimens(&target, &TimeSpec::UTIME_OMIT, &changed(&stat)).map_err(named)?;
        }
        Ok(())
    }

    fn copy_file(&mut self, from: &OwnedFd, name: &CStr, to: &OwnedFd) -> Result<(), CopyError> {
        // A FIFO that is put there now must not hold us up, nor a link lead elsewhere.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let source = match openat(from, name, flags, Mode::empty()) {
            Ok(source) => File::from(source),
            Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::EACCES | Errno::EPERM | Errno::ELOOP | Errno::ENXIO) => {
                self.leave_out();
                return Ok(());
            }
            Err(error) => return Err(named(name, error.into())),
        };
        let stat = fstat(&source).map_err(|error| named(name, error.into()))?;
        if kind(&stat) != SFlag::S_IFREG {
            self.leave_out();
            return Ok(());
        }
        let on_disk = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
        let Some(target) = self.fill_file(&source, on_disk, name, to)? else { return Ok(()) };
        set_attributes(&source, &target);
        let mode = self.permissions(&stat);
        fchmod(&target, mode)
            .or_else(|error| {
                // A clone has the flags of its original, `uchg` for one.
                if os::unprotect(to.as_fd(), name) { fchmod(&target, mode) } else { Err(error) }
            })
            .and_then(|()| futimens(&target, &TimeSpec::UTIME_OMIT, &changed(&stat)))
            .map_err(|error| named(name, error.into()))
    }

    /// Makes a file with the content of another one. `None`: the home has one of its own there.
    fn fill_file(
        &mut self,
        source: &File,
        on_disk: u64,
        name: &CStr,
        to: &OwnedFd,
    ) -> Result<Option<File>, CopyError> {
        if self.can_clone {
            match clone_file(source, to, name) {
                Ok(target) => {
                    self.copied.cloned += 1;
                    self.take_room(on_disk)?;
                    return Ok(Some(target));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return self.keep_existing(name);
                }
                // Whatever it is, writing says it too.
                Err(_) => self.can_clone = false,
            }
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        match openat(to, name, flags | OFlag::O_CLOEXEC, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(target) => {
                let mut target = File::from(target);
                self.write_content(source, &mut target, name)?;
                Ok(Some(target))
            }
            Err(Errno::EEXIST) => self.keep_existing(name),
            Err(error) => Err(named(name, error.into())),
        }
    }

    /// A name that is there already: in a home it is the home's own.
    fn keep_existing(&mut self, name: &CStr) -> Result<Option<File>, CopyError> {
        if self.direction == Direction::Home {
            self.leave_out();
            return Ok(None);
        }
        Err(named(name, io::ErrorKind::AlreadyExists.into()))
    }

    /// Long runs of zeros become holes: a file may be larger than any disk, and hold nothing.
    fn write_content(
        &mut self,
        mut source: &File,
        target: &mut File,
        name: &CStr,
    ) -> Result<(), CopyError> {
        let named = |error: io::Error| named(name, error);
        let (mut length, mut ends_in_hole) = (0_u64, false);
        loop {
            self.look_at_limits()?;
            let mut buffer = std::mem::take(&mut self.buffer);
            let count = source.read(&mut buffer).map_err(named);
            let piece = count.and_then(|count| {
                let piece = buffer.get(..count).unwrap_or_default();
                let hole = write_with_holes(target, piece).map_err(named)?;
                Ok((count, hole))
            });
            self.buffer = buffer;
            let (count, hole) = piece?;
            if count == 0 {
                break;
            }
            length += count as u64;
            ends_in_hole = hole;
            if !hole {
                self.take_room(count as u64)?;
            }
        }
        if ends_in_hole {
            target.set_len(length).map_err(named)?;
        }
        Ok(())
    }

    fn copy_link(
        &mut self,
        from: &OwnedFd,
        name: &CStr,
        to: &OwnedFd,
        stat: &FileStat,
    ) -> io::Result<()> {
        let target = readlinkat(from.as_fd(), name)?;
        match symlinkat(target.as_os_str(), to, name) {
            Ok(()) => {}
            Err(Errno::EEXIST) if self.direction == Direction::Home => {
                self.leave_out();
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        let flags = UtimensatFlags::NoFollowSymlink;
        Ok(utimensat(to, name, &TimeSpec::UTIME_OMIT, &changed(stat), flags)?)
    }

    fn permissions(&self, stat: &FileStat) -> Mode {
        Mode::from_bits_truncate(match self.direction {
            Direction::Home => (stat.st_mode & 0o777) | 0o400,
            Direction::Set => mode_in_set(stat.st_mode),
        })
    }
}

/// Returns the mode of an entry of a set: what its owner may read and run, everybody may. Nobody but
/// root reaches the set; users of other slots read what is opened for them. No special bits.
fn mode_in_set(mode: nix::libc::mode_t) -> nix::libc::mode_t {
    let is_directory = SFlag::from_bits_truncate(mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
    let owner = (mode & 0o700) | if is_directory { 0o700 } else { 0o400 };
    let others = owner & 0o500;
    owner | (others >> 3) | (others >> 6)
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

fn changed(stat: &FileStat) -> TimeSpec {
    TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec)
}

fn named(name: &CStr, source: io::Error) -> CopyError {
    CopyError::File { path: name.to_string_lossy().into_owned(), source }
}

/// Sets what a clone has already on macOS, and a file system takes. What it does not take was worth
/// less than the file.
fn set_attributes(source: &File, target: &File) {
    let Ok(names) = source.list_xattr() else { return };
    for name in names.filter(|name| name.to_str().is_some_and(is_kept)) {
        if let Ok(Some(value)) = source.get_xattr(&name)
            && let Err(error) = target.set_xattr(&name, &value)
        {
            tracing::debug!(%error, "an extended attribute is not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::mode_in_set;

    #[test]
    fn others_may_read_what_is_in_a_set_and_no_special_bit_comes_into_it() {
        for (mode, wanted) in [
            (0o100_600, 0o644),
            (0o100_700, 0o755),
            (0o100_444, 0o444),
            (0o104_755, 0o755),
            (0o102_777, 0o755),
            (0o100_000, 0o444),
            (0o040_700, 0o755),
            (0o040_000, 0o755),
            (0o041_777, 0o755),
        ] {
            assert_eq!(mode_in_set(mode), wanted, "{mode:o}");
        }
    }
}
