//! Directories of earlier tasks that are kept aside, since the system refuses to delete something
//! in them: what there is, and emptying them when the slot has no task.
//!
//! It is tried again at the start of the agent and then ever more rarely. A helper does it that runs
//! as their user, who is that of the next task as well: so it runs while the slot has no task, and
//! is killed when one comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use russet_protocol::local::Aside;
use russet_protocol::supervise::{Assignment, LEFT_SUM, Mode, SlotUser};
use tokio::sync::{Mutex, Notify, watch};

use super::info::SlotInfo;
use crate::launch::process::{describe_status, run_helper};
use crate::launch::slot_dir::AsideDirectories;
use crate::state::slot::aside::{Kept, try_pause};

/// Timeout of a helper that empties; it is killed and tried again.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// The directories of a slot that are kept aside.
#[derive(Debug)]
pub(in crate::launch::slot) struct AsideKeeper {
    info: Arc<SlotInfo>,
    /// True while the slot is clean and has no task.
    is_idle: watch::Sender<bool>,
    /// Held while a helper runs.
    helper: Mutex<()>,
    /// Rung when something was moved aside.
    moved: Notify,
    /// Bytes that were there at the last look.
    bytes: AtomicU64,
}

impl AsideKeeper {
    pub(super) fn new(info: Arc<SlotInfo>) -> Self {
        Self {
            info,
            is_idle: watch::Sender::new(false),
            helper: Mutex::default(),
            moved: Notify::default(),
            bytes: AtomicU64::new(0),
        }
    }

    /// Leaves the slot to its task, or to its clean-up: a helper that runs is killed.
    pub(super) async fn leave_slot(&self) {
        self.is_idle.send_replace(false);
        drop(self.helper.lock().await);
    }

    /// Notes that the slot is clean and has no task.
    pub(super) fn enter_slot(&self) {
        self.is_idle.send_replace(true);
    }

    /// Empties what is aside whenever that is due and the slot has no task.
    pub(super) async fn keep_trying(self: Arc<Self>) {
        self.show(&self.look());
        let mut idle = self.is_idle.subscribe();
        let mut failed = 0;
        while idle.wait_for(|idle| *idle).await.is_ok() {
            let mut stop = self.is_idle.subscribe();
            let stopped = async move { drop(stop.wait_for(|idle| !*idle).await) };
            // Where a task came between, it is tried again as after a failure.
            let left = self.try_emptying(stopped).await;
            if left.is_some_and(|kept| kept.directories == 0) {
                self.moved.notified().await;
                failed = 0;
            }
            tokio::select! {
                () = self.moved.notified() => failed = 0,
                () = self.info.shared.clock.sleep(try_pause(failed)) => {
                    failed = failed.saturating_add(1);
                }
            }
        }
    }

    /// Empties what is aside as a part of the slot's clean-up, which makes room there.
    pub(super) async fn empty_now(&self) -> Kept {
        self.try_emptying(std::future::pending()).await.unwrap_or_else(|| self.count())
    }

    /// Returns what is aside.
    pub(super) fn count(&self) -> Kept {
        let directories = self.look().count();
        Kept { directories, bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Moves directories of the slot aside, with so many bytes in them.
    pub(super) fn move_aside(&self, names: &[&str], bytes: u64) -> std::io::Result<()> {
        self.info.dir.move_aside(names, self.info.shared.clock.wall_ms() / 1000)?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.show(&self.look());
        self.moved.notify_one();
        Ok(())
    }

    /// Runs the helpers. `None`: they were stopped.
    async fn try_emptying(&self, stopped: impl Future<Output = ()>) -> Option<Kept> {
        let _running = self.helper.lock().await;
        let before = self.look();
        if before.count() == 0 {
            return Some(self.note(&before, 0));
        }
        let mut stopped = std::pin::pin!(stopped);
        let mut bytes = 0_u64;
        for (user, directories) in before.by_user.values() {
            let emptying = self.run_emptying(user, directories, stopped.as_mut());
            bytes = bytes.saturating_add(emptying.await?);
        }
        let after = self.look();
        let gone = before.count().saturating_sub(after.count());
        if gone > 0 {
            self.info.shared.sink.warn(format!(
                "slot {}: deleted what was left of {gone} of {} directories that were kept aside",
                self.info.number,
                before.count()
            ));
        }
        Some(self.note(&after, bytes))
    }

    /// Empties the directories of one user, and returns the bytes that are left. `None`: stopped.
    async fn run_emptying(
        &self,
        user: &SlotUser,
        directories: &[std::path::PathBuf],
        stopped: impl Future<Output = ()>,
    ) -> Option<u64> {
        let info = &self.info;
        let assignment = Assignment {
            mode: Mode::EmptyAside,
            user: Some(user.clone()),
            aside: directories.to_vec(),
            gui: None,
            ..info.blank_assignment()
        };
        let mut is_stopped = false;
        let limit = async {
            tokio::select! {
                () = stopped => is_stopped = true,
                () = info.shared.clock.sleep(HELPER_TIMEOUT) => {}
            }
        };
        let ran = run_helper(&info.shared.staged.exe, &info.dir.fd, &assignment, limit).await;
        if is_stopped {
            return None;
        }
        match ran {
            Ok((status, _)) if status.success() => Some(0),
            Ok((status, said)) => {
                let how = describe_status(status);
                tracing::info!(slot = info.number, how, said, "could not empty what is kept aside");
                Some(read_left_bytes(&said).unwrap_or_else(|| self.bytes.load(Ordering::Relaxed)))
            }
            Err(error) => {
                tracing::warn!(slot = info.number, %error, "could not empty what is kept aside");
                Some(self.bytes.load(Ordering::Relaxed))
            }
        }
    }

    fn note(&self, found: &AsideDirectories, bytes: u64) -> Kept {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.show(found);
        Kept { directories: found.count(), bytes }
    }

    fn look(&self) -> AsideDirectories {
        self.info.dir.aside_directories().unwrap_or_else(|error| {
            tracing::warn!(slot = self.info.number, %error, "could not look at what is kept aside");
            AsideDirectories::default()
        })
    }

    fn show(&self, found: &AsideDirectories) {
        let directories = u32::try_from(found.count()).unwrap_or(u32::MAX);
        let shown = (directories > 0).then(|| Aside {
            directories,
            bytes: self.bytes.load(Ordering::Relaxed),
            since_ms: found.oldest_s.saturating_mul(1000),
            path: Some(self.info.dir.aside_root().display().to_string()),
        });
        let sink = &self.info.shared.sink;
        sink.board.aside(self.info.number, shown, sink.clock.wall_ms());
    }
}

/// Reads the number that a helper ends with. It is the word of the slot's user, and no more than a
/// number: what cannot be one is none.
pub(super) fn read_left_bytes(said: &str) -> Option<u64> {
    let last = said.rsplit("; ").next()?.strip_suffix(LEFT_SUM)?;
    last.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::read_left_bytes;

    #[test]
    fn what_is_left_is_the_last_word_of_the_helper() {
        let said = "error: could not empty /s/1/home: EPERM; 12345678 bytes are left in all";
        assert_eq!(read_left_bytes(said), Some(12_345_678));
        for said in ["", " bytes are left in all", "-5 bytes are left in all", "7 bytes; later"] {
            assert_eq!(read_left_bytes(said), None, "{said}");
        }
    }
}
