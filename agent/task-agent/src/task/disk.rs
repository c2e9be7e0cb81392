//! A limit for the bytes that a task has on disk.
//!
//! There is no quota that works on every file system, so the task's directories are measured now
//! and then: rarely while there is much room left, more often when little is, and never for more
//! than a tenth of the time.
//!
//! After a step was ended for it, those that run after a failure have a tenth more: they save what
//! can be saved, and clean up.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use russet_text::format_size;
use tokio::sync::watch;

const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Write speed that no disk exceeds, to guess when the limit can be reached at the earliest.
const BYTES_PER_SECOND: u64 = 500_000_000;

/// Tells when the task has too much on disk.
#[derive(Clone, Debug)]
pub(crate) struct DiskLimit {
    said: watch::Sender<Option<String>>,
    /// Bytes; more after a failure.
    limit: Arc<AtomicU64>,
    /// Directories of the task.
    dirs: Arc<[PathBuf]>,
}

impl DiskLimit {
    /// Watches `dirs` on a thread of its own, where there is a limit.
    pub(crate) fn watch(limit: Option<u64>, dirs: Vec<PathBuf>) -> Self {
        let own = Self {
            said: watch::Sender::new(None),
            limit: Arc::new(limit.unwrap_or(u64::MAX).into()),
            dirs: dirs.into(),
        };
        if limit.is_some() {
            let watched = own.clone();
            let thread = std::thread::Builder::new().stack_size(512 * 1024);
            let started = thread.spawn(move || watched.measure_for_ever());
            if let Err(error) = started {
                tracing::warn!("the disk limit is not watched: {error}");
            }
        }
        own
    }

    /// Gives the steps that run after a failure a tenth more, where the limit was what failed.
    pub(crate) fn give_way(&self) {
        if self.said.send_replace(None).is_some() {
            self.limit
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |limit| {
                    Some(limit.saturating_add(limit / 10))
                })
                .ok();
        }
    }

    /// Returns when the limit is exceeded, and says so.
    pub(crate) async fn exceeded(&self) -> String {
        let mut receiver = self.said.subscribe();
        let why = receiver.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }

    /// Measures how many bytes more the task may have on disk, which may take a while. `None`: there
    /// is no limit.
    pub(crate) fn measure_room(&self) -> Option<u64> {
        let limit = self.limit.load(Ordering::Relaxed);
        (limit < u64::MAX).then(|| limit.saturating_sub(self.measure_used()))
    }

    fn measure_used(&self) -> u64 {
        self.dirs.iter().map(|dir| used_by(dir)).fold(0, u64::saturating_add)
    }

    fn measure_for_ever(&self) {
        loop {
            let began = Instant::now();
            let used = self.measure_used();
            let limit = self.limit.load(Ordering::Relaxed);
            if used > limit {
                let (used, limit) = (format_size(used), format_size(limit));
                self.said.send_replace(Some(format!(
                    "the task has {used} on disk and may have {limit}\nhint: the owner of \
                     this runner sets the limit"
                )));
            }
            std::thread::sleep(pause(limit.saturating_sub(used), began.elapsed()));
        }
    }
}

/// Returns the delay until the next measurement: before the rest can be full, but not all the time.
fn pause(left: u64, took: Duration) -> Duration {
    let earliest = Duration::from_millis(left.saturating_mul(1000) / BYTES_PER_SECOND);
    earliest.clamp(SHORTEST_PAUSE, LONGEST_PAUSE).max(took * 10)
}

/// Bytes on disk below `dir`, without following links. What cannot be read counts for nothing.
pub(crate) fn used_by(dir: &Path) -> u64 {
    let mut total = 0_u64;
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            total = total.saturating_add(metadata.blocks().saturating_mul(512));
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::{pause, used_by};
    use std::time::Duration;

    #[test]
    fn measuring_gets_more_frequent_and_never_busy() {
        let none = Duration::ZERO;
        assert_eq!(pause(u64::MAX, none), Duration::from_secs(30));
        assert_eq!(pause(1, none), Duration::from_millis(500));
        assert_eq!(pause(1, Duration::from_secs(9)), Duration::from_secs(90));
    }

    #[test]
    fn holes_do_not_count_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/file"), vec![7; 1_000_000]).unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).unwrap();
        std::fs::File::create(dir.path().join("hole")).unwrap().set_len(1 << 40).unwrap();
        let used = used_by(dir.path());
        assert!((1_000_000..1_200_000).contains(&used), "{used}");
    }
}
