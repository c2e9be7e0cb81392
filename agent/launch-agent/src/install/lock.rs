//! The lock of an installation: installing, removing and what a package left to do wait for each
//! other.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

use super::error::InstallError;
use super::files::remove_file;
use crate::files::open_directory;
use russet_platform::layout::Layout;

/// Time for which another installation or removal is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(45);

/// Interval of tries.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// Name of the file in the directory of code. Threat: anybody can open the directory itself, and
/// would hold a lock of it for as long as they like.
pub(super) const NAME: &str = "install.lock";

/// Keeps others from changing the installation while it lives, or until its process ends.
#[derive(Debug)]
pub struct InstallationLock {
    /// The locked file and its path. Without a directory of code there is nothing that two could
    /// change.
    file: Option<(Flock<File>, PathBuf)>,
}

impl Drop for InstallationLock {
    /// Leaves no file. Whoever waits for it finds that it has none, and makes another.
    fn drop(&mut self) {
        if let Some((_locked, path)) = &self.file {
            let _stays = remove_file(path);
        }
    }
}

/// Locks an installation. Whoever is not root changes nothing, and needs no lock.
///
/// # Errors
///
/// Another installation or removal is at work, or the file cannot be opened.
pub fn lock_installation(layout: &Layout) -> Result<InstallationLock, InstallError> {
    lock_code(layout.code())
}

/// Locks the installation whose code is in a directory.
pub(super) fn lock_code(code: PathBuf) -> Result<InstallationLock, InstallError> {
    let start = Instant::now();
    loop {
        match try_lock(&code).map_err(InstallError::file("lock", &code))? {
            Some(lock) => return Ok(lock),
            None if start.elapsed() > LOCK_TIMEOUT => return Err(InstallError::Locked),
            None => std::thread::sleep(LOCK_INTERVAL),
        }
    }
}

fn try_lock(code: &Path) -> std::io::Result<Option<InstallationLock>> {
    let unlocked = Ok(Some(InstallationLock { file: None }));
    if !geteuid().is_root() {
        return unlocked;
    }
    let directory = match open_directory(AT_FDCWD, code) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return unlocked,
        directory => directory?,
    };
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(&directory, NAME, flags, Mode::from_bits_truncate(0o600))?;
    let path = code.join(NAME);
    match Flock::lock(File::from(file), FlockArg::LockExclusiveNonblock) {
        // Whoever was waited for has taken it away.
        Ok(lock) if !is_at(&lock, &path) => Ok(None),
        Ok(lock) => Ok(Some(InstallationLock { file: Some((lock, path)) })),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), path.symlink_metadata()) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use super::{lock_installation, try_lock};
    use russet_platform::layout::Layout;

    #[test]
    fn one_at_a_time_changes_an_installation_and_without_code_there_is_nothing_to_lock() {
        if !russet_test_skip::can_be_root("to own what is installed") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::below(dir.path());
        lock_installation(&layout).unwrap();
        std::fs::create_dir_all(layout.code()).unwrap();
        let lock = lock_installation(&layout).unwrap();
        assert!(try_lock(&layout.code()).unwrap().is_none());
        drop(lock);
        assert!(try_lock(&layout.code()).unwrap().is_some());
        assert_eq!(std::fs::read_dir(layout.code()).unwrap().count(), 0);
    }
}
