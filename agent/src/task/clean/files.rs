//! Deleting what a job left on disk.
//!
//! The tree was made by somebody who may have wanted to make deleting it hard or dangerous:
//! links to elsewhere, directories without permissions, a path of ten thousand levels, a process
//! that swaps a directory for a link while we look. So everything is relative to an open
//! directory, links are never followed, permissions are given back first, and deep directories
//! are moved up before they are entered. This runs as the slot's user, so even a mistake stays
//! with its own files.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Directories below this depth are moved to the top before they are entered: each level costs
/// a descriptor and stack.
const MOST_LEVELS: usize = 64;

/// Empties a directory that belongs to this process's user. One that is not there is empty.
pub(super) fn empty(dir: &Path, until: Instant) -> io::Result<()> {
    let Some(top) = open_own(AT_FDCWD, &c_path(dir)?)? else { return Ok(()) };
    let mut sweep = Sweep { top: top.try_clone()?, until, moved: 0, first_error: None };
    loop {
        let before = sweep.moved;
        sweep.contents(top.try_clone()?, 0)?;
        if let Some(error) = sweep.first_error {
            return Err(error.into());
        }
        // What was moved up is emptied in the next round; time is what bounds them.
        if sweep.moved == before {
            return Ok(());
        }
    }
}

/// Removes what `uid` has in a directory that everybody shares, except for what leads to
/// `spared`. Returns lines for people.
pub(super) fn remove_owned(
    dir: &Path,
    uid: u32,
    spared: &[PathBuf],
    until: Instant,
) -> Vec<String> {
    let mut lines = Vec::new();
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let Ok(top) = openat(AT_FDCWD, dir, flags, Mode::empty()) else { return lines };
    let Ok(names) = names(&top) else { return lines };
    for name in names {
        let Ok(stat) = fstatat(&top, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) else {
            continue;
        };
        let path = dir.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
        if stat.st_uid != uid || spared.contains(&path) {
            continue;
        }
        let shown = path.display().to_string().escape_debug().to_string();
        let removed = if is_directory(&stat) {
            empty(&path, until)
                .and_then(|()| Ok(unlinkat(&top, name.as_c_str(), UnlinkatFlags::RemoveDir)?))
        } else {
            unlinkat(&top, name.as_c_str(), UnlinkatFlags::NoRemoveDir).map_err(io::Error::from)
        };
        lines.push(match removed {
            Ok(()) => format!("removed {shown}, which the job left there"),
            Err(error) => format!("could not remove {shown}, which the job left there: {error}"),
        });
    }
    lines
}

struct Sweep {
    top: OwnedFd,
    until: Instant,
    /// How many deep directories were moved to the top, to be emptied in the next round.
    moved: u64,
    first_error: Option<Errno>,
}

impl Sweep {
    fn contents(&mut self, dir: OwnedFd, level: usize) -> io::Result<()> {
        for name in names(&dir)? {
            if Instant::now() > self.until {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "there is too much in it"));
            }
            if let Err(error) = self.entry(&dir, &name, level)? {
                self.first_error.get_or_insert(error);
            }
        }
        Ok(())
    }

    /// The outer error ends everything, the inner one is about this entry only.
    fn entry(&mut self, dir: &OwnedFd, name: &CStr, level: usize) -> io::Result<Result<(), Errno>> {
        match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(Ok(())),
            // Linux says EISDIR for a directory, POSIX and macOS EPERM.
            Err(Errno::EISDIR | Errno::EPERM) => {}
            Err(error) => return Ok(Err(error)),
        }
        if level >= MOST_LEVELS {
            self.moved += 1;
            let target = format!(".deep-{}-{}", std::process::id(), self.moved);
            return Ok(renameat(dir, name, &self.top, target.as_str()));
        }
        let sub = match open_own(dir, name) {
            Ok(Some(sub)) => sub,
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(errno(&error))),
        };
        self.contents(sub, level + 1)?;
        match unlinkat(dir, name, UnlinkatFlags::RemoveDir) {
            Err(Errno::ENOENT) => Ok(Ok(())),
            // Something deep in it was moved out and something else could not be removed.
            Err(error) => Ok(Err(error)),
            Ok(()) => Ok(Ok(())),
        }
    }
}

/// Opens a directory, with permissions to read and empty it. `None`: it is not there.
fn open_own(dir: impl AsFd + Copy, name: &CStr) -> io::Result<Option<OwnedFd>> {
    let stat = match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::ENOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !is_directory(&stat) {
        return Err(Errno::ENOTDIR.into());
    }
    if stat.st_mode & 0o700 != 0o700 {
        // A link that is swapped in now leads to a file of the same user at worst, since only
        // an owner may change permissions.
        fchmodat(dir, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    Ok(Some(openat(dir, name, flags, Mode::empty())?))
}

fn is_directory(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
}

/// The names in a directory. Collected first: deleting while listing skips entries on some
/// systems.
fn names(dir: &OwnedFd) -> io::Result<Vec<CString>> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    // A descriptor of its own, since the position in the listing is shared by clones.
    let listing = openat(dir, ".", flags, Mode::empty())?;
    let mut dir = Dir::from_fd(listing)?;
    let mut names = Vec::new();
    for entry in dir.iter() {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{empty, remove_owned};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::time::{Duration, Instant};

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn a_tree_that_does_not_want_to_go_goes_and_nothing_else() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("keep"), b"x").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("sub");
        std::fs::create_dir(&sub).unwrap();
        std::fs::write(sub.join("file"), b"x").unwrap();
        symlink(outside.path(), sub.join("link")).unwrap();
        std::fs::set_permissions(&sub, std::fs::Permissions::from_mode(0o000)).unwrap();
        empty(dir.path(), soon()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(outside.path().join("keep").exists());
        empty(&dir.path().join("none"), soon()).unwrap();
        let link = outside.path().join("link");
        symlink("/etc", &link).unwrap();
        empty(&link, soon()).unwrap_err();
    }

    #[test]
    fn a_thousand_levels_are_no_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join(["d"; 1000].join("/"));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("end"), b"x").unwrap();
        empty(dir.path(), soon()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn in_a_shared_directory_only_files_of_the_user_go() {
        let shared = tempfile::tempdir().unwrap();
        let mine = shared.path().join("mine");
        std::fs::create_dir(&mine).unwrap();
        std::fs::write(mine.join("file"), b"x").unwrap();
        let spared = shared.path().join("spared");
        std::fs::create_dir(&spared).unwrap();
        let other = shared.path().join("other");
        std::fs::write(&other, b"x").unwrap();
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        for path in [&mine, &spared] {
            chown(path, Some(59_999), None).unwrap();
        }
        let lines = remove_owned(shared.path(), 59_999, std::slice::from_ref(&spared), soon());
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(!mine.exists() && spared.exists() && other.exists());
    }
}
