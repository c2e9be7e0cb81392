//! Cloning directories of the home into sets, after a success.
//!
//! The entries of a directory (the projects of DerivedData, the archives of a package cache) are
//! cloned the most recently changed first, until the limit is reached: so the oldest are what goes
//! when there is more than may be kept, and nothing is measured first.

use std::cmp::Reverse;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fchmod, fstatat};
use nix::sys::statvfs::fstatvfs;
use russet_protocol::supervise::WHOLE_SET_FILE;

use super::copy::{Copied, Copier, CopyError, Direction};
use super::restore::{describe, enter};
use super::sets::OpenSet;
use crate::task::clean::files;
use russet_text::format_size as size;

/// Time limit of all of it. Where it takes longer, what was kept before stays.
const SAVE_TIMEOUT: Duration = Duration::from_secs(300);

/// Time limit of removing an entry that turned out to be too large.
const UNDO_TIMEOUT: Duration = Duration::from_secs(60);

/// Directories that everybody may enter: nobody but root reaches the set.
const OPEN: Mode = Mode::from_bits_truncate(0o755);

/// Clones directories of a home into all sets, and returns what there is to say about it. A set is
/// whole once its last file is there; one that is not is thrown away by the launch agent.
pub(crate) fn save_sets(sets: &[OpenSet], home: &Path, stopped: &AtomicBool) -> Vec<String> {
    let until = Instant::now() + SAVE_TIMEOUT;
    let mut said = Vec::new();
    for set in sets {
        let Some(to) = &set.to else { continue };
        let began = Instant::now();
        let mut saving = Saving {
            copier: Copier::new(Direction::Set, set.max_bytes.min(free_bytes(to)), until, stopped),
            too_large: 0,
        };
        let names: Vec<String> =
            set.paths.iter().map(|path| format!("~/{}", path.display())).collect();
        let names = names.join(", ");
        match saving.save_set(set, home, to) {
            Ok(true) => {
                let text = describe(&saving.copier.copied, began.elapsed());
                said.push(format!("{names}: {text}"));
                if saving.too_large > 0 {
                    said.push(format!(
                        "{} of the entries that were not changed for longest are left out: more than {} \
                         may not be kept",
                        saving.too_large,
                        size(set.max_bytes)
                    ));
                }
            }
            Ok(false) => said.push(format!("{names}: there is nothing to keep")),
            Err(error) => said.push(format!(
                "warning: {names}: what was kept before stays, since this could not be: {error}"
            )),
        }
    }
    said
}

/// A set that is being filled.
struct Saving<'a> {
    copier: Copier<'a>,
    /// Entries that found no room.
    too_large: u64,
}

/// An entry of one of the directories of a set.
struct Entry {
    /// Latest change of it and of what is directly in it, in seconds since 1970.
    changed: i64,
    name: CString,
    directories: Rc<Directories>,
}

/// Directory of the home whose entries are cloned, and that of the set to which they go.
struct Directories {
    source: OwnedFd,
    target: OwnedFd,
}

impl Saving<'_> {
    /// Fills a set. False: there is nothing to keep.
    fn save_set(&mut self, set: &OpenSet, home: &Path, to: &OwnedFd) -> Result<bool, CopyError> {
        let mut entries = Vec::new();
        for path in &set.paths {
            let failed =
                |source: io::Error| CopyError::File { path: path.display().to_string(), source };
            entries.extend(entries_of(home, path, to).map_err(failed)?);
        }
        entries.sort_by_key(|entry| Reverse(entry.changed));
        for entry in &entries {
            self.save_entry(entry)?;
        }
        if self.copier.copied == Copied::default() {
            return Ok(false);
        }
        let failed =
            |source: io::Error| CopyError::File { path: WHOLE_SET_FILE.to_owned(), source };
        mark_whole(to, self.copier.copied.bytes).map_err(failed)?;
        Ok(true)
    }

    /// Clones an entry, or leaves it out where it finds no room.
    fn save_entry(&mut self, entry: &Entry) -> Result<(), CopyError> {
        let (of, before) = (&entry.directories, (self.copier.room, self.copier.copied));
        match self.copier.copy_entry(&of.source, &entry.name, &of.target, 1) {
            Err(CopyError::TooLarge) => {
                (self.copier.room, self.copier.copied) = before;
                self.too_large += 1;
                remove(entry).map_err(|source| CopyError::File {
                    path: entry.name.to_string_lossy().into_owned(),
                    source,
                })
            }
            other => other,
        }
    }
}

/// Lists the entries of a directory of the home, and makes the directory of the set that they go to.
fn entries_of(home: &Path, path: &Path, to: &OwnedFd) -> io::Result<Vec<Entry>> {
    let home = files::open_directory(AT_FDCWD, home)?;
    let Some((parent, name)) = enter(home, path, None)? else { return Ok(Vec::new()) };
    let source = match files::open_directory(&parent, name.as_c_str()) {
        Ok(source) => source,
        // A link is none of the home's directories.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    // All of them below one another, with what they may lie in.
    let inside = path.join("-");
    let Some((target, _)) = enter(to.try_clone()?, &inside, Some(OPEN))? else {
        return Ok(Vec::new());
    };
    let names = files::list_names(&source)?;
    let directories = Rc::new(Directories { source, target });
    let entry = |name: CString| Entry {
        changed: latest_change(&directories.source, &name),
        name,
        directories: Rc::clone(&directories),
    };
    Ok(names.into_iter().map(entry).collect())
}

/// Returns the latest change of an entry and of what is directly in it.
fn latest_change(dir: &OwnedFd, name: &CString) -> i64 {
    let changed = |dir: &OwnedFd, name: &CString| {
        fstatat(dir, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW).map_or(0, |stat| stat.st_mtime)
    };
    let own = changed(dir, name);
    let Ok(inside) = files::open_directory(dir, name.as_c_str()) else { return own };
    let names = files::list_names(&inside).unwrap_or_default();
    names.iter().map(|name| changed(&inside, name)).fold(own, i64::max)
}

/// Removes an entry from the set.
fn remove(entry: &Entry) -> io::Result<()> {
    let target = &entry.directories.target;
    match fstatat(target, entry.name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => {
            let until = Instant::now() + UNDO_TIMEOUT;
            files::remove_entry(target, &entry.name, &stat, until).map(drop)
        }
        Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes the last file of a set, and lets users of other slots read it.
fn mark_whole(to: &OwnedFd, bytes: u64) -> io::Result<()> {
    fchmod(to, OPEN)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(to, WHOLE_SET_FILE, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    file.write_all(bytes.to_string().as_bytes())
}

/// Returns the bytes that may be taken of a disk: never the last twentieth, nor the last 5 GiB where
/// that is less.
#[cfg_attr(
    target_os = "linux",
    expect(clippy::useless_conversion, reason = "it counts in 32 bits on macOS")
)]
fn free_bytes(dir: &OwnedFd) -> u64 {
    let Ok(room) = fstatvfs(dir) else { return 0 };
    let block = room.fragment_size();
    let free = u64::from(room.blocks_available()).saturating_mul(block);
    let all = u64::from(room.blocks()).saturating_mul(block);
    free.saturating_sub((all / 20).min(5 << 30))
}
