//! Files of a user in directories that are not its slot's own.
//!
//! Everybody may write to `/tmp` and its like, so what a job puts there meets the next task, of
//! whatever slot. Only what belongs to the slot's user is removed, by a process of that user.
//! Directories of others are entered where everybody may write to them, since a job can hide
//! files there (`/tmp/.X11-unix`).
//!
//! The sweep ends when it has seen every name, or says which path it did not come past.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FileStat, fstat, fstatat};

use super::files;
use super::listing::{Listing, MAX_NAMES, Name};
use super::moment::{Moment, changed_at};
use super::tally::{Kind, Tally};

/// Paths of one directory that are named because they could not be removed.
const MAX_FAILED: usize = 100;

/// Levels of directories of others that are entered. Each costs a descriptor and some memory.
const MAX_LEVELS: usize = 64;

/// Files to remove.
#[derive(Debug)]
pub(super) struct Sweep<'a> {
    /// Whose files.
    pub(super) uid: u32,
    /// Paths that lead to the slot itself.
    pub(super) spared: &'a [PathBuf],
    /// Time to stop at; the rest is for the next clean-up.
    pub(super) until: Instant,
    /// Files that changed last before this time are none of the task's, but of the session at the
    /// screen.
    pub(super) session: Option<Moment>,
}

/// A directory that is swept.
#[derive(Clone, Copy)]
struct Place<'a> {
    dir: &'a OwnedFd,
    path: &'a Path,
    kind: Kind,
    level: usize,
    /// The user had nothing in here before this time.
    since: Option<Moment>,
}

/// Findings of one pass over a directory.
#[derive(Default)]
struct Pass {
    names: usize,
    removed: usize,
    /// Paths that could not be removed, and why.
    failed: Vec<(PathBuf, io::Error)>,
    /// Number of those that are not named.
    failed_more: u64,
}

impl Sweep<'_> {
    /// Removes what the user has in `dir`, which may be absent. `since` is a time before which it
    /// had nothing there, where that is known.
    pub(super) fn directory(
        &self,
        dir: &Path,
        kind: Kind,
        since: Option<Moment>,
        tally: &mut Tally,
    ) {
        match files::open_directory(AT_FDCWD, dir) {
            Ok(top) => {
                self.sweep(Place { dir: &top, path: dir, kind, level: 0, since }, tally);
            }
            // Nobody can have put anything there.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
            Err(error) => tally.unseen(dir, error.desc()),
        }
    }

    /// Removes what the user has in an open directory.
    pub(super) fn open(&self, dir: &OwnedFd, path: &Path, kind: Kind, tally: &mut Tally) {
        self.sweep(Place { dir, path, kind, level: 0, since: None }, tally);
    }

    /// Removes one path, if it is there and the user's.
    pub(super) fn path(&self, path: &Path, kind: Kind, tally: &mut Tally) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        let Ok(dir) = files::open_directory(AT_FDCWD, parent) else { return };
        let Ok(name) = std::ffi::CString::new(name.as_bytes()) else { return };
        let Ok(stat) = fstatat(&dir, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) else { return };
        if stat.st_uid == self.uid {
            let mut pass = Pass::default();
            let place = Place { dir: &dir, path: parent, kind, level: 0, since: None };
            self.remove(place, &name, &stat, path, &mut pass, tally);
            note_failed(pass, kind, tally);
        }
    }

    /// Passes over a directory until nothing more can be removed.
    fn sweep(&self, place: Place<'_>, tally: &mut Tally) {
        loop {
            let mut pass = Pass::default();
            if let Err(error) = self.pass(place, &mut pass, tally) {
                tally.unfinished(place.path, &error.to_string());
            }
            // Where names are removed while the rest is read, some systems skip names.
            let is_whole = pass.names <= MAX_NAMES || pass.removed == 0;
            if is_whole || tally.is_unfinished() {
                return note_failed(pass, place.kind, tally);
            }
        }
    }

    fn pass(&self, place: Place<'_>, pass: &mut Pass, tally: &mut Tally) -> io::Result<()> {
        let is_unchanged = match place.since {
            Some(since) => changed_at(&fstat(place.dir)?) < since,
            None => false,
        };
        let mut listing = Listing::open(place.dir)?;
        loop {
            let names = listing.next_names()?;
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                if Instant::now() > self.until {
                    return Err(too_much());
                }
                pass.names += 1;
                // A new name changes its directory, whatever its file says of itself. What can have
                // come since is in directories in it.
                if !is_unchanged || name.may_be_directory() {
                    self.entry(place, &name, pass, tally);
                }
                if tally.is_unfinished() {
                    return Ok(());
                }
            }
        }
    }

    fn entry(&self, place: Place<'_>, name: &Name, pass: &mut Pass, tally: &mut Tally) {
        let name = name.name.as_c_str();
        let Ok(stat) = fstatat(place.dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) else { return };
        let is_open = files::is_directory(&stat) && stat.st_mode & 0o003 == 0o003;
        if stat.st_uid != self.uid && !is_open {
            return;
        }
        let path = place.path.join(OsStr::from_bytes(name.to_bytes()));
        if self.spared.contains(&path) {
            return;
        }
        if stat.st_uid == self.uid {
            return self.remove(place, name, &stat, &path, pass, tally);
        }
        if place.level >= MAX_LEVELS {
            return tally.unfinished(&path, "it is too deep in directories of others");
        }
        match files::open_directory(place.dir, name) {
            Ok(sub) => {
                let level = place.level + 1;
                self.sweep(Place { dir: &sub, path: &path, level, ..place }, tally);
            }
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
            Err(error) => tally.unseen(&path, error.desc()),
        }
    }

    fn remove(
        &self,
        place: Place<'_>,
        name: &std::ffi::CStr,
        stat: &FileStat,
        path: &Path,
        pass: &mut Pass,
        tally: &mut Tally,
    ) {
        if self.session.is_some_and(|session| changed_at(stat) < session) {
            return;
        }
        match files::remove_entry(place.dir, name, stat, self.until) {
            Ok(bytes) => {
                pass.removed += 1;
                tally.removed(place.kind, bytes, &path.display().to_string());
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                tally.unfinished(path, &error.to_string());
            }
            // Not even root may look into data of macOS's own services; nothing of a job is there.
            Err(error) if place.kind == Kind::UserFiles && is_vault(&error) => {}
            Err(error) if pass.failed.len() < MAX_FAILED => {
                pass.failed.push((path.to_owned(), error));
            }
            Err(_) => pass.failed_more += 1,
        }
    }
}

fn note_failed(pass: Pass, kind: Kind, tally: &mut Tally) {
    for (path, error) in pass.failed {
        tally.kept(kind, &path.display().to_string(), &error.to_string());
    }
    tally.kept_more(kind, pass.failed_more);
}

/// Returns true for the answer of a data vault.
fn is_vault(error: &io::Error) -> bool {
    cfg!(target_os = "macos") && error.raw_os_error() == Some(libc::EPERM)
}

fn too_much() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "there is too much in it")
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
