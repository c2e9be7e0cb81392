//! Copies of the archives of caches and workspaces, kept in a slot.
//!
//! `caches` in the slot is root's, and nobody else may enter it. In it is a directory for each user
//! the slot has had and each project, class and fork; that one is the user's own. Root makes and
//! names them, and hands a task agent the path of one, which it opens before it drops. What is in
//! them root neither reads nor deletes; they are trimmed by a process of their user.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode as Permissions, SFlag, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};
use russet_protocol::runner::ClaimResponse;
use russet_protocol::supervise::SlotUser;

use super::directories::SlotDir;
use crate::files::make_own_directory;

/// Name of the directory in a slot.
const NAME: &str = "caches";

/// Names the tasks that share copies with a task. `None` where the server does not say enough: then
/// none does.
pub(in crate::launch) fn copies_scope(class: &str, claimed: &ClaimResponse) -> Option<String> {
    let project = claimed.project.as_ref()?;
    let branch = claimed.from_fork?.then(|| claimed.branch.clone().unwrap_or_default());
    // As JSON, no part can look like another one.
    let text = serde_json::json!([project, class, branch]).to_string();
    Some(blake3::hash(text.as_bytes()).to_hex().chars().take(32).collect())
}

impl SlotDir {
    /// The path of the directory of all copies.
    pub(in crate::launch) fn copies_root(&self) -> PathBuf {
        self.paths.root.join(NAME)
    }

    /// Makes the directory of the copies that a task may use.
    pub(in crate::launch) fn make_copies(
        &self,
        user: &SlotUser,
        scope: &str,
    ) -> io::Result<PathBuf> {
        let private = Permissions::S_IRWXU;
        let caches = make_own_directory(&self.fd, Path::new(NAME), private)?;
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
        Ok(self.copies_root().join(name))
    }

    /// All directories of copies, by the user that they belong to. Empty ones are removed: no task
    /// of the slot may be running.
    pub(in crate::launch) fn all_copies(
        &self,
    ) -> io::Result<BTreeMap<u32, (SlotUser, Vec<PathBuf>)>> {
        let caches = make_own_directory(&self.fd, Path::new(NAME), Permissions::S_IRWXU)?;
        let mut found: BTreeMap<u32, (SlotUser, Vec<PathBuf>)> = BTreeMap::new();
        for entry in std::fs::read_dir(self.copies_root())? {
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
            entry.1.push(self.copies_root().join(name));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::copies_scope;
    use crate::launch::slot_dir::{SlotDir, make_state};
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
            copies_scope(class, &claimed(project, fork, branch))
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
            russet_platform::users::calling_user()
        };
        let path = slot.make_copies(&user, "0123").unwrap();
        assert_eq!(path, slot.make_copies(&user, "0123").unwrap());
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o7777), (user.uid, 0o700));
        let parent = std::fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!(
            (parent.uid(), parent.mode() & 0o7777),
            (nix::unistd::geteuid().as_raw(), 0o700)
        );
        std::fs::write(path.join("copy"), "x").unwrap();
        slot.make_copies(&user, "empty").unwrap();
        let all = slot.all_copies().unwrap();
        assert_eq!(all[&user.uid].1, std::slice::from_ref(&path));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
