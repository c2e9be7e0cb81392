//! Inputs and actions of a slot.

use russet_protocol::runner::UnclaimCause;
use russet_protocol::supervise::Failure;

use russet_platform::clock::BootTime;

/// An input: something that happened in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Everything of the last task is gone, and there are fresh directories.
    Cleaned {
        /// Set when that took so little time that the next claim need not wait for it.
        quick: bool,
    },
    /// That did not work, for this reason.
    NotCleaned(String),
    /// A claim brought a task.
    Claimed {
        /// The reason why it must not run here; `None`: it may.
        refused: Option<String>,
    },
    /// A claim brought a task when none was wanted any more.
    ClaimedTooLate,
    /// The claim has ended without a task, as asked.
    ClaimDropped,
    /// A task agent of an earlier launch agent still runs.
    Adopted {
        /// Time at which the task is to end.
        deadline: BootTime,
    },
    /// An earlier launch agent left a task whose agent is gone.
    Orphaned(Exit),
    /// The task agent runs.
    Started {
        /// Time at which the task is to end.
        deadline: BootTime,
    },
    /// The task agent could not be started.
    NotStarted(String),
    /// The control plane wants the task canceled.
    CancelAsked(String),
    /// A person on this machine wants the task canceled. One that is about to start is canceled
    /// when it has: nobody else would say that it was.
    CancelWanted(String),
    /// The control plane does not know this claim any more.
    Stale,
    /// The task agent does not answer.
    Silent,
    /// The task agent has ended.
    Exited(Exit),
    /// The control plane knows how the task ended, or has the task back.
    Settled,
    /// That did not work.
    NotSettled(Unsettled),
    /// The control plane does not take the task back, and it is not to run here.
    NotTakenBack,
    /// The control plane does not take the task back, so it is to run here where it can.
    RunAnyway,
}

/// The reason why the control plane was not told how a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsettled {
    /// The control plane did not answer, or could not act on the call: later it may.
    Unanswered(String),
    /// The helper that sends what a task left failed on what it found.
    HelperFailed(String),
    /// The helper did not end in time and was killed.
    HelperStuck(String),
}

/// The end of a task agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The outcome is reported.
    Reported,
    /// The control plane does not know this claim any more.
    Stale,
    /// It ended before anything of the project ran.
    NothingRan(String),
    /// It knew the outcome and could not report it.
    Unreported(Failure),
    /// It ended otherwise.
    Died(String),
    /// It ended otherwise, and nothing here tells of a step that began: the control plane knows
    /// better.
    DiedEarly(UnclaimCause, String),
}

/// An action to carry out in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// End and delete what is left, make fresh directories: [`Input::Cleaned`] or
    /// [`Input::NotCleaned`].
    Clean,
    /// Claim: [`Input::Claimed`], or after [`Action::DropClaim`] perhaps
    /// [`Input::ClaimDropped`].
    Claim,
    /// Stop claiming.
    DropClaim,
    /// Start the task agent: [`Input::Started`] or [`Input::NotStarted`].
    Start,
    /// Tell the task agent to end the task.
    Cancel(Failure),
    /// Kill the task agent; [`Input::Exited`] follows.
    Kill,
    /// Tell the control plane how it ended: [`Input::Settled`] or [`Input::NotSettled`].
    Settle(Settlement),
    /// Log that the control plane is not told any more how the task ended, and why.
    GiveUp(String),
}

/// A report to the control plane of a task that its agent did not report itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// It was not run and may run elsewhere: [`Input::NotTakenBack`] where the control plane does
    /// not want that.
    GiveBack(UnclaimCause, String),
    /// It was not run and is not going to.
    Refuse(String),
    /// It ended; send the rest of its output and this.
    Report(Failure),
    /// It ended; the rest of its output cannot be sent, so only report this.
    Fail(Failure),
}
