//! Trimming caches of the owner's between tasks (`runner.housekeeping`).
//!
//! It is a part of cleaning a slot, so the slot has no task meanwhile. A cache of the slot's own
//! user is trimmed then; one of anybody else only while no other slot has a task either, and none
//! begins before it is done. The work is done by a process of the user that the cache belongs to:
//! root looks at owners, and neither lists nor deletes.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Uid, User};
use russet_protocol::supervise::{Assignment, Mode, SlotUser, Trim};

use super::slot_io::SlotIo;
use russet_platform::clock::{BootTime, millis};
use russet_protocol::supervise::TRIMMED_SUM;

/// Not more often than this: looking through a cache takes time.
const PAUSE: Duration = Duration::from_secs(10 * 60);

/// A helper that takes longer is killed.
const LONGEST: Duration = Duration::from_secs(180);

/// Time at which trimming was done last, for each path.
#[derive(Debug, Default)]
pub(super) struct Trimmed(std::sync::Mutex<BTreeMap<PathBuf, BootTime>>);

impl Trimmed {
    /// Returns true if it is time.
    pub(super) fn is_due(&self, path: &Path, now: BootTime) -> bool {
        let last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        last.get(path).is_none_or(|then| now.since(*then) >= PAUSE)
    }

    /// It is done, or can not be.
    pub(super) fn mark(&self, path: &Path, now: BootTime) {
        let mut last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        last.insert(path.to_owned(), now);
    }
}

impl SlotIo {
    /// Trims what is due.
    pub(super) async fn trim(&self) {
        let wanted = &self.shared.config.housekeeping;
        let mut by_owner: BTreeMap<u32, (SlotUser, Vec<PathBuf>)> = BTreeMap::new();
        let now = self.shared.clock.now();
        for path in wanted.paths.iter().filter(|path| self.shared.trimmed.is_due(path, now)) {
            match owner(path) {
                Ok(user) => {
                    let entry = by_owner.entry(user.uid).or_insert_with(|| (user, Vec::new()));
                    entry.1.push(path.clone());
                }
                // It comes with the first build that uses it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "can not trim a cache");
                    self.shared.trimmed.mark(path, now);
                }
            }
        }
        for (uid, (user, paths)) in by_owner {
            let is_own = uid == self.lease.user.uid;
            // Held until it is done: a task that is about to begin waits for it.
            let alone = if is_own { None } else { self.shared.tasks.try_write().ok() };
            if !is_own && alone.is_none() {
                continue;
            }
            paths.iter().for_each(|path| self.shared.trimmed.mark(path, now));
            let trim = Trim {
                paths,
                copies: Vec::new(),
                watermark_bytes: wanted.watermark,
                max_age_ms: wanted.max_age.map(millis),
            };
            self.trim_as(user, trim).await;
        }
        self.trim_copies().await;
    }

    pub(super) async fn trim_as(&self, user: SlotUser, trim: Trim) {
        let assignment = Assignment {
            mode: Mode::Trim,
            user: Some(user),
            trim: Some(trim),
            ..self.blank_assignment()
        };
        match self.helper_within(&assignment, LONGEST).await {
            Ok((status, said)) if status.success() => {
                self.shared.metrics.trimmed(trimmed_bytes(&said));
                if !said.is_empty() {
                    tracing::info!(slot = self.number, said, "trimmed caches");
                }
            }
            Ok((_, said)) => tracing::warn!(slot = self.number, said, "could not trim caches"),
            Err(error) => tracing::warn!(slot = self.number, %error, "could not trim caches"),
        }
    }
}

/// The number that the helper ends with. It is the word of the cache's owner, and no more than a
/// number: what can not be one is none.
fn trimmed_bytes(said: &str) -> u64 {
    let last = said.rsplit("; ").next().and_then(|text| text.strip_suffix(TRIMMED_SUM));
    last.and_then(|text| text.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

/// Whose the cache is.
///
/// Threat: the path is the owner's, in root's configuration, but what stands there may be
/// somebody's who wants another user's files deleted. So it has to be a directory and no link,
/// and everything on the way to it has to be root's or that user's own, and nobody else's to
/// exchange. What it is then, at most, is a directory of that user's that is listed and trimmed
/// by that user.
fn owner(path: &Path) -> io::Result<SlotUser> {
    let denied = |text: String| io::Error::new(io::ErrorKind::PermissionDenied, text);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(denied("it is no directory in another".to_owned()));
    };
    // Links that root made on the way (`/var` on macOS) are followed here, once.
    let parent = parent.canonicalize()?;
    let meta = parent.join(name).symlink_metadata()?;
    if !meta.is_dir() {
        return Err(denied("it is no directory".to_owned()));
    }
    let uid = meta.uid();
    for directory in parent.ancestors() {
        let meta = directory.symlink_metadata()?;
        let is_open = meta.mode() & 0o022 != 0 && meta.mode() & 0o1000 == 0;
        if is_open || ![0, uid].contains(&meta.uid()) {
            return Err(denied(format!("{} can be changed by others", directory.display())));
        }
    }
    let found = User::from_uid(Uid::from_raw(uid)).map_err(io::Error::from)?;
    let gid = found.as_ref().map_or(meta.gid(), |user| user.gid.as_raw());
    if nix::unistd::geteuid().is_root() && (uid == 0 || gid == 0) {
        return Err(denied("it is root's, and root deletes nothing".to_owned()));
    }
    let name = found.map(|user| user.name);
    Ok(SlotUser { uid, gid, name, dedicated: false })
}

#[cfg(test)]
mod tests {
    use super::{Trimmed, owner};
    use russet_platform::clock::BootTime;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::path::Path;
    use std::time::Duration;

    #[test]
    fn a_cache_is_trimmed_now_and_then() {
        let (trimmed, path) = (Trimmed::default(), Path::new("/cache"));
        let now = BootTime(1_000_000);
        assert!(trimmed.is_due(path, now) && trimmed.is_due(path, now));
        trimmed.mark(path, now);
        assert!(!trimmed.is_due(path, now.after(Duration::from_secs(599))));
        assert!(trimmed.is_due(Path::new("/other"), now));
        assert!(trimmed.is_due(path, now.after(Duration::from_secs(600))));
    }

    #[test]
    fn what_was_trimmed_is_the_last_word_of_the_helper() {
        let said = "removed 3 of /c: 12 MB; removed 12345678 bytes in all";
        assert_eq!(super::trimmed_bytes(said), 12_345_678);
        for said in ["", "bytes in all", "removed 1 of /c", "removed -5 bytes in all; later"] {
            assert_eq!(super::trimmed_bytes(said), 0, "{said}");
        }
    }

    #[test]
    fn nobody_gets_the_files_of_somebody_else_trimmed() {
        if !russet_test_skip::can_be_root("to have files of others") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let made = |name: &str, uid: u32, mode: u32| {
            std::fs::create_dir(path(name)).unwrap();
            chown(path(name), Some(uid), Some(uid)).unwrap();
            std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        made("cache", 58_001, 0o755);
        assert_eq!(owner(&path("cache")).unwrap().uid, 58_001);
        // Root's own.
        made("roots", 0, 0o755);
        assert!(owner(&path("roots")).unwrap_err().to_string().contains("root"));
        // A link to what is another's.
        symlink(path("cache"), path("link")).unwrap();
        assert!(owner(&path("link")).unwrap_err().to_string().contains("no directory"));
        // A directory that its neighbours can exchange.
        made("shared", 0, 0o777);
        made("shared/cache", 58_001, 0o755);
        assert!(owner(&path("shared/cache")).unwrap_err().to_string().contains("by others"));
        // One in a directory of another user.
        made("theirs", 58_002, 0o755);
        made("theirs/cache", 58_001, 0o755);
        assert!(owner(&path("theirs/cache")).is_err());
        assert_eq!(owner(&path("none")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }
}
