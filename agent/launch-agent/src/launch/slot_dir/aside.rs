//! Directories of a slot that could not be emptied, moved out of the next task's way.
//!
//! `aside` in the slot is root's, and nobody else may enter it: the next task has the same user. In
//! it is each such directory as it was, its user's own. Root renames single names of its own
//! directories, which follows no link, and deletes nothing but empty directories; what is in them is
//! emptied by a process of their user that gets them opened.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, renameat};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use russet_protocol::supervise::SlotUser;

use super::directories::{OWN, SlotDir};
use crate::files::{make_own_directory, open_directory};

/// Name of the directory in a slot.
const NAME: &str = "aside";

/// The directories that are kept aside, by the user that they belong to.
#[derive(Debug, Default)]
pub(in crate::launch) struct AsideDirectories {
    pub(in crate::launch) by_user: BTreeMap<u32, (SlotUser, Vec<PathBuf>)>,
    /// Time at which the oldest one was moved there, in seconds since 1970.
    pub(in crate::launch) oldest_s: u64,
}

impl AsideDirectories {
    /// Number of directories.
    pub(in crate::launch) fn count(&self) -> usize {
        self.by_user.values().map(|(_, paths)| paths.len()).sum()
    }
}

impl SlotDir {
    /// The path of what is kept aside.
    pub(in crate::launch) fn aside_root(&self) -> PathBuf {
        self.paths.root.join(NAME)
    }

    /// Returns the names of the slot's own directories that are not empty; removes the others.
    pub(in crate::launch) fn full_directories(&self) -> io::Result<Vec<&'static str>> {
        let mut full = Vec::new();
        for name in OWN {
            match unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(Errno::ENOTEMPTY | Errno::EEXIST) => full.push(name),
                Err(error) => return Err(self.named(name, error)),
            }
        }
        Ok(full)
    }

    /// Moves directories of the slot's user aside. `now_s` is the time in seconds since 1970.
    pub(in crate::launch) fn move_aside(&self, names: &[&str], now_s: u64) -> io::Result<()> {
        let aside = make_own_directory(&self.fd, Path::new(NAME), Mode::S_IRWXU)?;
        for name in names {
            let free = (0..=u32::MAX)
                .map(|number| format!("{now_s}-{number}-{name}"))
                .find(|target| is_free(&aside, target))
                .ok_or(Errno::EEXIST)?;
            renameat(&self.fd, *name, &aside, free.as_str())
                .map_err(|error| self.named(name, error))?;
        }
        Ok(())
    }

    /// Lists what is kept aside. What is empty by now is removed.
    pub(in crate::launch) fn aside_directories(&self) -> io::Result<AsideDirectories> {
        let aside = match open_directory(&self.fd, Path::new(NAME)) {
            Ok(aside) => aside,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(AsideDirectories::default());
            }
            Err(error) => return Err(error),
        };
        let mut found = AsideDirectories { oldest_s: u64::MAX, ..AsideDirectories::default() };
        for entry in std::fs::read_dir(self.aside_root())? {
            let name = entry?.file_name();
            if unlinkat(&aside, name.as_os_str(), UnlinkatFlags::RemoveDir).is_ok() {
                continue;
            }
            let stat = fstatat(&aside, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
            if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFDIR {
                continue;
            }
            let time = name.to_str().and_then(|name| name.split('-').next()?.parse().ok());
            found.oldest_s = found.oldest_s.min(time.unwrap_or(u64::MAX));
            let user =
                SlotUser { uid: stat.st_uid, gid: stat.st_gid, name: None, dedicated: false };
            let entry = found.by_user.entry(stat.st_uid).or_insert_with(|| (user, Vec::new()));
            entry.1.push(self.aside_root().join(name));
        }
        Ok(found)
    }
}

fn is_free(aside: &OwnedFd, name: &str) -> bool {
    matches!(fstatat(aside, name, AtFlags::AT_SYMLINK_NOFOLLOW), Err(Errno::ENOENT))
}

#[cfg(test)]
mod tests {
    use crate::launch::slot_dir::{SlotDir, make_state};
    use russet_protocol::supervise::SlotUser;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    fn user() -> SlotUser {
        if nix::unistd::geteuid().is_root() {
            SlotUser { uid: 58_141, gid: 58_141, name: None, dedicated: true }
        } else {
            russet_platform::users::calling_user()
        }
    }

    #[test]
    fn a_full_directory_is_moved_where_nobody_else_enters_and_a_fresh_one_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let slot = SlotDir::make(&make_state(&state).unwrap(), &state, 1).unwrap();
        let names = ["home", "tmp"];
        for _ in 0..2 {
            slot.refresh(&user()).unwrap();
            for path in [&slot.paths.home, &slot.paths.tmp] {
                std::fs::write(path.join("left"), "x").unwrap();
            }
            assert_eq!(slot.full_directories().unwrap(), names);
            // The same time twice: each has a name of its own.
            slot.move_aside(&names, 1_700_000_000).unwrap();
        }
        slot.refresh(&user()).unwrap();
        assert_eq!(std::fs::read_dir(&slot.paths.home).unwrap().count(), 0);
        let meta = std::fs::metadata(slot.aside_root()).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o7777), (nix::unistd::geteuid().as_raw(), 0o700));
        let aside = slot.aside_directories().unwrap();
        assert_eq!((aside.count(), aside.oldest_s), (4, 1_700_000_000));
        let (owner, paths) = &aside.by_user[&user().uid];
        assert!(owner.uid == user().uid && !owner.dedicated);
        // What was emptied is gone with the next look.
        std::fs::remove_file(paths[0].join("left")).unwrap();
        assert_eq!(slot.aside_directories().unwrap().count(), 3);
    }

    #[test]
    fn a_link_in_the_place_of_the_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let slot = SlotDir::make(&make_state(&state).unwrap(), &state, 1).unwrap();
        slot.refresh(&user()).unwrap();
        std::fs::write(slot.paths.home.join("left"), "x").unwrap();
        symlink(dir.path(), slot.aside_root()).unwrap();
        slot.move_aside(&["home"], 1).unwrap_err();
        slot.aside_directories().unwrap_err();
        std::fs::remove_file(slot.aside_root()).unwrap();
        assert_eq!(slot.aside_directories().unwrap().count(), 0);
        assert!(slot.paths.home.join("left").exists());
    }
}
