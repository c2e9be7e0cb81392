//! Files of the person who is logged in: what they want, the lock that keeps a second companion
//! away, and logs that are being followed.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};

use crate::controller::Settings;

/// Paths of the companion's files. Directories are the person's alone: logs name projects and
/// hosts.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// File of the person's settings.
    settings: PathBuf,
    /// Directory that is gone with the session.
    #[cfg_attr(target_os = "macos", expect(dead_code, reason = "windows need no files"))]
    pub(crate) runtime: PathBuf,
    lock: PathBuf,
}

impl Places {
    /// Those of the person who started this.
    pub(crate) fn of_this_user() -> anyhow::Result<Self> {
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        Self::from(home.as_deref(), &|name| {
            std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
        })
    }

    #[cfg(target_os = "macos")]
    fn from(
        home: Option<&Path>,
        _variable: &dyn Fn(&str) -> Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let home = home.context("HOME does not say where your files are")?;
        let own = home.join("Library/Application Support/dev.russet.menubar");
        Ok(Self { settings: own.join("settings.json"), lock: own.join("lock"), runtime: own })
    }

    #[cfg(not(target_os = "macos"))]
    fn from(
        home: Option<&Path>,
        variable: &dyn Fn(&str) -> Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let in_home = |name: &str| home.map(|home| home.join(name));
        let missing = "HOME does not say where your files are";
        let config = variable("XDG_CONFIG_HOME").or_else(|| in_home(".config")).context(missing)?;
        let runtime = variable("XDG_RUNTIME_DIR").or_else(|| in_home(".cache")).context(missing)?;
        let runtime = runtime.join("russet-menubar");
        Ok(Self {
            settings: config.join("russet/menubar.json"),
            lock: runtime.join("lock"),
            runtime,
        })
    }

    /// The right to be the only one, for as long as it is kept; nothing: another has it.
    pub(crate) fn only_instance(&self) -> anyhow::Result<Option<Flock<File>>> {
        make_dir(&self.lock)?;
        let file = private_file(&self.lock, false)
            .with_context(|| format!("could not open {}", self.lock.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => {
                Err(error).with_context(|| format!("could not lock {}", self.lock.display()))
            }
        }
    }

    /// Reads the person's settings. A file that cannot be read counts as empty.
    pub(crate) fn settings(&self) -> Settings {
        match std::fs::read(&self.settings) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                crate::print_error(&format!("{} is not used: {error}", self.settings.display()));
                Settings::default()
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Settings::default(),
            Err(error) => {
                crate::print_error(&format!("could not read {}: {error}", self.settings.display()));
                Settings::default()
            }
        }
    }

    /// Keeps what the person wants.
    pub(crate) fn save(&self, settings: Settings) -> anyhow::Result<()> {
        make_dir(&self.settings)?;
        let draft = self.settings.with_extension("draft");
        let write = || {
            private_file(&draft, true)?.write_all(&serde_json::to_vec(&settings)?)?;
            std::fs::rename(&draft, &self.settings)
        };
        write().with_context(|| format!("could not write {}", self.settings.display()))
    }
}

/// Makes the directory that a file lies in, for this person alone.
pub(crate) fn make_dir(file: &Path) -> anyhow::Result<()> {
    let Some(dir) = file.parent() else { return Ok(()) };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("could not make {}", dir.display()))
}

/// Opens a file for writing that nobody else can read, and follows no link.
pub(crate) fn private_file(path: &Path, is_fresh: bool) -> std::io::Result<File> {
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(is_fresh)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_CLOEXEC)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::Places;
    use crate::controller::Settings;

    fn places(dir: &std::path::Path) -> Places {
        Places::from(Some(dir), &|_| None).unwrap()
    }

    #[test]
    fn only_one_of_a_person_runs_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        let first = places.only_instance().unwrap();
        assert!(first.is_some());
        assert!(places.only_instance().unwrap().is_none());
        drop(first);
        assert!(places.only_instance().unwrap().is_some());
    }

    #[test]
    fn what_a_person_wants_is_kept_and_half_a_file_is_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        assert_eq!(places.settings(), Settings::default());
        let wanted = Settings { notify_failures: true };
        places.save(wanted).unwrap();
        assert_eq!(places.settings(), wanted);
        std::fs::write(&places.settings, "{\"notify").unwrap();
        assert_eq!(places.settings(), Settings::default());
    }
}
