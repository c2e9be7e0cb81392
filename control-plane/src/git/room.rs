//! What this server has for work with Git remotes: settings, directories, and who works.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard, Semaphore};

use super::GitSettings;
use super::history::{History, remove_unread};
use super::mirror::Mirror;

/// Remotes that are listed or fetched at the same time by one server.
pub(crate) const MAX_PARALLEL: usize = 4;

/// Histories that are fetched at the same time by one server.
const MAX_HISTORIES: usize = 2;

/// Mirrors that tasks read at the same time from one server: each takes a processor while it packs.
const MAX_READERS: usize = 8;

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
    /// Histories that are fetched at the same time, which takes longer.
    pub(crate) history_turns: Semaphore,
    /// Mirrors that are read at the same time.
    pub(crate) readers: Semaphore,
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
        remove_unread(&dir.join("histories"));
        Self {
            settings,
            dir,
            polls: Notify::new(),
            builds: Notify::new(),
            turns: Arc::new(Semaphore::new(MAX_PARALLEL)),
            history_turns: Semaphore::new(MAX_HISTORIES),
            readers: Semaphore::new(MAX_READERS),
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
        let guard = self.lock(&mirror.path).await;
        (mirror, guard)
    }

    /// Returns the mirror with the history of a project's remote, which nobody else changes until the guard
    /// is dropped.
    pub(crate) async fn history(&self, project: &str, url: &str) -> (History, OwnedMutexGuard<()>) {
        let mirror = Mirror::of(&self.dir.join("histories"), project, url);
        let guard = self.lock(&mirror.path).await;
        (History(mirror), guard)
    }

    async fn lock(&self, path: &Path) -> OwnedMutexGuard<()> {
        let lock = {
            let mut mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
            mirrors.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(mirrors.entry(path.to_owned()).or_default())
        };
        lock.lock_owned().await
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
