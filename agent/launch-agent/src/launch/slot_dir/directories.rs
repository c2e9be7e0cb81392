//! Directories of slots, made by root for somebody else.
//!
//! Threat: a job owns what is inside its directories and may put links there that lead to files
//! of root. So everything here goes through descriptors and single names, follows no link, and
//! deletes nothing but empty directories; what is in them is deleted by a helper that runs as
//! the slot's user.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::crash_points::CrashPoint;
use crate::files::{make_own_directory, open_directory};
use crate::output::Spool;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, unlinkat};
use russet_protocol::supervise::{RESULT_FILE, ResultRecord, SlotDirs, SlotUser};

/// Others may pass through, to what is theirs, and see nothing.
const PASSAGE: Mode = Mode::from_bits_truncate(0o711);
const PRIVATE: Mode = Mode::from_bits_truncate(0o700);

/// Names of the directories in a slot that belong to its user.
pub(super) const OWN: [&str; 4] = ["home", "work", "tmp", "spool"];

/// A result record longer than this is none.
const MAX_RECORD: u64 = 64 * 1024;

/// Makes the directory of state, or of slots, and what is above it.
pub(in crate::launch) fn make_state(path: &Path) -> io::Result<OwnedFd> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    make_own_directory(AT_FDCWD, path, PASSAGE)
}

/// Finds the first directory on the way to `path` that the user cannot pass through, if there is
/// one.
pub(in crate::launch) fn find_obstacle(path: &Path, user: &SlotUser) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let blocks = |directory: &Path| {
        std::fs::metadata(directory).is_ok_and(|meta| {
            let bit = if meta.uid() == user.uid {
                0o100
            } else if meta.gid() == user.gid {
                0o010
            } else {
                0o001
            };
            meta.mode() & bit == 0
        })
    };
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    ancestors.into_iter().find(|directory| blocks(directory)).map(Path::to_owned)
}

/// A slot's directory.
#[derive(Debug)]
pub(in crate::launch) struct SlotDir {
    pub(in crate::launch) fd: OwnedFd,
    pub(in crate::launch) paths: SlotDirs,
}

impl SlotDir {
    /// Makes the directory of slot `number` in the directory of slots, `data` at `path`.
    pub(in crate::launch) fn make(data: &OwnedFd, path: &Path, number: u32) -> io::Result<Self> {
        let slots = make_own_directory(data, Path::new("slots"), PASSAGE)?;
        let name = number.to_string();
        let fd = make_own_directory(&slots, Path::new(&name), PASSAGE)?;
        let root = path.join("slots").join(name);
        let [home, work, tmp, spool] = OWN.map(|name| root.join(name));
        Ok(Self { fd, paths: SlotDirs { root, home, work, tmp, spool } })
    }

    /// Returns the socket on which the launch agent listens for the slot's task agent.
    pub(in crate::launch) fn socket(&self) -> PathBuf {
        self.paths.root.join("agent.sock")
    }

    /// Returns the socket on which the launch agent passes the task agent's bytes to the control
    /// plane.
    pub(in crate::launch) fn relay(&self) -> PathBuf {
        self.paths.root.join("relay.sock")
    }

    /// Returns the socket on which the launch agent hands over people who come to the port for SSH.
    pub(in crate::launch) fn ssh(&self) -> PathBuf {
        self.paths.root.join("ssh.sock")
    }

    /// Replaces the directories of the slot's user with fresh ones. Fails where one is not
    /// empty.
    pub(in crate::launch) fn refresh(&self, user: &SlotUser) -> io::Result<()> {
        OWN.iter().try_for_each(|name| self.refresh_one(name, user))?;
        CrashPoint::Refreshed.pass();
        Ok(())
    }

    /// Ends what an earlier launch agent was killed in: a directory that it removed and did not
    /// make again, or made and did not give to the user. Others are left as they are.
    ///
    /// A directory that is root's is empty, since only root could have put anything in it.
    pub(in crate::launch) fn complete(&self, user: &SlotUser) -> io::Result<()> {
        let me = nix::unistd::geteuid().as_raw();
        for name in OWN {
            match fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) if stat.st_uid != me || me == user.uid => {}
                Ok(_) | Err(Errno::ENOENT) => self.refresh_one(name, user)?,
                Err(error) => return Err(self.named(name, error)),
            }
        }
        Ok(())
    }

    fn refresh_one(&self, name: &str, user: &SlotUser) -> io::Result<()> {
        let named = |error| self.named(name, error);
        match unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            // Not a directory: only root could have put it there.
            Err(error) => return Err(named(error)),
        }
        CrashPoint::DirectoryRemoved.pass();
        mkdirat(&self.fd, name, PRIVATE).map_err(named)?;
        CrashPoint::DirectoryMade.pass();
        // Between the two calls the directory is root's, so nobody can have replaced it.
        fchownat(
            &self.fd,
            name,
            Some(Uid::from_raw(user.uid)),
            Some(Gid::from_raw(user.gid)),
            AtFlags::AT_SYMLINK_NOFOLLOW,
        )
        .map_err(named)?;
        CrashPoint::DirectoryGiven.pass();
        Ok(())
    }

    pub(super) fn named(&self, name: &str, error: Errno) -> io::Error {
        let error = io::Error::from(error);
        let text = format!("{}: {error}", self.paths.root.join(name).display());
        io::Error::new(error.kind(), text)
    }

    /// Returns true unless the spool shows that no step of the task has begun.
    pub(in crate::launch) fn has_begun(&self, user: &SlotUser) -> bool {
        match open_directory(&self.fd, Path::new("spool")) {
            Ok(fd) => Spool::at(fd, user.uid).has_begun().unwrap_or(true),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// The record that a task agent left, if there is one that can be believed to be its.
    pub(in crate::launch) fn result(&self, user: &SlotUser) -> Option<ResultRecord> {
        let fd = open_directory(&self.fd, Path::new("spool")).ok()?;
        let spool = Spool::at(fd, user.uid);
        let file = spool.file(RESULT_FILE).ok()?;
        let mut text = Vec::new();
        file.take(MAX_RECORD).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Makes the owner's working directory for a task.
///
/// It may stand in a directory that others can write to, so the way to it is walked name by
/// name: a directory on it that could be exchanged by somebody other than root and the slot's
/// user ends the walk.
pub(in crate::launch) fn make_work(path: &Path, user: &SlotUser) -> io::Result<()> {
    let denied = |message: String| io::Error::new(io::ErrorKind::PermissionDenied, message);
    let mut existing = path;
    while !existing.exists() {
        existing = existing.parent().unwrap_or(Path::new("/"));
    }
    // Links on the way that root made (`/var` on macOS) are followed once, here.
    let real = std::fs::canonicalize(existing)?;
    let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
    let full = real.join(rest);
    let me = nix::unistd::geteuid().as_raw();
    let mut at = open_directory(AT_FDCWD, Path::new("/"))?;
    let mut walked = PathBuf::from("/");
    let names: Vec<_> = full.iter().skip(1).collect();
    for (index, name) in names.iter().enumerate() {
        let last = index + 1 == names.len();
        walked.push(name);
        let made = match mkdirat(
            &at,
            Path::new(name),
            if last { PRIVATE } else { Mode::from_bits_truncate(0o755) },
        ) {
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(error) => return Err(error.into()),
        };
        let next = open_directory(&at, Path::new(name))
            .map_err(|error| denied(format!("{}: {error}", walked.display())))?;
        let stat = fstat(&next)?;
        let trusted = [0, me, user.uid].contains(&stat.st_uid);
        if !trusted {
            return Err(denied(format!(
                "{} belongs to user {}, not to the slot's user {} or to root",
                walked.display(),
                stat.st_uid,
                user.uid
            )));
        }
        let open_to_all = stat.st_mode & 0o022 != 0 && stat.st_mode & 0o1000 == 0;
        if !last && open_to_all {
            return Err(denied(format!("{} can be changed by others", walked.display())));
        }
        if last && (made || stat.st_uid == me) && me != user.uid {
            fchown(&next, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))?;
        }
        at = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{SlotDir, find_obstacle, make_state, make_work};
    use russet_protocol::supervise::SlotUser;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    fn user() -> SlotUser {
        if nix::unistd::geteuid().is_root() {
            SlotUser { uid: 58_123, gid: 58_123, name: None, dedicated: true }
        } else {
            russet_platform::users::calling_user()
        }
    }

    fn slot(state: &std::path::Path) -> SlotDir {
        SlotDir::make(&make_state(state).unwrap(), state, 1).unwrap()
    }

    #[test]
    fn fresh_directories_are_private_and_the_users_and_full_ones_are_left() {
        let dir = tempfile::tempdir().unwrap();
        let slot = slot(&dir.path().join("state"));
        slot.refresh(&user()).unwrap();
        let meta = std::fs::metadata(&slot.paths.home).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o7777), (user().uid, 0o700));
        slot.refresh(&user()).unwrap();
        std::fs::write(slot.paths.tmp.join("left"), "x").unwrap();
        let error = slot.refresh(&user()).unwrap_err();
        assert!(error.to_string().contains("tmp"), "{error}");
        assert!(slot.paths.tmp.join("left").exists());
    }

    #[test]
    fn what_a_killed_agent_left_half_done_is_completed_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let slot = slot(&dir.path().join("state"));
        slot.refresh(&user()).unwrap();
        std::fs::write(slot.paths.spool.join("1.log"), "output").unwrap();
        std::fs::remove_dir(&slot.paths.home).unwrap();
        let me = nix::unistd::geteuid().as_raw();
        std::os::unix::fs::chown(&slot.paths.tmp, Some(me), None).unwrap();
        slot.complete(&user()).unwrap();
        for path in [&slot.paths.home, &slot.paths.tmp, &slot.paths.work, &slot.paths.spool] {
            let meta = std::fs::metadata(path).unwrap();
            assert_eq!((meta.uid(), meta.mode() & 0o7777), (user().uid, 0o700), "{path:?}");
        }
        assert!(slot.paths.spool.join("1.log").exists());
    }

    #[test]
    fn a_record_that_is_a_link_or_not_the_users_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let slot = slot(&dir.path().join("state"));
        slot.refresh(&user()).unwrap();
        let record = r#"{"version":1,"allocation":"a","outcome":"success","reported":true}"#;
        let elsewhere = dir.path().join("elsewhere");
        std::fs::write(&elsewhere, record).unwrap();
        let result = slot.paths.spool.join("result.json");
        std::os::unix::fs::symlink(&elsewhere, &result).unwrap();
        assert_eq!(slot.result(&user()), None);
        std::fs::remove_file(&result).unwrap();
        std::fs::hard_link(&elsewhere, &result).unwrap();
        assert_eq!(slot.result(&user()), None);
        std::fs::remove_file(&result).unwrap();
        nix::unistd::mkfifo(&result, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert_eq!(slot.result(&user()), None);
        std::fs::remove_file(&result).unwrap();
        std::fs::write(&result, record).unwrap();
        std::os::unix::fs::chown(&result, Some(user().uid), None).unwrap();
        assert!(slot.result(&user()).unwrap().reported);
    }

    #[test]
    fn a_working_directory_is_made_for_the_user_and_not_through_a_link_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("a/b/c");
        make_work(&work, &user()).unwrap();
        make_work(&work, &user()).unwrap();
        assert_eq!(std::fs::metadata(&work).unwrap().uid(), user().uid);
        let shared = dir.path().join("shared");
        std::fs::create_dir(&shared).unwrap();
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
        let error = make_work(&shared.join("work"), &user()).unwrap_err();
        assert!(error.to_string().contains("changed by others"), "{error}");
    }

    #[test]
    fn what_stands_in_the_way_of_a_user_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let stranger = SlotUser { uid: 58_124, gid: 58_124, name: None, dedicated: true };
        assert_eq!(find_obstacle(&inner, &stranger), Some(dir.path().to_owned()));
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(find_obstacle(&inner, &stranger), None);
    }
}
