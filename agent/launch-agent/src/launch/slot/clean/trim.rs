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

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, User};
use russet_protocol::supervise::{Assignment, Mode as HelperMode, SlotUser, TRIMMED_SUM, Trim};

use crate::files::make_own_directory;

use crate::launch::slot::helper::run_within;
use crate::launch::slot::info::SlotInfo;
use russet_platform::clock::whole_millis;

/// Timeout of a trimming helper; it is killed.
const HELPER_TIMEOUT: Duration = Duration::from_secs(180);

/// Age beyond which unused copies of archives go, unless the owner says otherwise.
const MAX_COPY_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Folder of the state directory with what trimming knows of caches, by their owners.
const MEMORY: &str = "trimming";

/// Trims the caches that are due.
pub(super) async fn trim_caches(info: &SlotInfo) {
    let wanted = &info.shared.config.housekeeping;
    let mut by_owner: BTreeMap<u32, (SlotUser, Vec<PathBuf>)> = BTreeMap::new();
    let now = info.shared.clock.now();
    for path in wanted.paths.iter().filter(|path| info.shared.caches.is_due(path, now)) {
        match find_owner(path) {
            Ok(user) => {
                let entry = by_owner.entry(user.uid).or_insert_with(|| (user, Vec::new()));
                entry.1.push(path.clone());
            }
            // It comes with the first build that uses it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot trim a cache");
                info.shared.caches.mark_trimmed(path, now);
            }
        }
    }
    for (uid, (user, paths)) in by_owner {
        let is_own = uid == info.user().uid;
        // Held until it is done: a task that is about to begin waits for it.
        let alone = if is_own { None } else { info.shared.caches.try_lock() };
        if !is_own && alone.is_none() {
            continue;
        }
        paths.iter().for_each(|path| info.shared.caches.mark_trimmed(path, now));
        let trim = Trim {
            paths,
            copies: Vec::new(),
            watermark_bytes: wanted.watermark,
            max_age_ms: wanted.max_age.map(whole_millis),
            everything: false,
            gone: Vec::new(),
            memory: memory_of(info, uid),
        };
        trim_as(info, user, trim).await;
    }
    trim_copies(info).await;
}

/// Returns the file of what trimming knows of a user's caches, made where it is absent. Trimming can
/// do without.
fn memory_of(info: &SlotInfo, uid: u32) -> Option<PathBuf> {
    let folder = info.shared.config.state_directory.join(MEMORY);
    let made = make_own_directory(AT_FDCWD, &folder, Mode::S_IRWXU).and_then(|dir| {
        let name = format!("{uid}.json");
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&dir, name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        Ok(folder.join(name))
    });
    made.map_err(|error| tracing::debug!(%error, "each look at caches begins anew")).ok()
}

pub(super) async fn trim_as(info: &SlotInfo, user: SlotUser, trim: Trim) {
    let assignment = Assignment {
        mode: HelperMode::Trim,
        user: Some(user),
        trim: Some(trim),
        ..info.blank_assignment()
    };
    match run_within(info, &assignment, HELPER_TIMEOUT).await {
        Ok((status, said)) if status.success() => {
            info.shared.metrics.trimmed(read_trimmed_bytes(&said));
            if !said.is_empty() {
                tracing::info!(slot = info.number, said, "trimmed caches");
            }
        }
        Ok((_, said)) => tracing::warn!(slot = info.number, said, "could not trim caches"),
        Err(error) => tracing::warn!(slot = info.number, %error, "could not trim caches"),
    }
}

/// Trims the copies of the slot's archives, where it is time.
async fn trim_copies(info: &SlotInfo) {
    let (path, now) = (info.dir.copies_root(), info.shared.clock.now());
    if !info.shared.caches.is_due(&path, now) {
        return;
    }
    info.shared.caches.mark_trimmed(&path, now);
    let all = match info.dir.all_copies() {
        Ok(all) => all,
        Err(error) => {
            tracing::warn!(slot = info.number, %error, "cannot trim the copies of caches");
            return;
        }
    };
    let wanted = &info.shared.config.housekeeping;
    for (user, copies) in all.into_values() {
        let trim = Trim {
            paths: Vec::new(),
            copies,
            watermark_bytes: wanted.watermark,
            max_age_ms: Some(whole_millis(wanted.max_age.unwrap_or(MAX_COPY_AGE))),
            everything: false,
            gone: Vec::new(),
            memory: None,
        };
        trim_as(info, user, trim).await;
    }
}

/// Reads the number that the helper ends with. It is the word of the cache's owner, and no more
/// than a number: what cannot be one is none.
fn read_trimmed_bytes(said: &str) -> u64 {
    let last = said.rsplit("; ").next().and_then(|text| text.strip_suffix(TRIMMED_SUM));
    last.and_then(|text| text.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

/// Finds the user that a cache belongs to.
///
/// Threat: the path is the owner's, in root's configuration, but what stands there may be
/// somebody's who wants another user's files deleted. So it has to be a directory and no link,
/// and everything on the way to it has to be root's or that user's own, and nobody else's to
/// exchange. What it is then, at most, is a directory of that user's that is listed and trimmed
/// by that user.
fn find_owner(path: &Path) -> io::Result<SlotUser> {
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
    use super::find_owner;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    #[test]
    fn what_was_trimmed_is_the_last_word_of_the_helper() {
        let said = "removed 3 of /c: 12 MB; removed 12345678 bytes in all";
        assert_eq!(super::read_trimmed_bytes(said), 12_345_678);
        for said in ["", "bytes in all", "removed 1 of /c", "removed -5 bytes in all; later"] {
            assert_eq!(super::read_trimmed_bytes(said), 0, "{said}");
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
        assert_eq!(find_owner(&path("cache")).unwrap().uid, 58_001);
        // Root's own.
        made("roots", 0, 0o755);
        assert!(find_owner(&path("roots")).unwrap_err().to_string().contains("root"));
        // A link to what is another's.
        symlink(path("cache"), path("link")).unwrap();
        assert!(find_owner(&path("link")).unwrap_err().to_string().contains("no directory"));
        // A directory that its neighbours can exchange.
        made("shared", 0, 0o777);
        made("shared/cache", 58_001, 0o755);
        assert!(find_owner(&path("shared/cache")).unwrap_err().to_string().contains("by others"));
        // One in a directory of another user.
        made("theirs", 58_002, 0o755);
        made("theirs/cache", 58_001, 0o755);
        assert!(find_owner(&path("theirs/cache")).is_err());
        assert_eq!(find_owner(&path("none")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }
}
