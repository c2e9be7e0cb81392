//! Directories in which a slot keeps copies of the archives of caches and workspaces.
//!
//! `caches` in the slot is root's, and nobody else may enter it. In it is a directory for each user
//! the slot has had and each project, class and fork; that one is the user's own. Root makes and
//! names them, and hands a task agent the path of one, which it opens before it drops. What is in
//! them root neither reads nor deletes; they are trimmed by a process of their user.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode as Permissions, SFlag, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};
use russet_protocol::runner::ClaimResponse;
use russet_protocol::supervise::{SlotUser, Trim};

use super::dirs::{SlotDir, make_own};
use super::slot_io::SlotIo;
use russet_platform::clock::millis;

/// Name of the directory in a slot.
const NAME: &str = "caches";

/// Copies that were not used for so long go, unless the owner says otherwise.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Returns the name of those who share copies with a task. `None` where the server does not say
/// enough: then nobody does.
fn scope(class: &str, claimed: &ClaimResponse) -> Option<String> {
    let project = claimed.project.as_ref()?;
    let branch = claimed.from_fork?.then(|| claimed.branch.clone().unwrap_or_default());
    // As JSON, no part can look like another one.
    let text = serde_json::json!([project, class, branch]).to_string();
    Some(blake3::hash(text.as_bytes()).to_hex().chars().take(32).collect())
}

impl SlotDir {
    /// The directory of the copies that a task may use, made where it is not there.
    fn copies(&self, user: &SlotUser, scope: &str) -> io::Result<PathBuf> {
        let private = Permissions::S_IRWXU;
        let caches = make_own(&self.fd, Path::new(NAME), private)?;
        let name = format!("{}-{scope}", user.uid);
        match mkdirat(&caches, name.as_str(), private) {
            // Nobody else may enter its parent, so nobody can have put anything in its place.
            Ok(()) => fchownat(
                &caches,
                name.as_str(),
                Some(Uid::from_raw(user.uid)),
                Some(Gid::from_raw(user.gid)),
                AtFlags::AT_SYMLINK_NOFOLLOW,
            )?,
            Err(nix::errno::Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.paths.root.join(NAME).join(name))
    }

    /// All directories of copies, by the user that they belong to. Empty ones are removed: no task
    /// of the slot may be running.
    fn all_copies(&self) -> io::Result<BTreeMap<u32, (SlotUser, Vec<PathBuf>)>> {
        let caches = make_own(&self.fd, Path::new(NAME), Permissions::S_IRWXU)?;
        let mut found: BTreeMap<u32, (SlotUser, Vec<PathBuf>)> = BTreeMap::new();
        for entry in std::fs::read_dir(self.paths.root.join(NAME))? {
            let name = entry?.file_name();
            if unlinkat(&caches, name.as_os_str(), UnlinkatFlags::RemoveDir).is_ok() {
                continue;
            }
            let stat = fstatat(&caches, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
            if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFDIR {
                continue;
            }
            let user =
                SlotUser { uid: stat.st_uid, gid: stat.st_gid, name: None, dedicated: false };
            let entry = found.entry(stat.st_uid).or_insert_with(|| (user, Vec::new()));
            entry.1.push(self.paths.root.join(NAME).join(name));
        }
        Ok(found)
    }
}

impl SlotIo {
    /// Returns the directories of copies for the claimed task's agent. A task can do without.
    pub(super) fn copies_for(&self, class: &str, claimed: &ClaimResponse) -> Option<PathBuf> {
        // A prefix may make somebody else of the task agent, who could not open it.
        if !self.shared.config.command_prefix.is_empty() {
            return None;
        }
        let scope = scope(class, claimed)?;
        match self.dir.copies(&self.lease.user, &scope) {
            Ok(path) => Some(path),
            Err(error) => {
                tracing::warn!(slot = self.number, %error, "no copies of caches can be kept");
                None
            }
        }
    }

    /// Trims the copies of the slot, where it is time.
    pub(super) async fn trim_copies(&self) {
        let (path, now) = (self.dir.paths.root.join(NAME), self.shared.clock.now());
        if !self.shared.trimmed.is_due(&path, now) {
            return;
        }
        self.shared.trimmed.mark(&path, now);
        let all = match self.dir.all_copies() {
            Ok(all) => all,
            Err(error) => {
                tracing::warn!(slot = self.number, %error, "can not trim the copies of caches");
                return;
            }
        };
        let wanted = &self.shared.config.housekeeping;
        for (user, copies) in all.into_values() {
            let trim = Trim {
                paths: Vec::new(),
                copies,
                watermark_bytes: wanted.watermark,
                max_age_ms: Some(millis(wanted.max_age.unwrap_or(LONGEST))),
            };
            self.trim_as(user, trim).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::scope;
    use crate::launch::dirs::{SlotDir, make_state};
    use russet_protocol::runner::ClaimResponse;
    use russet_protocol::supervise::SlotUser;
    use std::os::unix::fs::MetadataExt as _;

    fn claimed(project: &str, fork: Option<bool>, branch: &str) -> ClaimResponse {
        let text = r#"{"task_token":"t","allocation":"a"}"#;
        let mut claimed: ClaimResponse = serde_json::from_str(text).unwrap();
        claimed.project = Some(project.to_owned());
        (claimed.from_fork, claimed.branch) = (fork, Some(branch.to_owned()));
        claimed
    }

    #[test]
    fn copies_are_shared_by_project_class_and_fork() {
        let of = |class: &str, project: &str, fork, branch: &str| {
            scope(class, &claimed(project, fork, branch))
        };
        let main = of("a/b", "p", Some(false), "main");
        assert_eq!(main, of("a/b", "p", Some(false), "other"));
        let others = [
            of("a/c", "p", Some(false), "main"),
            of("a/b", "q", Some(false), "main"),
            of("a/b", "p", Some(true), "main"),
            of("a/b", "p", Some(true), "pull/1"),
            of("a/b\",\"x", "p", Some(false), "main"),
        ];
        for (index, other) in others.iter().enumerate() {
            assert!(other.is_some() && *other != main, "{index}");
            assert!(others.iter().skip(index + 1).all(|one| one != other), "{index}");
        }
        assert_eq!(of("a/b", "p", None, "main"), None);
    }

    #[test]
    fn only_the_slots_user_may_use_a_directory_and_only_root_may_reach_it() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let slot = SlotDir::make(&make_state(&state).unwrap(), &state, 1).unwrap();
        let user = if nix::unistd::geteuid().is_root() {
            SlotUser { uid: 58_131, gid: 58_131, name: None, dedicated: true }
        } else {
            russet_platform::users::caller()
        };
        let path = slot.copies(&user, "0123").unwrap();
        assert_eq!(path, slot.copies(&user, "0123").unwrap());
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o7777), (user.uid, 0o700));
        let parent = std::fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!(
            (parent.uid(), parent.mode() & 0o7777),
            (nix::unistd::geteuid().as_raw(), 0o700)
        );
        std::fs::write(path.join("copy"), "x").unwrap();
        slot.copies(&user, "empty").unwrap();
        let all = slot.all_copies().unwrap();
        assert_eq!(all[&user.uid].1, std::slice::from_ref(&path));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
