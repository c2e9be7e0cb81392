//! Sets on disk.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};
use russet_protocol::ids::AllocationId;
use russet_protocol::supervise::{KeptSet, SlotUser, WHOLE_SET_FILE};
use serde::{Deserialize, Serialize};

use super::names::{Fit, Scope};
use super::plan::SetState;
use crate::config::KeptPaths;
use crate::crash_points::CrashPoint;
use crate::files::{make_own_directory, open_directory};
use crate::output::Spool;
use russet_platform::replace;

/// Name of the directory of all sets.
const NAME: &str = "kept";

/// Name of the directory in a set with its contents.
const FILES: &str = "files";

/// Name of the file in a set that says where it comes from.
const RECORD: &str = "record.json";

/// Prefix of a set that a task of a slot may fill: `new-SLOT-NAME`.
const NEW: &str = "new-";

/// Prefix of a set that goes.
const GONE: &str = "gone-";

/// A record is not longer than this.
const MAX_RECORD: u64 = 4096;

/// Origin of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// The task that left it.
    allocation: String,
    /// Boot in which it did.
    boot_id: String,
    /// Time at which it did, in milliseconds since 1970. 0: it did not yet.
    #[serde(default)]
    saved_ms: u64,
    /// Space that it takes on disk, in bytes, as its task agent says.
    #[serde(default)]
    bytes: u64,
    /// Set once it is on disk for certain. Before that it is used in its own boot alone: a loss of
    /// power may leave files of it empty.
    #[serde(default)]
    is_synced: bool,
}

/// The sets of a machine.
#[derive(Debug)]
pub(in crate::launch) struct KeptStore {
    fd: OwnedFd,
    path: PathBuf,
    boot_id: String,
    /// Users of slots that there are now.
    users: Mutex<BTreeSet<u32>>,
}

/// A task that sets are lent to.
#[derive(Debug)]
pub(in crate::launch) struct Lending<'a> {
    pub(in crate::launch) slot: u32,
    pub(in crate::launch) user: &'a SlotUser,
    pub(in crate::launch) allocation: &'a AllocationId,
    pub(in crate::launch) scope: &'a Scope,
    /// Paths that the class keeps.
    pub(in crate::launch) paths: &'a KeptPaths,
    /// Limit of each set, in bytes.
    pub(in crate::launch) max_bytes: u64,
}

/// A set that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::launch) struct Gone {
    /// Directory of its contents.
    pub(in crate::launch) files: PathBuf,
    /// Owner of them, who empties it.
    pub(in crate::launch) uid: u32,
    pub(in crate::launch) gid: u32,
}

impl KeptStore {
    /// Makes the directory of sets in an open one at `path`, and opens it.
    pub(in crate::launch) fn open(data: &OwnedFd, path: &Path, boot_id: &str) -> io::Result<Self> {
        let fd = make_own_directory(data, Path::new(NAME), Mode::S_IRWXU)?;
        let users = Mutex::default();
        Ok(Self { fd, path: path.join(NAME), boot_id: boot_id.to_owned(), users })
    }

    /// Path of the directory of all sets.
    pub(in crate::launch) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that a slot has this user.
    pub(in crate::launch) fn know_user(&self, uid: u32) {
        self.users().insert(uid);
    }

    fn users(&self) -> std::sync::MutexGuard<'_, BTreeSet<u32>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the sets that a task may clone from, each with an empty directory to clone into.
    ///
    /// # Errors
    ///
    /// A directory cannot be made or looked at.
    pub(in crate::launch) fn lend(&self, to: &Lending<'_>) -> io::Result<Vec<KeptSet>> {
        // Those of a task that was given back.
        self.settle(to.slot, to.user.uid, None, 0)?;
        let there = self.usable_sets()?;
        let groups = [(Fit::All, &to.paths.anywhere), (Fit::Slot(to.slot), &to.paths.by_slot)];
        let groups = groups.into_iter().filter(|(_, paths)| !paths.is_empty());
        groups.map(|(fit, paths)| self.lend_one(to, &there, fit, paths)).collect()
    }

    fn lend_one(
        &self,
        to: &Lending<'_>,
        there: &[(String, u64)],
        fit: Fit,
        paths: &[PathBuf],
    ) -> io::Result<KeptSet> {
        let from = to.scope.choose(fit, there);
        if let Some(name) = from {
            // Those that are used stay longest.
            let now = TimeSpec::UTIME_NOW;
            let flags = nix::sys::stat::UtimensatFlags::NoFollowSymlink;
            utimensat(&self.fd, name, &now, &now, flags)?;
        }
        let written = to.scope.written(fit);
        let written = written.map(|name| self.make_new(to, &name)).transpose()?;
        Ok(KeptSet {
            paths: paths.to_vec(),
            from: from.map(|name| self.path.join(name).join(FILES)),
            to: written,
            max_bytes: to.max_bytes,
        })
    }

    /// Makes an empty set for a task to fill, and returns the path of its contents.
    fn make_new(&self, to: &Lending<'_>, name: &str) -> io::Result<PathBuf> {
        let new = format!("{NEW}{}-{name}", to.slot);
        let dir = make_own_directory(&self.fd, Path::new(&new), Mode::S_IRWXU)?;
        let record = Record {
            allocation: to.allocation.as_str().to_owned(),
            boot_id: self.boot_id.clone(),
            ..Record::default()
        };
        self.write_record(&new, &record)?;
        mkdirat(&dir, FILES, Mode::S_IRWXU)?;
        // Nobody else may enter its parents, so nobody can have put anything in its place.
        fchownat(
            &dir,
            FILES,
            Some(Uid::from_raw(to.user.uid)),
            Some(Gid::from_raw(to.user.gid)),
            AtFlags::AT_SYMLINK_NOFOLLOW,
        )?;
        Ok(self.path.join(new).join(FILES))
    }

    /// Puts the sets that the slot's task has filled in their places, and throws away what is not
    /// whole or of another task. No process of the slot's user may run. Returns the names of those
    /// that are in place.
    ///
    /// # Errors
    ///
    /// A directory cannot be looked at or renamed; the next call goes on.
    pub(in crate::launch) fn settle(
        &self,
        slot: u32,
        uid: u32,
        task: Option<&AllocationId>,
        now_ms: u64,
    ) -> io::Result<Vec<String>> {
        let prefix = format!("{NEW}{slot}-");
        let mut placed = Vec::new();
        for new in self.names()? {
            let Some(name) = new.strip_prefix(&prefix) else { continue };
            // What was exchanged already has the record of an earlier task.
            let is_of_task =
                |record: &Record| task.is_some_and(|task| record.allocation == task.as_str());
            let record = self.record(&new).filter(is_of_task);
            match record.zip(self.whole_bytes(&new, uid)) {
                Some((record, bytes)) => {
                    let record = Record { saved_ms: now_ms.max(1), bytes, ..record };
                    self.write_record(&new, &record)?;
                    self.place(&new, name)?;
                    placed.push(name.to_owned());
                }
                None => self.retire(&new)?,
            }
        }
        Ok(placed)
    }

    /// Puts a set in its place, in one step, and renames the one that was there.
    fn place(&self, new: &str, name: &str) -> io::Result<()> {
        CrashPoint::KeptWhole.pass();
        let (new_path, path) = (self.path.join(new), self.path.join(name));
        if self.has(name) {
            russet_platform::exchange_paths(&new_path, &path)?;
            CrashPoint::KeptExchanged.pass();
            self.retire(new)?;
        } else {
            std::fs::rename(&new_path, &path)?;
        }
        CrashPoint::KeptPlaced.pass();
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// Lets a set go: nobody is given it any more.
    ///
    /// # Errors
    ///
    /// It cannot be renamed.
    pub(in crate::launch) fn retire(&self, name: &str) -> io::Result<()> {
        let unused = |number: &u64| !self.has(&format!("{GONE}{number}"));
        let number = (0..u64::MAX).find(unused).unwrap_or_default();
        std::fs::rename(self.path.join(name), self.path.join(format!("{GONE}{number}")))
    }

    /// Returns the sets that go and that the user `uid` empties: its own, and those of users that no
    /// slot has any more. Empty ones are removed.
    ///
    /// # Errors
    ///
    /// A directory cannot be looked at.
    pub(in crate::launch) fn gone(&self, uid: u32) -> io::Result<Vec<Gone>> {
        let mut found = Vec::new();
        for name in self.names()?.into_iter().filter(|name| name.starts_with(GONE)) {
            let Some(stat) = self.remove_if_empty(&name)? else { continue };
            if stat.st_uid == uid || !self.users().contains(&stat.st_uid) {
                let files = self.path.join(name).join(FILES);
                found.push(Gone { files, uid: stat.st_uid, gid: stat.st_gid });
            }
        }
        Ok(found)
    }

    /// Removes a set that goes where its contents are empty; else returns whose they are.
    fn remove_if_empty(&self, name: &str) -> io::Result<Option<FileStat>> {
        let dir = open_directory(&self.fd, Path::new(name))?;
        match unlinkat(&dir, FILES, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {
                return Ok(Some(fstatat(&dir, FILES, AtFlags::AT_SYMLINK_NOFOLLOW)?));
            }
            Err(error) => return Err(error.into()),
        }
        let path = self.path.join(name);
        replace::remove_file(&path.join(RECORD))?;
        replace::remove_file(&replace::draft_path(&path.join(RECORD)))?;
        std::fs::remove_dir(path)?;
        Ok(None)
    }

    /// Lists the sets, for the decision which of them go.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub(in crate::launch) fn states(&self) -> io::Result<Vec<SetState>> {
        let now = std::time::SystemTime::now();
        let state = |name: String| {
            let stat = fstatat(&self.fd, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
            let used = Duration::from_secs(u64::try_from(stat.st_mtime).ok()?);
            let used = std::time::SystemTime::UNIX_EPOCH.checked_add(used)?;
            let bytes = self.record(&name).map_or(0, |record| record.bytes);
            Some(SetState { name, bytes, unused: now.duration_since(used).unwrap_or_default() })
        };
        Ok(self.set_names()?.into_iter().filter_map(state).collect())
    }

    /// Notes that a set is on disk for certain, unless another has taken its place meanwhile.
    ///
    /// # Errors
    ///
    /// The record cannot be written.
    pub(in crate::launch) fn mark_synced(&self, name: &str, saved_by: &str) -> io::Result<()> {
        match self.record(name) {
            Some(record) if record.allocation == saved_by => {
                self.write_record(name, &Record { is_synced: true, ..record })
            }
            _ => Ok(()),
        }
    }

    /// Lists the sets that can be used, with the time at which each was saved.
    fn usable_sets(&self) -> io::Result<Vec<(String, u64)>> {
        let usable = |name: String| {
            let record = self.record(&name)?;
            let is_sound = record.is_synced || record.boot_id == self.boot_id;
            is_sound.then_some((name, record.saved_ms))
        };
        Ok(self.set_names()?.into_iter().filter_map(usable).collect())
    }

    fn set_names(&self) -> io::Result<Vec<String>> {
        let is_set = |name: &String| !name.starts_with(NEW) && !name.starts_with(GONE);
        Ok(self.names()?.into_iter().filter(is_set).collect())
    }

    /// Lists the directories there are, in the order of their names. Logs of helpers are files.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn record(&self, name: &str) -> Option<Record> {
        let dir = open_directory(&self.fd, Path::new(name)).ok()?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = std::fs::File::from(openat(&dir, RECORD, flags, Mode::empty()).ok()?);
        let mut text = Vec::new();
        file.take(MAX_RECORD).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn write_record(&self, name: &str, record: &Record) -> io::Result<()> {
        let text = serde_json::to_vec(record).map_err(io::Error::other)?;
        replace::write(&self.path.join(name).join(RECORD), &text, 0o600)
    }

    /// Returns the bytes of a set that its task agent has filled. `None`: it is not whole. The number
    /// is its word, and only counts against the project's own limit.
    fn whole_bytes(&self, name: &str, uid: u32) -> Option<u64> {
        let dir = open_directory(&self.fd, Path::new(name)).ok()?;
        let stat = fstatat(&dir, FILES, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        let is_directory = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
        if !is_directory || stat.st_uid != uid {
            return None;
        }
        let files = open_directory(&dir, Path::new(FILES)).ok()?;
        let mut text = String::new();
        Spool::at(files, uid).file(WHOLE_SET_FILE).ok()?.take(32).read_to_string(&mut text).ok()?;
        text.parse().ok()
    }
}
