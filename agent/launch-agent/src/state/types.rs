//! Inputs, actions and the view of the state machine.

use std::time::Duration;

use super::slot::{self, SlotView};
use crate::requests::{HoldSource, Stop, UpdateMode};

/// Number of a slot in the machine, from 0.
pub(crate) type SlotIndex = usize;

/// The part of the configuration that the machine depends on.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Exit after one task.
    pub(crate) single_task: bool,
    /// Exit when there was no task for this long.
    pub(crate) idle_timeout: Option<Duration>,
    /// A drain that takes longer cancels.
    pub(crate) drain_limit: Duration,
    /// Time that a canceled task agent has to end, before it is killed.
    pub(crate) cancel_patience: Duration,
    /// Give interrupted tasks back instead of failing them.
    pub(crate) unsafe_retries: bool,
    /// Hold a class whose tasks fail one after the other for reasons of this machine.
    pub(crate) holds_failing: bool,
    /// The class of each slot; `None` for one that only has a task to end.
    pub(crate) classes: Vec<Option<usize>>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Time passed.
    Tick,
    /// The agent is to end.
    Stop(Stop),
    /// Claims of a class (`None`: of all) are held back, or a hold is lifted.
    Hold {
        /// Its origin.
        source: HoldSource,
        /// The class.
        class: Option<usize>,
        /// The reason; `None` lifts the hold.
        reason: Option<String>,
    },
    /// A person wants that what failed is tried again.
    Retry,
    /// The task of a slot has ended; the input about its agent follows.
    TaskEnded(SlotIndex, TaskEnd),
    /// Running tasks are to be canceled, for this reason, and the agent goes on.
    CancelTasks(String),
    /// A new version lies ready, and this is how far the agent may go for it; or it does not any
    /// more.
    Update(Option<UpdateMode>),
    /// Something happened in a slot.
    Slot(SlotIndex, slot::Input),
}

/// The end of a task, as far as it says something about this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskEnd {
    /// Its result.
    pub(crate) result: TaskResult,
    /// Its project, where the control plane says it.
    pub(crate) project: Option<String>,
    /// Time since the claim, where this agent sent it.
    pub(crate) took: Option<Duration>,
}

/// The result of a task, as far as it says something about this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TaskResult {
    /// The machine did its part, whatever came of the job.
    Worked,
    /// It did not.
    Failed {
        /// The reason.
        reason: String,
        /// Set unless it is known that no step of the job had begun.
        has_begun: bool,
    },
    /// It says nothing: it was canceled, or given to somebody else.
    Neutral,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Something to do in a slot.
    Slot(SlotIndex, slot::Action),
    /// Nothing is left to do: end the process.
    Exit(End),
}

/// The reason for which the machine is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to end.
    Stopped,
    /// The one task of single-task mode has ended.
    SingleTask,
    /// No task came.
    Idle,
    /// Tasks live on.
    Left,
    /// No task runs, and none can come: a new version may take this one's place.
    Updated,
}

/// The part of the machine that people see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// Set once it has begun.
    pub(crate) is_ready: bool,
    /// Set when the agent is about to end.
    pub(crate) is_ending: bool,
    /// Set when it ends for another version to take its place.
    pub(crate) is_updating: bool,
    /// Each slot.
    pub(crate) slots: Vec<SlotView>,
    /// Holds on claims, the most important first, with the class as people know it.
    pub(crate) holds: Vec<(HoldSource, Option<String>, String)>,
}

impl View {
    /// Returns true if any slot has a task.
    pub(crate) fn is_busy(&self) -> bool {
        self.slots.iter().any(SlotView::has_task)
    }
}
