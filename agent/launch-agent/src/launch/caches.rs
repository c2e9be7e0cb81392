//! Caches of the owner's that the tasks of several slots use, and that are trimmed between tasks.
//!
//! Every running task holds a lock for reading; trimming a cache that others use takes it for
//! itself, so neither begins under the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, RwLock, RwLockWriteGuard};

use russet_platform::clock::BootTime;

/// Shortest time between two trims of a path: looking through a cache takes time.
const TRIM_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// The lock of all caches, and the time at which each was trimmed last.
#[derive(Debug, Default)]
pub(super) struct SharedCaches {
    tasks: Arc<RwLock<()>>,
    trimmed: Mutex<BTreeMap<PathBuf, BootTime>>,
}

impl SharedCaches {
    /// Returns true if the path was not trimmed for ten minutes.
    pub(super) fn is_due(&self, path: &Path, now: BootTime) -> bool {
        let last = self.trimmed.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(path).is_none_or(|then| now.since(*then) >= TRIM_INTERVAL)
    }

    /// Notes that the path was trimmed, or cannot be.
    pub(super) fn mark_trimmed(&self, path: &Path, now: BootTime) {
        let mut last = self.trimmed.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(path.to_owned(), now);
    }

    /// Takes the lock for trimming; `None` while a task of another slot runs.
    pub(super) fn try_lock(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        self.tasks.try_write().ok()
    }
}

/// The use of caches by the task of one slot.
#[derive(Debug, Default)]
pub(super) struct CacheUse(Mutex<Option<OwnedRwLockReadGuard<()>>>);

impl CacheUse {
    /// Begins, once nobody trims.
    pub(super) async fn begin(&self, caches: &SharedCaches) {
        self.set(Some(Arc::clone(&caches.tasks).read_owned().await));
    }

    /// Begins for a task that runs already.
    pub(super) fn begin_now(&self, caches: &SharedCaches) {
        self.set(Arc::clone(&caches.tasks).try_read_owned().ok());
    }

    /// Ends it: the slot has no task any more.
    pub(super) fn end(&self) {
        self.set(None);
    }

    fn set(&self, guard: Option<OwnedRwLockReadGuard<()>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = guard;
    }
}

#[cfg(test)]
mod tests {
    use super::SharedCaches;
    use russet_platform::clock::BootTime;
    use std::path::Path;
    use std::time::Duration;

    #[test]
    fn a_cache_is_trimmed_now_and_then() {
        let (caches, path) = (SharedCaches::default(), Path::new("/cache"));
        let now = BootTime(1_000_000);
        assert!(caches.is_due(path, now) && caches.is_due(path, now));
        caches.mark_trimmed(path, now);
        assert!(!caches.is_due(path, now.after(Duration::from_secs(599))));
        assert!(caches.is_due(Path::new("/other"), now));
        assert!(caches.is_due(path, now.after(Duration::from_secs(600))));
    }
}
