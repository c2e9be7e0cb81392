//! What this server has for work with Git remotes: settings, directories, and who works.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard, Semaphore};

use super::GitSettings;
use super::mirror::Mirror;

/// Remotes that are listed or fetched at the same time by one server.
pub(crate) const MAX_PARALLEL: usize = 4;

/// Room for work with Git remotes.
#[derive(Debug)]
pub(crate) struct GitRoom {
    pub(crate) settings: GitSettings,
    dir: PathBuf,
    /// Wakes the one who polls.
    pub(crate) polls: Notify,
    /// Wakes the one who builds.
    pub(crate) builds: Notify,
    pub(crate) turns: Arc<Semaphore>,
    mirrors: Mutex<HashMap<PathBuf, Arc<AsyncMutex<()>>>>,
}

impl GitRoom {
    /// Makes room below a data directory. What a killed server has left of its calls is removed.
    pub(crate) fn new(data_dir: &Path, settings: GitSettings) -> Self {
        // Calls of git work in other directories than this process.
        let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        let dir = data_dir.join("git");
        // A new server has none, and files that cannot be removed only take room.
        drop(std::fs::remove_dir_all(dir.join("scratch")));
        Self {
            settings,
            dir,
            polls: Notify::new(),
            builds: Notify::new(),
            turns: Arc::new(Semaphore::new(MAX_PARALLEL)),
            mirrors: Mutex::default(),
        }
    }

    /// Returns the directory for files of calls, made where it is not there.
    pub(crate) fn scratch(&self) -> std::io::Result<PathBuf> {
        let scratch = self.dir.join("scratch");
        std::fs::create_dir_all(&scratch)?;
        Ok(scratch)
    }

    /// Returns the mirror of a project's remote, which nobody else uses until the guard is dropped.
    pub(crate) async fn mirror(&self, project: &str, url: &str) -> (Mirror, OwnedMutexGuard<()>) {
        let mirror = Mirror::of(&self.dir.join("mirrors"), project, url);
        let lock = {
            let mut mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
            mirrors.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(mirrors.entry(mirror.path.clone()).or_default())
        };
        let guard = lock.lock_owned().await;
        (mirror, guard)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{GitRoom, GitSettings};

    #[tokio::test]
    async fn a_relative_data_directory_has_its_mirrors_where_calls_of_git_find_them() {
        let room = GitRoom::new(Path::new("data"), GitSettings::default());
        let (mirror, _guard) = room.mirror("acme/app", "https://git.example/app").await;
        let below = std::env::current_dir().unwrap().join("data/git/mirrors");
        assert_eq!(mirror.path.parent(), Some(below.as_path()));
    }
}
