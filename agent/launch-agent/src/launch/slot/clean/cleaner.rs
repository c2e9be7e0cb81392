//! Making a slot fresh: root replaces the directories, which are empty by then.
//!
//! A task agent that ended well has emptied them. That is not believed: no process of the slot's
//! user may be left, and a directory that is not empty cannot be replaced. In every other case a
//! helper that runs as the slot's user ends and deletes what is left; root never does. Root takes
//! down what is mounted there, ends what the helper may not, and moves aside what the system refuses
//! to delete: no file and no mount of a job holds a slot for ever.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russet_protocol::secret::Secret;
use russet_protocol::supervise::{Assignment, Mode, exit};

use super::error::CleanError;
use super::kept::{settle_kept, trim_kept};
use super::mounts::detach_mounts;
use super::trim::trim_caches;
use crate::crash_points::CrashPoint;
use crate::launch::caches::CacheUse;
use crate::launch::process::describe_status;
use crate::launch::slot::aside::{AsideKeeper, read_left_bytes};
use crate::launch::slot::helper::run_within;
use crate::launch::slot::info::SlotInfo;
use crate::launch::slot::processes::{LeftProcess, end_processes};
use crate::launch::slot::record::TaskRecord;
use crate::launch::slot::run::TaskAgentLauncher;
use crate::launch::slot_dir::Journal;
use crate::metrics::Failure;
use crate::state::slot::Input;
use crate::state::slot::aside::{Fate, Kept, MAX_REFUSALS, decide_fate};

/// A slot that was cleaned within this time claims meanwhile, the next time.
const QUICK_CLEANING: Duration = Duration::from_millis(50);

/// Timeout of a cleaning helper; it is killed and tried again.
const HELPER_TIMEOUT: Duration = Duration::from_secs(180);

/// Makes a slot fresh.
#[derive(Debug)]
pub(in crate::launch::slot) struct SlotCleaner {
    pub(in crate::launch::slot) info: Arc<SlotInfo>,
    pub(in crate::launch::slot) record: Arc<TaskRecord>,
    pub(in crate::launch::slot) launcher: Arc<TaskAgentLauncher>,
    pub(in crate::launch::slot) caches: Arc<CacheUse>,
    pub(in crate::launch::slot) aside: Arc<AsideKeeper>,
    /// Attempts in a row in which the system refused to delete something.
    pub(in crate::launch::slot) refusals: AtomicU32,
    /// Processes that did not end at the last attempt.
    pub(in crate::launch::slot) stuck: Mutex<Vec<LeftProcess>>,
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
        self.aside.leave_slot().await;
        match self.try_clean().await {
            Ok(()) => {
                self.caches.end();
                trim_caches(&self.info).await;
                trim_kept(&self.info).await;
                self.launcher.start_spare();
                self.aside.enter_slot();
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

    async fn try_clean(&self) -> Result<(), CleanError> {
        let user = self.info.user();
        let Some(journal) = self.record.journal() else {
            settle_kept(&self.info, None);
            // Nothing is known of a task here, and empty directories prove it. Others were left
            // by an agent that could not write its journal, and so were processes.
            if !self.has_processes() && self.info.dir.refresh(user).is_ok() {
                return Ok(());
            }
            let assignment = self.info.blank_assignment();
            self.empty_or_move_aside(&assignment, None).await?;
            return Ok(self.info.dir.refresh(user)?);
        };
        self.end_group();
        let since = journal.process.as_ref().map(|process| process.start);
        if !self.is_fresh_already(&journal).await {
            self.empty_or_move_aside(&journal.assignment, since).await?;
            self.forget_work(&journal.assignment);
            self.info.dir.refresh(user)?;
        }
        // Nothing of the slot's user runs any more, and the journal still says whose they are.
        settle_kept(&self.info, Some(&journal.allocation));
        Ok(self.record.remove(&journal.allocation, &self.info.dir.fd)?)
    }

    /// Returns true if there are processes that a slot without a task has not.
    fn has_processes(&self) -> bool {
        let user = self.info.user();
        user.dedicated && !self.info.is_gui() && russet_platform::has_processes(user.uid)
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
        if self.has_processes() {
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

    /// Empties the slot. Directories in which the system refuses to delete something, and nothing
    /// else went wrong, are moved aside after a few attempts.
    async fn empty_or_move_aside(
        &self,
        of: &Assignment,
        since: Option<u64>,
    ) -> Result<(), CleanError> {
        let (said, bytes) = match self.run_clean(of, since).await {
            Err(CleanError::Refused { said, bytes }) => (said, bytes),
            other => {
                self.refusals.store(0, Ordering::Relaxed);
                return other;
            }
        };
        let refusals = self.refusals.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        // Who is not root has no directory that the next task cannot enter.
        if !nix::unistd::geteuid().is_root() || refusals < MAX_REFUSALS {
            return Err(CleanError::Refused { said, bytes });
        }
        let names = self.info.dir.full_directories()?;
        let refused = Kept { directories: names.len(), bytes };
        let mut fate = decide_fate(refusals, self.aside.count(), refused);
        if matches!(fate, Fate::Hold(_)) {
            fate = decide_fate(refusals, self.aside.empty_now().await, refused);
        }
        match fate {
            Fate::Retry => Err(CleanError::Refused { said, bytes }),
            Fate::Hold(limit) => Err(CleanError::NoRoom { limit, said }),
            Fate::MoveAside => {
                self.aside.move_aside(&names, bytes)?;
                self.refusals.store(0, Ordering::Relaxed);
                self.info.shared.sink.warn(format!(
                    "slot {}: the system refuses to delete something of the last task, so that was \
                     moved to {} and the slot takes tasks again: {said}",
                    self.info.number,
                    self.info.dir.aside_root().display()
                ));
                Ok(())
            }
        }
    }

    async fn run_clean(&self, of: &Assignment, since: Option<u64>) -> Result<(), CleanError> {
        // First: a process may wait for what is mounted, and so would the helper.
        detach_mounts(&self.info).await;
        self.refuse_stuck()?;
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
        let ran = run_within(&self.info, &assignment, HELPER_TIMEOUT).await;
        // Whatever the helper says, or if it is stuck itself.
        self.end_rest(since).await?;
        let (status, said) = ran?;
        match status.code() {
            Some(exit::REPORTED) => {}
            Some(exit::REFUSED) => {
                let bytes = read_left_bytes(&said).unwrap_or_default();
                return Err(CleanError::Refused { said, bytes });
            }
            _ => return Err(CleanError::Helper(format!("{}: {said}", describe_status(status)))),
        }
        if !said.is_empty() {
            tracing::warn!(slot = self.info.number, said, "what is left of a task");
        }
        CrashPoint::Emptied.pass();
        self.info.is_swept.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Returns an error while a process is there that did not end at the last attempt: a helper
    /// would wait for the same, and be the next one that does not end.
    fn refuse_stuck(&self) -> Result<(), CleanError> {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        stuck.retain(LeftProcess::is_there);
        if stuck.is_empty() { Ok(()) } else { Err(CleanError::Processes(stuck.clone())) }
    }

    /// Ends what the helper could not: programs that have the ids of other users as well.
    async fn end_rest(&self, since: Option<u64>) -> Result<(), CleanError> {
        let user = self.info.user();
        let since = self.info.is_gui().then(|| since.unwrap_or(u64::MAX));
        let left = end_processes(user, since).await;
        if left.is_empty() {
            return Ok(());
        }
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&left);
        Err(CleanError::Processes(left))
    }
}
