//! State of a slot as people and programs are shown it.

use super::{Next, Slot, State, Verdict};

/// State of a slot, of which exactly one holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SlotView {
    /// It is clean and empty.
    Free,
    /// A task is about to run, runs, or is being ended.
    Busy {
        /// The reason for which it is being ended, if it is.
        ending: Option<String>,
    },
    /// The control plane is being told how a task ended.
    Settling {
        /// The reason why that failed so far.
        trouble: Option<String>,
    },
    /// It is being cleaned for the first time since its task.
    Cleaning,
    /// It could not be cleaned for this reason, and takes no task until it is.
    Held(String),
}

impl SlotView {
    /// Returns true if there is a task in it, or one that the control plane is told about.
    pub(crate) fn has_task(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Settling { .. })
    }

    /// The reason for which its task is being ended, if it is.
    pub(crate) fn ending(&self) -> Option<&str> {
        match self {
            Self::Busy { ending } => ending.as_deref(),
            _ => None,
        }
    }
}

impl Slot {
    /// Returns what is shown of it.
    pub(in crate::state) fn view(&self) -> SlotView {
        let failure = match &self.state {
            State::Ready { .. } => return SlotView::Free,
            State::New => return SlotView::Cleaning,
            State::Dirty { trouble, .. } => return SlotView::Held(trouble.clone()),
            State::Cleaning { trouble, next: Next::Claim(_), .. } => {
                return trouble.clone().map_or(SlotView::Cleaning, SlotView::Held);
            }
            State::Settling { attempts, .. } => {
                return SlotView::Settling { trouble: attempts.trouble.clone() };
            }
            State::Starting { cancel }
            | State::Waiting { cancel, .. }
            | State::Cleaning { next: Next::Task { cancel }, .. } => cancel.as_ref(),
            State::Running { canceled, .. } => canceled.as_ref().map(|(failure, _)| failure),
            State::Killed(Verdict::Failure(failure)) => Some(failure),
            State::Killed(Verdict::Stale | Verdict::GiveBack(_)) => None,
        };
        SlotView::Busy { ending: failure.map(|failure| failure.message.clone()) }
    }
}
