//! Making a slot fresh: root replaces the directories, which are empty by then.
//!
//! A task agent that ended well has emptied them. That is not believed: no process of the slot's
//! user may be left, and a directory that is not empty cannot be replaced. In every other case a
//! helper that runs as the slot's user ends and deletes what is left; root never does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russet_protocol::secret::Secret;
use russet_protocol::supervise::{Assignment, Mode};

use super::trim::trim_caches;
use crate::crash_points::CrashPoint;
use crate::launch::caches::CacheUse;
use crate::launch::process::describe_status;
use crate::launch::slot::helper::run_within;
use crate::launch::slot::info::SlotInfo;
use crate::launch::slot::processes::end_processes;
use crate::launch::slot::record::TaskRecord;
use crate::launch::slot::run::TaskAgentLauncher;
use crate::launch::slot_dir::Journal;
use crate::metrics::Failure;
use crate::state::slot::Input;

/// A slot that was cleaned within this time claims meanwhile, the next time.
const QUICK_CLEANING: Duration = Duration::from_millis(50);

/// Timeout of a cleaning helper; it is killed and tried again.
const HELPER_TIMEOUT: Duration = Duration::from_secs(180);

/// Processes that are named because they do not end.
const MAX_NAMED: usize = 10;

/// Makes a slot fresh.
#[derive(Debug)]
pub(in crate::launch::slot) struct SlotCleaner {
    pub(in crate::launch::slot) info: Arc<SlotInfo>,
    pub(in crate::launch::slot) record: Arc<TaskRecord>,
    pub(in crate::launch::slot) launcher: Arc<TaskAgentLauncher>,
    pub(in crate::launch::slot) caches: Arc<CacheUse>,
}

impl SlotCleaner {
    /// Ends what is left of a task, and makes the slot fresh.
    pub(in crate::launch::slot) async fn clean(&self) {
        if let Some(reason) = &self.info.missing_user {
            // Its directories belong to a user that is gone, and is to come back.
            self.info.send(Input::NotCleaned(reason.clone()));
            return;
        }
        let began = self.info.shared.clock.now();
        match self.try_clean().await {
            Ok(()) => {
                self.caches.end();
                trim_caches(&self.info).await;
                self.launcher.start_spare();
                let quick = self.info.shared.clock.now().since(began) <= QUICK_CLEANING;
                self.info.send(Input::Cleaned { quick });
            }
            Err(error) => {
                self.info.shared.metrics.failed(Failure::NotCleaned);
                self.info.shared.sink.error(format!(
                    "slot {} could not be cleaned and takes no task until it is: {error}",
                    self.info.number
                ));
                self.info.send(Input::NotCleaned(error.to_string()));
            }
        }
    }

    async fn try_clean(&self) -> io::Result<()> {
        let user = self.info.user();
        let Some(journal) = self.record.journal() else {
            // Nothing is known of a task here, and empty directories prove it. Others were left
            // by an agent that could not write its journal.
            if self.info.dir.refresh(user).is_ok() {
                return Ok(());
            }
            let assignment = self.info.blank_assignment();
            self.run_clean(&assignment, None).await?;
            return self.info.dir.refresh(user);
        };
        self.end_group();
        let since = journal.process.as_ref().map(|process| process.start);
        if !self.is_fresh_already(&journal).await {
            self.run_clean(&journal.assignment, since).await?;
            self.forget_work(&journal.assignment);
            self.info.dir.refresh(user)?;
        }
        self.record.remove(&journal.allocation, &self.info.dir.fd)
    }

    /// Makes the slot fresh that its task agent has emptied. False: there is more to do.
    async fn is_fresh_already(&self, journal: &Journal) -> bool {
        // Those two are about this very task: a slot has no other before it is clean.
        let emptied = self.record.take_emptied();
        // A session at the screen goes on, and which of its processes are the task's takes a look
        // at each.
        if !emptied
            || self.info.is_gui()
            || journal.assignment.user.as_ref() != Some(self.info.user())
        {
            return false;
        }
        self.end_user_domain().await;
        let user = self.info.user();
        if user.dedicated && russet_platform::has_processes(user.uid) {
            return false;
        }
        self.forget_work(&journal.assignment);
        let is_fresh = self.info.dir.refresh(user).is_ok();
        self.info.is_swept.fetch_or(is_fresh, Ordering::Relaxed);
        is_fresh
    }

    fn forget_work(&self, assignment: &Assignment) {
        let work = &assignment.dirs.work;
        if *work != self.info.dir.paths.work && self.info.empties_work() {
            // It is empty now. Where it cannot be removed it is in nobody's way.
            drop(std::fs::remove_dir(work));
        }
    }

    /// Ends what is left in the slot's control group, processes of other users included.
    fn end_group(&self) {
        let Some(groups) = &self.info.shared.groups else { return };
        if let Err(error) = groups.kill(self.info.number) {
            tracing::warn!(slot = self.info.number, %error, "could not end the slot's control group");
        }
    }

    /// Ends the launchd domain of the slot's user, which starts processes again that are killed.
    /// The helper does that too; where the system lets only root do it, this is what works. Root
    /// hands over a number and nothing else.
    async fn end_user_domain(&self) {
        let user = self.info.user();
        // A session at the screen is not ours to end.
        if self.info.is_gui()
            || !user.dedicated
            || user.name.is_none()
            || !nix::unistd::geteuid().is_root()
        {
            return;
        }
        let uid = user.uid;
        let ended =
            tokio::task::spawn_blocking(move || russet_platform::end_user_domain(uid)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(slot = self.info.number, %error, "the user's launchd domain did not end");
        }
    }

    async fn run_clean(&self, of: &Assignment, since: Option<u64>) -> io::Result<()> {
        let mut assignment = of.clone();
        if let Some(gui) = &mut assignment.gui {
            gui.since = since;
        }
        assignment.mode = Mode::Clean;
        // Cleaning needs no token.
        assignment.token = Secret::new("");
        if !self.info.empties_work() {
            // What the owner wants kept is not shown to the helper.
            assignment.dirs.work = assignment.dirs.tmp.clone();
        }
        self.end_user_domain().await;
        let (status, said) = run_within(&self.info, &assignment, HELPER_TIMEOUT).await?;
        if !status.success() {
            let text = format!("the helper {}: {said}", describe_status(status));
            return Err(io::Error::other(text));
        }
        if !said.is_empty() {
            tracing::warn!(slot = self.info.number, said, "what is left of a task");
        }
        CrashPoint::Emptied.pass();
        self.end_rest(since).await?;
        self.info.is_swept.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Ends what the helper could not: programs that have the ids of other users as well.
    async fn end_rest(&self, since: Option<u64>) -> io::Result<()> {
        let user = self.info.user();
        let since = self.info.is_gui().then(|| since.unwrap_or(u64::MAX));
        let left = end_processes(user, since).await;
        if left.is_empty() {
            return Ok(());
        }
        let pids: Vec<String> = left.iter().take(MAX_NAMED).map(u32::to_string).collect();
        Err(io::Error::other(format!(
            "processes of user {} do not end: {}",
            user.uid,
            pids.join(", ")
        )))
    }
}
