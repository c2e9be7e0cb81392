//! Putting entries of an archive into their places.
//!
//! Threat: the archive was made by somebody who wants a file written elsewhere than the names in it
//! say: by `..`, by an absolute name, through a link that an earlier entry made or that stands
//! there already, or by a hard link to a file that is not of the archive. So every name is taken
//! apart, each of its directories is opened in the one before and not through a link, and a file is
//! always made anew: what stands in its place is removed, never written to. All of this happens as
//! the slot's user, so even a mistake stays with what that user may write.

mod content;
mod directories;

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, fchmod, fstatat, futimens, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{LinkatFlags, UnlinkatFlags, linkat, symlinkat, unlinkat};
use xattr::FileExt as _;

use self::directories::{Level, leave, open_dir, open_or_make};
use super::attributes::is_kept;
use super::limits::Room;
use super::{LONGEST_NAME, MOST_LEVELS, PIECE};
use russet_platform::clone_file;

pub(crate) use content::write_with_holes;

/// Directories that the first part of a name stands for.
pub type Bases = Vec<(Vec<u8>, PathBuf)>;

/// Files that others are links to, at most.
const MOST_LINKED: usize = 1_000_000;

/// Metadata of an entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Meta {
    pub(super) mode: u32,
    /// Seconds and nanoseconds since 1970.
    pub(super) mtime: (i64, i64),
    pub(super) attributes: Vec<(String, Vec<u8>)>,
    /// Set if others are links to it.
    pub(super) is_linked: bool,
}

impl Meta {
    /// Without set-uid, set-gid and sticky: an archive gives nobody more than its user has.
    fn permissions(&self) -> Mode {
        Mode::from_bits_truncate((self.mode & 0o777) as nix::libc::mode_t)
    }

    fn time(&self) -> TimeSpec {
        TimeSpec::new(self.mtime.0 as nix::libc::time_t, self.mtime.1 as nix::libc::c_long)
    }
}

/// Destination of entries.
pub(super) struct Place {
    bases: Bases,
    /// From the base to the directory of the last entry.
    open: Vec<Level>,
    /// Names of files that may be linked to.
    linked: HashSet<Vec<u8>>,
    buffer: Vec<u8>,
    /// Room that is left on disk.
    room: Room,
    /// Attributes that the file system does not take.
    pub(super) lost_attributes: u64,
}

impl Place {
    pub(super) fn new(bases: Bases, room: Room) -> Self {
        let (open, linked, buffer) = (Vec::new(), HashSet::new(), vec![0; PIECE]);
        Self { bases, open, linked, buffer, room, lost_attributes: 0 }
    }

    /// Takes the room of an entry of `size` bytes without its content, before it is made.
    pub(super) fn take_entry(&mut self, size: u64, meta: &Meta) -> io::Result<()> {
        let attributes = meta.attributes.iter().map(|(name, value)| name.len() + value.len());
        self.room.take_entry(size, attributes.sum())
    }

    /// A directory, made where it is not there.
    pub(super) fn directory(&mut self, name: &[u8], meta: Meta) -> io::Result<()> {
        let parts = parts(name)?;
        self.enter(&parts)?;
        // Nobody's base is changed by what is put into it.
        if parts.len() > 1
            && let Some(level) = self.open.last_mut()
        {
            level.restore = None;
            level.finish = Some(meta);
        }
        Ok(())
    }

    /// A file with the next `size` bytes of `content`.
    pub(super) fn file(
        &mut self,
        name: &[u8],
        meta: &Meta,
        size: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let (dir, last) = self.parent(name)?;
        let mut file = new(dir, &last, create)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = content::write(&mut file, &mut buffer, size, content, &mut self.room);
        self.buffer = buffer;
        written?;
        self.finish_file(name, meta, &file)
    }

    /// A file with the content of another one, which it shares where the file system can; elsewhere
    /// it is copied.
    pub(super) fn clone_of(&mut self, name: &[u8], meta: &Meta, source: &File) -> io::Result<()> {
        let on_disk = source.metadata()?.blocks().saturating_mul(512);
        let (dir, last) = self.parent(name)?;
        match new(dir, &last, |dir, name| clone_file(source, dir, name)) {
            Ok(file) => {
                self.room.take(on_disk)?;
                self.finish_file(name, meta, &file)
            }
            // It is on another file system, say. Whatever it is, writing says it too.
            Err(_) => self.file(name, meta, source.metadata()?.len(), &mut &*source),
        }
    }

    /// Gives a file what it has besides its content.
    fn finish_file(&mut self, name: &[u8], meta: &Meta, file: &File) -> io::Result<()> {
        self.lost_attributes += set_attributes(file, meta);
        fchmod(file, meta.permissions())?;
        futimens(file, &TimeSpec::UTIME_OMIT, &meta.time())?;
        if meta.is_linked && self.linked.len() < MOST_LINKED {
            self.linked.insert(name.to_owned());
        }
        Ok(())
    }

    /// A symbolic link. Where it leads is its own affair: nothing here goes through it.
    pub(super) fn symlink(&mut self, name: &[u8], target: &[u8], meta: &Meta) -> io::Result<()> {
        let (dir, last) = self.parent(name)?;
        let target = c_string(target)?;
        match symlinkat(target.as_c_str(), dir, last.as_c_str()) {
            Err(Errno::EEXIST) => {
                make_way(dir, &last)?;
                symlinkat(target.as_c_str(), dir, last.as_c_str())?;
            }
            other => other?,
        }
        let flags = UtimensatFlags::NoFollowSymlink;
        utimensat(dir, last.as_c_str(), &TimeSpec::UTIME_OMIT, &meta.time(), flags)?;
        Ok(())
    }

    /// Another name for a file that this archive has made.
    pub(super) fn link(&mut self, name: &[u8], target: &[u8]) -> io::Result<()> {
        if !self.linked.contains(target) {
            return Err(refused("it is a link to a file that is not of the archive"));
        }
        let (from, from_name) = self.look_up(target)?;
        // What was made there may have been exchanged since.
        let stat = fstatat(&from, from_name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Err(refused("it is a link to what is no file"));
        }
        let (dir, last) = self.parent(name)?;
        let link =
            || linkat(&from, from_name.as_c_str(), dir, last.as_c_str(), LinkatFlags::empty());
        match link() {
            Err(Errno::EEXIST) => {
                make_way(dir, &last)?;
                link()?;
            }
            other => other?,
        }
        Ok(())
    }

    /// Everything is there: directories get their times and permissions.
    pub(super) fn finish(mut self) -> io::Result<()> {
        while let Some(level) = self.open.pop() {
            self.lost_attributes += leave(level)?;
        }
        Ok(())
    }

    /// The open directory of an entry, and its own name.
    fn parent(&mut self, name: &[u8]) -> io::Result<(&OwnedFd, CString)> {
        let parts = parts(name)?;
        let Some((last, parents)) = parts.split_last().filter(|(_, parents)| !parents.is_empty())
        else {
            return Err(refused("it has the name of a base"));
        };
        let last = c_string(last)?;
        self.enter(parents)?;
        match self.open.last() {
            Some(level) => Ok((&level.fd, last)),
            None => Err(refused("it is in no directory")),
        }
    }

    /// Opens the directory of these parts, from what is open already.
    fn enter(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let same = self.open.iter().zip(parts).take_while(|(level, part)| level.name == **part);
        let same = same.count();
        while self.open.len() > same {
            if let Some(level) = self.open.pop() {
                self.lost_attributes += leave(level)?;
            }
        }
        for part in parts.iter().skip(same) {
            let level = match self.open.last() {
                None => self.open_base(part)?,
                Some(level) => open_or_make(&level.fd, part)?,
            };
            self.open.push(level);
        }
        Ok(())
    }

    fn base(&self, name: &[u8]) -> io::Result<&PathBuf> {
        let base = self.bases.iter().find(|(base, _)| base == name);
        base.map(|(_, path)| path).ok_or_else(|| refused("it leads out of where it may be"))
    }

    fn open_base(&self, name: &[u8]) -> io::Result<Level> {
        let path = self.base(name)?;
        // The way to a base is the runner's or the job's own, and no part of the archive.
        let fd = openat(
            AT_FDCWD,
            path,
            OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        Ok(Level { name: name.to_owned(), fd, finish: None, restore: None })
    }

    /// The directory of a name that is there, opened apart from the others, and its last part.
    fn look_up(&self, name: &[u8]) -> io::Result<(OwnedFd, CString)> {
        let parts = parts(name)?;
        let [base, parents @ .., last] = parts.as_slice() else {
            return Err(refused("it is a link to a base"));
        };
        let mut at = self.open_base(base)?.fd;
        for part in parents {
            at = open_dir(&at, &c_string(part)?)?;
        }
        Ok((at, c_string(last)?))
    }
}

/// A name as its parts. It has no `..`, no `.`, and is not absolute.
fn parts(name: &[u8]) -> io::Result<Vec<&[u8]>> {
    let name = name.strip_suffix(b"/").unwrap_or(name);
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains(&0) {
        return Err(refused("its name is empty or longer than 4,096 bytes"));
    }
    let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
    if parts.iter().any(|part| matches!(*part, b"" | b"." | b"..")) {
        return Err(refused("it leads out of where it may be"));
    }
    if parts.len() > MOST_LEVELS + 50 {
        return Err(refused("it is too deep"));
    }
    Ok(parts)
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

fn c_string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| refused("a name has a zero byte"))
}

/// Removes what stands where something else is to be. A directory stays: who would have thought
/// that it goes?
fn make_way(dir: &OwnedFd, name: &CString) -> io::Result<()> {
    match unlinkat(dir, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(Errno::EISDIR | Errno::EPERM) => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "a directory is in its place"))
        }
        Err(error) => Err(error.into()),
    }
}

/// A new file, made by `make`; what stands in its place is removed.
fn new(
    dir: &OwnedFd,
    name: &CString,
    make: impl Fn(&OwnedFd, &CStr) -> io::Result<File>,
) -> io::Result<File> {
    match make(dir, name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            make_way(dir, name)?;
            make(dir, name)
        }
        other => other,
    }
}

fn create(dir: &OwnedFd, name: &CStr) -> io::Result<File> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(File::from(openat(dir, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?))
}

/// Sets what the file system takes. Answers how many it did not.
fn set_attributes(file: &File, meta: &Meta) -> u64 {
    let kept = meta.attributes.iter().filter(|(name, _)| is_kept(name));
    kept.filter(|(name, value)| file.set_xattr(name, value).is_err()).count() as u64
}
