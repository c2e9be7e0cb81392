//! Files of a user in directories that are not its slot's own.
//!
//! Everybody may write to `/tmp` and its like, so what a job puts there meets the next task, of
//! whatever slot. Only what belongs to the slot's user is removed, by a process of that user.
//! Directories of others are entered where everybody may write to them, since a job can hide
//! files there (`/tmp/.X11-unix`), but not deep and not without end: they are somebody else's.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FileStat, fstatat};

use super::files;
use super::tally::{Kind, Tally};

/// Depth to which directories of others are looked into.
const MOST_LEVELS: usize = 3;

/// Number of names that are looked at in one directory and below it.
const MOST_NAMES: usize = 20_000;

/// Files to remove.
#[derive(Debug)]
pub(super) struct Sweep<'a> {
    /// Whose files.
    pub(super) uid: u32,
    /// Paths that lead to the slot itself.
    pub(super) spared: &'a [PathBuf],
    /// Time to stop at; the rest is for the next clean-up.
    pub(super) until: Instant,
}

impl Sweep<'_> {
    /// Removes what the user has in `dir`, which may be absent.
    pub(super) fn directory(&self, dir: &Path, kind: Kind, tally: &mut Tally) {
        let Ok(top) = files::open_directory(AT_FDCWD, dir) else { return };
        let mut names = MOST_NAMES;
        self.contents(&top, dir, 0, &mut names, kind, tally);
    }

    /// Removes one path, if it is there and the user's.
    pub(super) fn path(&self, path: &Path, kind: Kind, tally: &mut Tally) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        let Ok(dir) = files::open_directory(AT_FDCWD, parent) else { return };
        let Ok(name) = std::ffi::CString::new(name.as_bytes()) else { return };
        if let Ok(stat) = fstatat(&dir, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
            && stat.st_uid == self.uid
        {
            self.remove(&dir, &name, &stat, path, kind, tally);
        }
    }

    fn contents(
        &self,
        dir: &OwnedFd,
        path: &Path,
        level: usize,
        left: &mut usize,
        kind: Kind,
        tally: &mut Tally,
    ) {
        let Ok(names) = files::list_names(dir) else { return };
        for name in names {
            if *left == 0 || Instant::now() > self.until {
                return;
            }
            *left -= 1;
            let Ok(stat) = fstatat(dir, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) else {
                continue;
            };
            let path = path.join(OsStr::from_bytes(name.to_bytes()));
            if self.spared.contains(&path) {
                continue;
            }
            if stat.st_uid == self.uid {
                self.remove(dir, &name, &stat, &path, kind, tally);
            } else if level < MOST_LEVELS
                && files::is_directory(&stat)
                && stat.st_mode & 0o002 != 0
                && let Ok(sub) = files::open_directory(dir, name.as_c_str())
            {
                self.contents(&sub, &path, level + 1, left, kind, tally);
            }
        }
    }

    fn remove(
        &self,
        dir: &OwnedFd,
        name: &std::ffi::CStr,
        stat: &FileStat,
        path: &Path,
        kind: Kind,
        tally: &mut Tally,
    ) {
        let shown = path.display().to_string();
        match files::remove_entry(dir, name, stat, self.until) {
            Ok(bytes) => tally.removed(kind, bytes, &shown),
            Err(error) => tally.kept(kind, &shown, &error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Sweep, Tally};
    use std::os::unix::fs::{PermissionsExt as _, chown};
    use std::path::Path;
    use std::time::{Duration, Instant};

    const UID: u32 = 59_999;

    fn made(path: &Path, mode: u32, owner: u32) {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join("file"), b"x").unwrap();
        chown(path.join("file"), Some(owner), None).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        chown(path, Some(owner), None).unwrap();
    }

    #[test]
    fn in_a_shared_directory_only_files_of_the_user_go_also_those_in_directories_of_others() {
        if !russet_test_skip::can_be_root("to have files of others") {
            return;
        }
        let shared = tempfile::tempdir().unwrap();
        let path = |name: &str| shared.path().join(name);
        made(&path("mine"), 0o755, UID);
        made(&path("spared"), 0o755, UID);
        made(&path("other"), 0o755, 0);
        made(&path("open"), 0o1777, 0);
        made(&path("open/mine"), 0o700, UID);
        // Nobody else could have written here, so nobody looks.
        made(&path("closed"), 0o755, 0);
        std::fs::write(path("closed/odd"), b"x").unwrap();
        chown(path("closed/odd"), Some(UID), None).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path("link")).unwrap();
        std::os::unix::fs::lchown(path("link"), Some(UID), None).unwrap();
        let spared = [path("spared")];
        let until = Instant::now() + Duration::from_secs(60);
        let sweep = Sweep { uid: UID, spared: &spared, until };
        let mut tally = Tally::default();
        sweep.directory(shared.path(), Kind::SharedFiles, &mut tally);
        assert_eq!(tally.numbers()[0].removed, 3, "{tally:?}");
        for (name, is_there) in [
            ("mine", false),
            ("open/mine", false),
            ("link", false),
            ("spared/file", true),
            ("other/file", true),
            ("open/file", true),
            ("closed/odd", true),
        ] {
            assert_eq!(path(name).symlink_metadata().is_ok(), is_there, "{name}");
        }
        assert!(Path::new("/etc/passwd").exists());
        let mut tally = Tally::default();
        sweep.path(&path("spared"), Kind::Keychains, &mut tally);
        sweep.path(&path("other"), Kind::Keychains, &mut tally);
        sweep.path(&path("none/at/all"), Kind::Keychains, &mut tally);
        assert_eq!(tally.numbers()[0].removed, 1);
        assert!(!path("spared").exists() && path("other").exists());
    }
}
