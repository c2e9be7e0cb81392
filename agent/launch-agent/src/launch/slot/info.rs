//! The unchanging part of a slot.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use russet_protocol::supervise::{SlotUser, Tidy};
use tokio::sync::mpsc;

use crate::config::{Class, Session};
use crate::launch::shared::Shared;
use crate::launch::slot_dir::SlotDir;
use crate::state::{self, TaskEnd, slot::Input};
use russet_platform::users::Lease;

/// A slot's number, class, directory and user, and the way to the state machine.
#[derive(Debug)]
pub(in crate::launch) struct SlotInfo {
    pub(in crate::launch) shared: Arc<Shared>,
    pub(in crate::launch) index: usize,
    pub(in crate::launch) number: u32,
    /// `None`: the slot is not configured any more.
    pub(in crate::launch) class: Option<Arc<Class>>,
    pub(in crate::launch) dir: SlotDir,
    pub(in crate::launch) lease: Lease,
    /// The reason for which it takes no task as long as this agent runs; its directories are left
    /// alone then.
    pub(in crate::launch) missing_user: Option<String>,
    pub(in crate::launch) inputs: mpsc::UnboundedSender<state::Input>,
    /// Set once a clean-up has seen that its user left nothing in directories that all share.
    pub(in crate::launch) is_swept: AtomicBool,
}

impl SlotInfo {
    /// Sends an input of this slot to the state machine.
    pub(super) fn send(&self, input: Input) {
        // Nobody listens any more when the launch agent ends.
        drop(self.inputs.send(state::Input::Slot(self.index, input)));
    }

    /// Tells the state machine how a task ended, before its agent's end.
    pub(super) fn send_end(&self, end: TaskEnd) {
        // Nobody listens any more when the launch agent ends.
        drop(self.inputs.send(state::Input::TaskEnded(self.index, end)));
    }

    /// Place of its class in the configuration.
    pub(super) fn class_index(&self) -> Option<usize> {
        let label = &self.class.as_ref()?.label;
        self.shared.config.classes.iter().position(|one| one.label == *label)
    }

    /// The user of its tasks.
    pub(super) fn user(&self) -> &SlotUser {
        &self.lease.user
    }

    /// Returns true if its tasks run in a session at the screen.
    pub(in crate::launch) fn is_gui(&self) -> bool {
        self.class.as_ref().is_some_and(|class| class.session != Session::Background)
    }

    /// The name of its class in metrics.
    pub(super) fn class_name(&self) -> String {
        self.class.as_ref().map_or_else(|| "none".to_owned(), |class| class.name())
    }

    /// Returns true if the owner's working directory is emptied after a task.
    pub(super) fn empties_work(&self) -> bool {
        let config = &self.shared.config;
        let unique = config.working_directory.as_deref().is_none_or(|text| text.contains("%s"));
        unique || config.cleanup_working_directory
    }

    /// The directories that a task agent empties itself.
    pub(super) fn tidy(&self) -> Tidy {
        if self.empties_work() { Tidy::All } else { Tidy::AllButWork }
    }
}
