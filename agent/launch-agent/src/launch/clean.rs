//! Making a slot fresh: root replaces the directories, which are empty by then.
//!
//! A task agent that ended well has emptied them. That is not believed: no process of the slot's
//! user may be left, and a directory that is not empty can not be replaced. In every other case a
//! helper that runs as the slot's user ends and deletes what is left; root never does.

use std::io;
use std::time::Duration;

use std::sync::Arc;

use russet_protocol::secret::Secret;
use russet_protocol::supervise::{Assignment, Mode, Tidy};

use super::journal::Journal;
use super::slot_io::SlotIo;
use super::spawn;
use super::state::slot::Input;

/// A slot that was cleaned within this time claims meanwhile, the next time.
const QUICK: Duration = Duration::from_millis(50);

/// A helper that takes longer waits for something that a job left, and is tried again.
const LONGEST: Duration = Duration::from_secs(180);

impl SlotIo {
    /// Ends what is left of a task, and makes the slot fresh.
    pub(super) async fn clean(self: Arc<Self>) {
        let began = self.shared.clock.now();
        match self.try_clean().await {
            Ok(()) => {
                self.with(|task| task.running = None);
                self.trim().await;
                self.start_spare();
                let quick = self.shared.clock.now().since(began) <= QUICK;
                self.input(Input::Cleaned { quick });
            }
            Err(error) => {
                self.shared.metrics.failed(crate::metrics::Failure::NotCleaned);
                self.shared.sink.error(format!(
                    "slot {} could not be cleaned and takes no task until it is: {error}",
                    self.number
                ));
                self.input(Input::NotCleaned);
            }
        }
    }

    async fn try_clean(&self) -> io::Result<()> {
        let user = &self.lease.user;
        let Some(journal) = self.journal() else {
            // Nothing is known of a task here, and empty directories prove it. Others were left
            // by an agent that could not write its journal.
            if self.dir.refresh(user).is_ok() {
                return Ok(());
            }
            let assignment = self.blank_assignment();
            self.run_clean(&assignment, None).await?;
            return self.dir.refresh(user);
        };
        self.end_group();
        let since = journal.process.as_ref().map(|process| process.start);
        if !self.is_fresh_already(&journal).await {
            self.run_clean(&journal.assignment, since).await?;
            self.forget_work(&journal.assignment);
            self.dir.refresh(user)?;
        }
        // A task that was claimed meanwhile has a journal of its own by now.
        self.with(|task| {
            let same =
                task.journal.as_ref().is_some_and(|now| now.allocation == journal.allocation);
            if same {
                task.journal = None;
                return Journal::remove(&self.dir.fd);
            }
            Ok(())
        })
    }

    /// Makes the slot fresh that its task agent has emptied. False: there is more to do.
    async fn is_fresh_already(&self, journal: &Journal) -> bool {
        // Those two are about this very task: a slot has no other before it is clean.
        let emptied = self.take_emptied();
        // A session at the screen goes on, and which of its processes are the task's takes a look
        // at each.
        if !emptied || self.is_gui() || journal.assignment.user.as_ref() != Some(&self.lease.user) {
            return false;
        }
        self.end_user_domain().await;
        let user = &self.lease.user;
        if user.dedicated && russet_platform::has_processes(user.uid) {
            return false;
        }
        self.forget_work(&journal.assignment);
        self.dir.refresh(user).is_ok()
    }

    fn forget_work(&self, assignment: &Assignment) {
        let work = &assignment.dirs.work;
        if *work != self.dir.paths.work && self.forgets_work() {
            // It is empty now. Where it can not be removed it is in nobody's way.
            drop(std::fs::remove_dir(work));
        }
    }

    /// Returns the directories that a task agent empties itself.
    pub(super) fn tidy(&self) -> Tidy {
        if self.forgets_work() { Tidy::All } else { Tidy::AllButWork }
    }

    /// Returns true if the owner's working directory is emptied after a task.
    fn forgets_work(&self) -> bool {
        let config = &self.shared.config;
        let unique = config.working_directory.as_deref().is_none_or(|text| text.contains("%s"));
        unique || config.cleanup_working_directory
    }

    /// Ends what is left in the slot's control group, processes of other users included.
    fn end_group(&self) {
        let Some(groups) = &self.shared.groups else { return };
        if let Err(error) = groups.kill(self.number) {
            tracing::warn!(slot = self.number, %error, "could not end the slot's control group");
        }
    }

    /// Ends the launchd domain of the slot's user, which starts processes again that are killed.
    /// The helper does that too; where the system lets only root do it, this is what works. Root
    /// hands over a number and nothing else.
    async fn end_user_domain(&self) {
        let user = &self.lease.user;
        // A session at the screen is not ours to end.
        if self.is_gui()
            || !user.dedicated
            || user.name.is_none()
            || !nix::unistd::geteuid().is_root()
        {
            return;
        }
        let uid = user.uid;
        let ended =
            tokio::task::spawn_blocking(move || russet_platform::end_user_domain(uid)).await;
        if let Ok(Err(why)) = ended {
            tracing::warn!(slot = self.number, why, "the user's launchd domain did not end");
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
        if !self.forgets_work() {
            // What the owner wants kept is not shown to the helper.
            assignment.dirs.work = assignment.dirs.tmp.clone();
        }
        self.end_user_domain().await;
        let (status, said) = self.helper_within(&assignment, LONGEST).await?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("the helper {}: {said}", spawn::describe(status))))
    }
}
