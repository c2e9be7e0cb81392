//! One slot: cleaned, claimed for, running, settled with the control plane, cleaned again.

use std::time::Duration;

use russet_protocol::backoff::Backoff;
use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::Failure;

use super::Settings;
use russet_platform::clock::BootTime;

/// Delay after the deadline, which the task agent owns, until the launch agent acts on it.
pub(in crate::launch) const BACKSTOP: Duration = Duration::from_secs(60);

/// Pauses between attempts to clean or to settle.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Events in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::launch) enum Input {
    /// Everything of the last task is gone, and there are fresh directories.
    Cleaned {
        /// Set if that took so little time that the next claim need not wait for it.
        quick: bool,
    },
    /// That did not work.
    NotCleaned,
    /// A claim brought a task.
    Claimed {
        /// Reason why it must not run here, where it must not.
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
    NotSettled,
}

/// End of a task agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::launch) enum Exit {
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
}

/// Actions in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::launch) enum Action {
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
}

/// Report to the control plane of a task that its agent did not report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::launch) enum Settlement {
    /// It was not run and may run elsewhere.
    GiveBack(String),
    /// It was not run and is not going to.
    Refuse(String),
    /// It ended; send the rest of its output and this.
    Report(Failure),
}

/// The state of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::launch) enum State {
    /// Is being cleaned.
    Cleaning {
        attempt: u32,
        /// A task was claimed meanwhile.
        task_waits: bool,
    },
    /// Could not be cleaned, and takes no task until it is.
    Dirty { attempt: u32, retry_at: BootTime },
    /// Clean and empty.
    Ready,
    /// A task agent is being started.
    Starting,
    /// A task agent runs.
    Running {
        /// Time at which the launch agent itself ends the task.
        backstop: BootTime,
        /// Set when the task agent was told to end: what to report if it does not, and when it
        /// is killed.
        canceled: Option<(Failure, BootTime)>,
    },
    /// The task agent was killed and is about to be gone.
    Killed(Verdict),
    /// The control plane is being told.
    Settling { settlement: Settlement, attempt: u32, retry_at: Option<BootTime> },
}

/// Report of a killed task agent, whatever its exit status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::launch) enum Verdict {
    /// Nothing: the control plane does not want to know.
    Stale,
    /// The task is to run elsewhere.
    GiveBack(String),
    /// This.
    Failure(Failure),
}

/// A slot.
#[derive(Clone, Debug)]
pub(in crate::launch) struct Slot {
    /// `None`: not configured any more; it ends the task that it had.
    pub(super) class: Option<usize>,
    pub(super) state: State,
    pub(super) claiming: bool,
    pub(super) claim_dropped: bool,
    /// Set if the last cleaning was quick.
    quick: bool,
    /// Set if a cleaning is under way whose end has not been reported.
    cleaning: bool,
    /// Reason to cancel the task that is about to start.
    cancel_at_start: Option<Failure>,
}

impl Slot {
    pub(super) fn new(class: Option<usize>) -> Self {
        let state = State::Cleaning { attempt: 0, task_waits: false };
        Self {
            class,
            state,
            claiming: false,
            claim_dropped: false,
            quick: false,
            cleaning: false,
            cancel_at_start: None,
        }
    }

    /// Returns true if a claim for this slot makes sense. A slot whose cleaning takes a few
    /// milliseconds claims meanwhile; the task waits until it is clean.
    pub(super) fn may_claim(&self) -> bool {
        match self.state {
            _ if self.class.is_none() => false,
            State::Ready => true,
            State::Cleaning { attempt: 0, task_waits: false } => self.quick,
            _ => false,
        }
    }

    /// Returns true if there is a task in it.
    pub(super) fn has_task(&self) -> bool {
        match self.state {
            State::Cleaning { task_waits, .. } => task_waits,
            State::Dirty { .. } | State::Ready => false,
            State::Starting | State::Running { .. } | State::Killed(_) | State::Settling { .. } => {
                true
            }
        }
    }

    /// Returns the reason why its task is being ended, where it is.
    pub(super) fn ending(&self) -> Option<&str> {
        let failure = match &self.state {
            State::Running { canceled: Some((failure, _)), .. }
            | State::Killed(Verdict::Failure(failure)) => Some(failure),
            _ => self.cancel_at_start.as_ref(),
        };
        failure.map(|failure| failure.message.as_str())
    }

    /// Returns true if it is in the middle of something that another launch agent can not go on
    /// with.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.state, State::Starting | State::Cleaning { task_waits: true, .. })
    }

    pub(super) fn next_wakeup(&self) -> Option<BootTime> {
        match &self.state {
            State::Dirty { retry_at, .. } => Some(*retry_at),
            State::Running { backstop, canceled: None } => Some(*backstop),
            State::Running { backstop, canceled: Some((_, kill_at)) } => {
                Some(*backstop.min(kill_at))
            }
            State::Settling { retry_at, .. } => *retry_at,
            _ => None,
        }
    }

    /// Takes an input. One that does not fit the state is late (its task has ended otherwise
    /// meanwhile) and is ignored.
    pub(super) fn handle(
        &mut self,
        now: BootTime,
        input: Input,
        settings: &Settings,
        todo: &mut Vec<Action>,
    ) {
        match input {
            Input::Cleaned { quick } => {
                self.cleaning = false;
                self.cleaned(quick, todo);
            }
            Input::NotCleaned => {
                self.cleaning = false;
                // It takes no more tasks in advance that it would have to give back.
                self.quick = false;
                self.not_cleaned(now, todo);
            }
            Input::Claimed { refused } => self.claimed(refused, todo),
            Input::ClaimedTooLate => {
                self.claim_ended();
                let reason = "the runner takes no tasks any more".to_owned();
                self.settle(Settlement::GiveBack(reason), todo);
            }
            Input::ClaimDropped => self.claim_ended(),
            Input::Adopted { deadline } | Input::Started { deadline } => {
                self.started(deadline);
                if let Some(failure) = self.cancel_at_start.take() {
                    self.cancel(now, failure, settings, todo);
                }
            }
            Input::Orphaned(exit) => self.exited(exit, settings, todo),
            Input::NotStarted(reason) => {
                if self.state == State::Starting {
                    self.settle(Settlement::GiveBack(reason), todo);
                }
            }
            Input::CancelAsked(reason) => {
                let failure = Failure { outcome: Outcome::Canceled, message: reason };
                self.cancel(now, failure, settings, todo);
            }
            Input::CancelWanted(reason) => {
                let failure = Failure { outcome: Outcome::Canceled, message: reason };
                if self.is_between() {
                    self.cancel_at_start = Some(failure);
                } else {
                    self.cancel(now, failure, settings, todo);
                }
            }
            Input::Stale => self.kill(Verdict::Stale, todo),
            Input::Silent => {
                let message = "the task agent did not answer for three heartbeats and was killed";
                self.kill(Verdict::Failure(infrastructure(message)), todo);
            }
            Input::Exited(exit) => self.exited(exit, settings, todo),
            Input::Settled => {
                if matches!(self.state, State::Settling { .. }) {
                    self.clean(0, todo);
                }
            }
            Input::NotSettled => {
                if let State::Settling { attempt, retry_at, .. } = &mut self.state {
                    *retry_at = Some(now.after(retry_pause(*attempt)));
                    *attempt += 1;
                }
            }
        }
    }

    fn cleaned(&mut self, quick: bool, todo: &mut Vec<Action>) {
        let State::Cleaning { task_waits, .. } = self.state else { return };
        self.quick = quick;
        if task_waits {
            self.state = State::Starting;
            todo.push(Action::Start);
        } else {
            self.state = State::Ready;
        }
    }

    fn not_cleaned(&mut self, now: BootTime, todo: &mut Vec<Action>) {
        let State::Cleaning { attempt, task_waits } = self.state else { return };
        if task_waits {
            let reason = "the slot could not be cleaned for it".to_owned();
            self.settle(Settlement::GiveBack(reason), todo);
        } else {
            let retry_at = now.after(retry_pause(attempt));
            self.state = State::Dirty { attempt: attempt + 1, retry_at };
        }
    }

    fn claimed(&mut self, refused: Option<String>, todo: &mut Vec<Action>) {
        self.claim_ended();
        if let Some(reason) = refused {
            return self.settle(Settlement::Refuse(reason), todo);
        }
        match &mut self.state {
            State::Ready => {
                self.state = State::Starting;
                todo.push(Action::Start);
            }
            State::Cleaning { task_waits, .. } => *task_waits = true,
            // The cleaning failed while the claim was on its way.
            State::Dirty { .. } => {
                let reason = "the slot could not be cleaned for it".to_owned();
                self.settle(Settlement::GiveBack(reason), todo);
            }
            _ => {}
        }
    }

    fn claim_ended(&mut self) {
        self.claiming = false;
        self.claim_dropped = false;
    }

    fn started(&mut self, deadline: BootTime) {
        if matches!(self.state, State::Starting | State::Cleaning { .. }) {
            self.state = State::Running { backstop: deadline.after(BACKSTOP), canceled: None };
        }
    }

    pub(super) fn cancel(
        &mut self,
        now: BootTime,
        failure: Failure,
        settings: &Settings,
        todo: &mut Vec<Action>,
    ) {
        match &mut self.state {
            State::Running { canceled: canceled @ None, .. } => {
                *canceled = Some((failure.clone(), now.after(settings.cancel_patience)));
                todo.push(Action::Cancel(failure));
            }
            State::Cleaning { task_waits: true, .. } => {
                self.settle(Settlement::GiveBack(failure.message), todo);
            }
            _ => {}
        }
    }

    /// The runner is about to end. Where the owner asked for interrupted tasks to run elsewhere,
    /// the task agent must not report an outcome, so it is killed; else it is a cancel.
    pub(super) fn interrupt(
        &mut self,
        now: BootTime,
        failure: Failure,
        settings: &Settings,
        todo: &mut Vec<Action>,
    ) {
        if settings.unsafe_retries && matches!(self.state, State::Running { canceled: None, .. }) {
            self.kill(Verdict::GiveBack(failure.message), todo);
        } else {
            self.cancel(now, failure, settings, todo);
        }
    }

    /// Kills without waiting longer for a task agent that was told to end.
    pub(super) fn kill_now(&mut self, todo: &mut Vec<Action>) {
        if let State::Running { canceled: Some((failure, _)), .. } = &self.state {
            let verdict = Verdict::Failure(failure.clone());
            self.kill(verdict, todo);
        }
    }

    fn kill(&mut self, verdict: Verdict, todo: &mut Vec<Action>) {
        if matches!(self.state, State::Running { .. }) {
            self.state = State::Killed(verdict);
            todo.push(Action::Kill);
        }
    }

    pub(super) fn pass_time(&mut self, now: BootTime, todo: &mut Vec<Action>) {
        match self.state.clone() {
            State::Dirty { attempt, retry_at } if retry_at <= now => self.clean(attempt, todo),
            // Whoever passes its deadline timed out, canceled or not.
            State::Running { backstop, .. } if backstop <= now => {
                let message = "the task ran longer than it may, and its agent did not end it";
                let outcome = Outcome::TimedOut;
                self.kill(Verdict::Failure(Failure { outcome, message: message.to_owned() }), todo);
            }
            State::Running { canceled: Some((failure, kill_at)), .. } if kill_at <= now => {
                self.kill(Verdict::Failure(failure), todo);
            }
            State::Settling { settlement, attempt, retry_at: Some(at) } if at <= now => {
                self.state =
                    State::Settling { settlement: settlement.clone(), attempt, retry_at: None };
                todo.push(Action::Settle(settlement));
            }
            _ => {}
        }
    }

    /// The verdict on a killed task agent wins over what its exit says, unless the control plane
    /// has an outcome already.
    fn exited(&mut self, exit: Exit, settings: &Settings, todo: &mut Vec<Action>) {
        let verdict = match &self.state {
            State::Killed(verdict) => Some(verdict.clone()),
            State::Running { canceled: Some((failure, _)), .. } => {
                Some(Verdict::Failure(failure.clone()))
            }
            State::Running { .. } | State::Starting | State::Cleaning { .. } => None,
            _ => return,
        };
        let settlement = match (exit, verdict) {
            (Exit::Reported | Exit::Stale, _) | (_, Some(Verdict::Stale)) => {
                return self.clean(0, todo);
            }
            (Exit::NothingRan(reason), None) => Settlement::GiveBack(reason),
            (Exit::Died(reason), None) if settings.unsafe_retries => Settlement::GiveBack(reason),
            (Exit::Died(reason), None) => Settlement::Report(infrastructure(&reason)),
            (Exit::Unreported(failure), None)
                if settings.unsafe_retries && failure.outcome == Outcome::InfrastructureFail =>
            {
                Settlement::GiveBack(failure.message)
            }
            (Exit::Unreported(failure), None) => Settlement::Report(failure),
            (_, Some(Verdict::GiveBack(reason))) => Settlement::GiveBack(reason),
            (_, Some(Verdict::Failure(failure))) => Settlement::Report(failure),
        };
        self.settle(settlement, todo);
    }

    fn settle(&mut self, settlement: Settlement, todo: &mut Vec<Action>) {
        // What a person canceled does not run elsewhere.
        let settlement = match (settlement, self.cancel_at_start.take()) {
            (Settlement::GiveBack(_), Some(failure)) => Settlement::Report(failure),
            (settlement, _) => settlement,
        };
        self.state = State::Settling { settlement: settlement.clone(), attempt: 0, retry_at: None };
        todo.push(Action::Settle(settlement));
    }

    /// Begins to clean, unless that is under way already for a task that never started.
    pub(super) fn clean(&mut self, attempt: u32, todo: &mut Vec<Action>) {
        self.cancel_at_start = None;
        self.state = State::Cleaning { attempt, task_waits: false };
        if !self.cleaning {
            self.cleaning = true;
            todo.push(Action::Clean);
        }
    }
}

fn infrastructure(message: &str) -> Failure {
    Failure { outcome: Outcome::InfrastructureFail, message: message.to_owned() }
}

fn retry_pause(attempt: u32) -> Duration {
    Backoff::pause(FIRST_RETRY, LONGEST_RETRY, attempt)
}
