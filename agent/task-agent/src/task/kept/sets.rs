//! Opening the directories of sets, while this process is still root.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg};
use nix::sys::stat::fstat;
use russet_protocol::supervise::{Assignment, KeptSet, Mode};

use crate::stderr::print_error;
use crate::task::clean::files;

/// A set whose directories are open.
#[derive(Debug)]
pub(crate) struct OpenSet {
    /// Directories of the home, relative to it.
    pub(super) paths: Vec<PathBuf>,
    /// Directory to clone from. It is not emptied while this lock is held.
    pub(super) from: Option<Flock<OwnedFd>>,
    /// Directory to clone into.
    pub(super) to: Option<OwnedFd>,
    /// Limit of what is cloned out, in bytes.
    pub(super) max_bytes: u64,
}

/// Opens the sets of a task. One that cannot be opened is done without, which is said.
pub(crate) fn open_sets(assignment: &Assignment) -> Vec<OpenSet> {
    if assignment.mode != Mode::Run {
        return Vec::new();
    }
    let uid = assignment.user.as_ref().map_or_else(|| nix::unistd::getuid().as_raw(), |u| u.uid);
    assignment.kept.iter().map(|set| open_set(set, uid)).collect()
}

fn open_set(set: &KeptSet, uid: u32) -> OpenSet {
    let said = |path: &Path, error: io::Error| {
        print_error(&format!("could not open {}: {error}", path.display()));
    };
    let from = set
        .from
        .as_ref()
        .and_then(|path| lock_shared(path).map_err(|error| said(path, error)).ok().flatten());
    let to = set
        .to
        .as_ref()
        .and_then(|path| open_own(path, uid).map_err(|error| said(path, error.into())).ok());
    let paths = set.paths.iter().filter(|path| is_below_home(path)).cloned().collect();
    OpenSet { paths, from, to, max_bytes: set.max_bytes }
}

/// Opens directories of sets that go, each for this process alone. One that a task still clones from
/// is left for another time.
pub(crate) fn open_gone(paths: &[PathBuf], uid: u32) -> Vec<(PathBuf, Flock<OwnedFd>)> {
    let open = |path: &PathBuf| {
        let lock = Flock::lock(open_own(path, uid).ok()?, FlockArg::LockExclusiveNonblock).ok()?;
        Some((path.clone(), lock))
    };
    paths.iter().filter_map(open).collect()
}

/// Opens a directory that has to belong to a user. The way to it is root's, and nobody else may enter
/// it.
fn open_own(path: &Path, uid: u32) -> Result<OwnedFd, Errno> {
    let dir = files::open_directory(AT_FDCWD, path)?;
    if fstat(&dir)?.st_uid == uid { Ok(dir) } else { Err(Errno::EACCES) }
}

/// Opens a directory of a set and keeps it from being emptied. `None`: it goes just now.
fn lock_shared(path: &Path) -> io::Result<Option<Flock<OwnedFd>>> {
    let dir = files::open_directory(AT_FDCWD, path)?;
    let Ok(lock) = Flock::lock(dir, FlockArg::LockSharedNonblock) else { return Ok(None) };
    // Another set may have taken its place before it was locked, and this one may be half gone.
    let (ours, named) = (fstat(lock.as_fd())?, nix::sys::stat::lstat(path)?);
    let is_named = (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino);
    Ok(is_named.then_some(lock))
}

/// Returns true for a path below the home that leads nowhere else.
fn is_below_home(path: &Path) -> bool {
    let mut parts = path.components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::{is_below_home, lock_shared, open_gone};
    use std::path::Path;

    #[test]
    fn only_a_path_below_the_home_is_one() {
        for path in ["Library/Caches", ".gradle", "a"] {
            assert!(is_below_home(Path::new(path)), "{path}");
        }
        for path in ["", "/etc", "..", "a/../../b", "./a"] {
            assert!(!is_below_home(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_set_that_a_task_clones_from_is_not_emptied_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let uid = nix::unistd::geteuid().as_raw();
        let path = dir.path().join("files");
        std::fs::create_dir(&path).unwrap();
        let lock = lock_shared(&path).unwrap().unwrap();
        assert!(lock_shared(&path).unwrap().is_some());
        assert!(open_gone(std::slice::from_ref(&path), uid).is_empty());
        drop(lock);
        let gone = open_gone(std::slice::from_ref(&path), uid);
        assert_eq!(gone.len(), 1);
        assert!(lock_shared(&path).unwrap().is_none());
        drop(gone);
        // Nor is a link followed to one.
        std::os::unix::fs::symlink(&path, dir.path().join("link")).unwrap();
        assert!(lock_shared(&dir.path().join("link")).is_err());
        assert!(open_gone(&[dir.path().join("link")], uid).is_empty());
    }
}
