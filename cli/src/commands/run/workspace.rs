//! The temporary directory of a run.
//!
//! Tasks work in it. As root it has to be reachable by the users that tasks run as, also when
//! the checkout and root's home are closed to them, so it stands in `/var/tmp` and may be passed
//! through (0711) but not listed.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

use crate::error::{CliError, Result};

/// Prefix of the directories of runs.
const PREFIX: &str = "russet-run-";

/// A directory whose run is gone is deleted when it is this old: server and agent of a run that
/// was killed need a moment to end their tasks.
const STALE: Duration = Duration::from_secs(60 * 60);

/// The directory, and the lock that says that its run is alive.
#[derive(Debug)]
pub(super) struct Workspace {
    dir: TempDir,
    _lock: Flock<File>,
}

impl Workspace {
    /// Makes the directory.
    pub(super) fn create() -> Result<Self> {
        let is_root = nix::unistd::geteuid().is_root();
        let base = if is_root { PathBuf::from("/var/tmp") } else { std::env::temp_dir() };
        let failed = |error: std::io::Error| {
            CliError::local(
                format!("could not make a temporary directory in {}", base.display()),
                error,
            )
        };
        let mode = if is_root { 0o711 } else { 0o700 };
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(mode))
            .tempdir_in(&base)
            .map_err(failed)?;
        // The mode above is subject to the umask, which may be stricter.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(mode)).map_err(failed)?;
        let lock = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(dir.path().join("lock"))
            .map_err(failed)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, error)| failed(error.into()))?;
        std::thread::spawn(move || sweep_stale(&base));
        Ok(Self { dir, _lock: lock })
    }

    /// A path in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that only the caller may read.
    pub(super) fn write_private(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| {
                CliError::local(format!("could not write {}", path.display()), error)
            })?;
        Ok(path)
    }

    /// Opens a file for the output of a child.
    pub(super) fn log(&self, name: &str) -> Result<File> {
        let path = self.path(name);
        File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| CliError::local(format!("could not write {}", path.display()), error))
    }

    /// Leaves the directory where it is.
    pub(super) fn keep(self) -> PathBuf {
        self.dir.keep()
    }

    /// Deletes it.
    pub(super) fn remove(self) -> Result<()> {
        let path = self.dir.path().to_owned();
        self.dir
            .close()
            .map_err(|error| CliError::local(format!("could not delete {}", path.display()), error))
    }
}

/// Deletes what runs that were killed have left.
fn sweep_stale(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_stale(&entry.path()) {
            // The next run tries again.
            let _not_deleted = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Returns true if a directory is ours, old, and of a run that is gone. Others may make directories
/// of that name in a shared place: theirs are left alone.
fn is_stale(dir: &Path) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(dir) else { return false };
    let is_ours = metadata.is_dir() && metadata.uid() == nix::unistd::geteuid().as_raw();
    let is_old = metadata
        .modified()
        .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > STALE));
    if !(is_ours && is_old) {
        return false;
    }
    match File::options().write(true).custom_flags(libc::O_NOFOLLOW).open(dir.join("lock")) {
        Ok(lock) => Flock::lock(lock, FlockArg::LockExclusiveNonblock).is_ok(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use nix::fcntl::{Flock, FlockArg};

    use super::{STALE, is_stale, sweep_stale};

    /// A directory as a run that was killed leaves it.
    fn left(base: &std::path::Path, name: &str) -> std::path::PathBuf {
        let dir = base.join(name);
        std::fs::create_dir(&dir).unwrap();
        File::create(dir.join("lock")).unwrap();
        File::open(&dir).unwrap().set_modified(SystemTime::now() - STALE * 2).unwrap();
        dir
    }

    #[test]
    fn only_what_a_dead_run_left_long_ago_is_deleted() {
        let base = tempfile::tempdir().unwrap();
        let dead = left(base.path(), "russet-run-dead");
        let other = left(base.path(), "something-else");
        let alive = left(base.path(), "russet-run-alive");
        let lock = File::options().write(true).open(alive.join("lock")).unwrap();
        let _lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).unwrap();
        let young = left(base.path(), "russet-run-young");
        File::open(&young).unwrap().set_modified(SystemTime::now()).unwrap();
        std::os::unix::fs::symlink(&other, base.path().join("russet-run-link")).unwrap();
        assert!(!is_stale(&base.path().join("russet-run-link")));
        sweep_stale(base.path());
        assert!(!dead.exists() && other.exists() && alive.exists() && young.exists());
    }
}
