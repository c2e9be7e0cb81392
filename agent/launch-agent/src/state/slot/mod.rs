//! One slot: cleaned, claimed for, running, settled with the control plane, cleaned again.

use std::time::Duration;

use russet_protocol::backoff::Backoff;
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::UnclaimCause;
use russet_protocol::supervise::Failure;

use super::Settings;
use russet_platform::clock::BootTime;

pub(crate) mod aside;
mod kept;
mod settling;
mod types;
mod view;

use kept::Otherwise;
use settling::Attempts;

pub(crate) use types::{Action, Exit, Input, Settlement, Unsettled};
pub(crate) use view::SlotView;

/// Delay after the deadline, which the task agent owns, until the launch agent acts on it.
pub(crate) const BACKSTOP: Duration = Duration::from_secs(60);

/// Pauses between attempts to clean or to settle.
const FIRST_RETRY_INTERVAL: Duration = Duration::from_secs(2);
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// The state of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Before the start: the slot is adopted, found with an orphan, or cleaned next.
    New,
    /// Is being cleaned.
    Cleaning {
        /// Attempts that failed before this one.
        attempt: u32,
        /// The reason why the last one failed.
        trouble: Option<String>,
        next: Next,
    },
    /// Could not be cleaned for this reason, and takes no task until it is.
    Dirty { attempt: u32, trouble: String, retry_at: BootTime, claim: Claim },
    /// Clean and empty.
    Ready { claim: Claim },
    /// A task agent is being started.
    Starting {
        /// A cancel that arrived before the task agent did.
        cancel: Option<Failure>,
    },
    /// A task agent could not be started, and is again at this time.
    Waiting {
        start_at: BootTime,
        /// A cancel that arrived meanwhile.
        cancel: Option<Failure>,
    },
    /// A task agent runs.
    Running {
        /// Time at which the launch agent itself ends the task.
        backstop: BootTime,
        /// Set when the task agent was told to end: what to report if it does not, and the time
        /// at which it is killed.
        canceled: Option<(Failure, BootTime)>,
    },
    /// The task agent was killed and is about to be gone.
    Killed(Verdict),
    /// The control plane is being told.
    Settling {
        settlement: Settlement,
        attempts: Attempts,
        /// The fate of a task that is not taken back.
        otherwise: Otherwise,
        /// Set while the cleaning that the task waited for has not ended.
        is_cleaning: bool,
    },
}

/// The continuation of a cleaning.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    /// The slot becomes ready, with this claim.
    Claim(Claim),
    /// A task was claimed meanwhile and starts.
    Task {
        /// A cancel that arrived before the task started.
        cancel: Option<Failure>,
    },
}

/// The claim of a slot without a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// None is sent.
    None,
    /// One waits for its answer.
    Sent,
    /// One was told to end without a task.
    Dropping,
}

/// The report of a killed task agent, whatever its exit status says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing: the control plane does not want to know.
    Stale,
    /// The task is to run elsewhere.
    GiveBack(String),
    /// This.
    Failure(Failure),
}

/// The duration of a slot's last cleaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CleaningPace {
    /// A few milliseconds: the next claim need not wait for one.
    Quick,
    /// Longer, or unknown.
    Slow,
}

/// A slot.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// `None`: not configured any more; it ends the task that it had.
    pub(super) class: Option<usize>,
    state: State,
    pace: CleaningPace,
    /// Starts of its task that failed.
    failed_starts: u32,
}

impl Slot {
    pub(super) fn new(class: Option<usize>) -> Self {
        Self { class, state: State::New, pace: CleaningPace::Slow, failed_starts: 0 }
    }

    /// Begins the first cleaning, unless a task was adopted or orphaned here.
    pub(super) fn start(&mut self, todo: &mut Vec<Action>) {
        if self.state == State::New {
            self.clean(0, None, todo);
        }
    }

    /// Returns true if a claim for this slot makes sense and none is sent. A slot whose cleaning
    /// takes a few milliseconds claims meanwhile; the task waits until it is clean.
    pub(super) fn may_claim(&self) -> bool {
        match self.state {
            _ if self.class.is_none() => false,
            State::Ready { claim: Claim::None } => true,
            State::Cleaning { attempt: 0, next: Next::Claim(Claim::None), .. } => {
                self.pace == CleaningPace::Quick
            }
            _ => false,
        }
    }

    /// Returns true while a claim waits for its answer or is being dropped.
    pub(super) fn has_claim(&self) -> bool {
        self.claim() != Claim::None
    }

    /// Claims for a slot that may.
    pub(super) fn begin_claim(&mut self, todo: &mut Vec<Action>) {
        if let Some(claim @ Claim::None) = self.claim_mut() {
            *claim = Claim::Sent;
            todo.push(Action::Claim);
        }
    }

    /// Drops the claim that waits, if there is one.
    pub(super) fn drop_claim(&mut self, todo: &mut Vec<Action>) {
        if let Some(claim @ Claim::Sent) = self.claim_mut() {
            *claim = Claim::Dropping;
            todo.push(Action::DropClaim);
        }
    }

    fn claim(&self) -> Claim {
        match &self.state {
            State::Ready { claim }
            | State::Dirty { claim, .. }
            | State::Cleaning { next: Next::Claim(claim), .. } => *claim,
            _ => Claim::None,
        }
    }

    fn claim_mut(&mut self) -> Option<&mut Claim> {
        match &mut self.state {
            State::Ready { claim }
            | State::Dirty { claim, .. }
            | State::Cleaning { next: Next::Claim(claim), .. } => Some(claim),
            _ => None,
        }
    }

    fn end_claim(&mut self) {
        if let Some(claim) = self.claim_mut() {
            *claim = Claim::None;
        }
    }

    /// Returns true if there is a task in it.
    pub(super) fn has_task(&self) -> bool {
        match &self.state {
            State::Cleaning { next, .. } => matches!(next, Next::Task { .. }),
            State::New | State::Dirty { .. } | State::Ready { .. } => false,
            State::Starting { .. }
            | State::Waiting { .. }
            | State::Running { .. }
            | State::Killed(_)
            | State::Settling { .. } => true,
        }
    }

    /// Returns true while the control plane is told how its task ended.
    pub(super) fn is_settling(&self) -> bool {
        matches!(self.state, State::Settling { .. })
    }

    /// Returns true if it is being cleaned, or about to be.
    pub(super) fn is_cleaning(&self) -> bool {
        matches!(self.state, State::New | State::Cleaning { .. })
    }

    /// Returns true in the middle of something that another launch agent cannot go on with.
    pub(super) fn is_between(&self) -> bool {
        matches!(
            self.state,
            State::Starting { .. } | State::Cleaning { next: Next::Task { .. }, .. }
        )
    }

    pub(super) fn next_wakeup(&self) -> Option<BootTime> {
        match &self.state {
            State::Dirty { retry_at: at, .. } | State::Waiting { start_at: at, .. } => Some(*at),
            State::Running { backstop, canceled: None } => Some(*backstop),
            State::Running { backstop, canceled: Some((_, kill_at)) } => {
                Some(*backstop.min(kill_at))
            }
            State::Settling { attempts, .. } => attempts.retry_at,
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
            Input::Cleaned { quick } => self.finish_cleaning(quick, todo),
            Input::NotCleaned(reason) => self.fail_cleaning(now, reason, todo),
            Input::Claimed { refused } => self.take_task(refused, todo),
            Input::ClaimedTooLate => {
                self.end_claim();
                let reason = "the runner takes no tasks any more".to_owned();
                self.settle(Settlement::GiveBack(UnclaimCause::NotTaking, reason), todo);
            }
            Input::ClaimDropped => self.end_claim(),
            Input::Adopted { deadline } | Input::Started { deadline } => {
                let cancel = match &mut self.state {
                    State::New => None,
                    State::Starting { cancel } => cancel.take(),
                    _ => return,
                };
                self.state = State::Running { backstop: deadline.after(BACKSTOP), canceled: None };
                if let Some(failure) = cancel {
                    self.cancel(now, failure, settings, todo);
                }
            }
            Input::Orphaned(exit) | Input::Exited(exit) => self.end_task(exit, settings, todo),
            Input::NotStarted(reason) => {
                if matches!(self.state, State::Starting { .. }) {
                    self.failed_starts = self.failed_starts.saturating_add(1);
                    self.settle(Settlement::GiveBack(UnclaimCause::NotStarted, reason), todo);
                }
            }
            Input::CancelAsked(reason) => {
                let failure = Failure { outcome: Outcome::Canceled, message: reason };
                self.cancel(now, failure, settings, todo);
            }
            Input::CancelWanted(reason) => {
                let failure = Failure { outcome: Outcome::Canceled, message: reason };
                match &mut self.state {
                    State::Starting { cancel }
                    | State::Waiting { cancel, .. }
                    | State::Cleaning { next: Next::Task { cancel }, .. } => {
                        *cancel = Some(failure);
                    }
                    _ => self.cancel(now, failure, settings, todo),
                }
            }
            Input::Stale => self.kill(Verdict::Stale, todo),
            Input::Silent => {
                let message = "the task agent did not answer for three heartbeats and was killed";
                self.kill(Verdict::Failure(infrastructure_failure(message)), todo);
            }
            Input::Settled => {
                if matches!(self.state, State::Settling { .. }) {
                    self.clean(0, None, todo);
                }
            }
            Input::NotSettled(reason) => self.fail_settling(now, reason, todo),
            Input::NotTakenBack => self.keep_task(now, false, todo),
            Input::RunAnyway => self.keep_task(now, true, todo),
        }
    }

    fn finish_cleaning(&mut self, quick: bool, todo: &mut Vec<Action>) {
        match &mut self.state {
            State::Cleaning { next, .. } => {
                self.pace = if quick { CleaningPace::Quick } else { CleaningPace::Slow };
                match next {
                    Next::Task { cancel } => {
                        self.state = State::Starting { cancel: cancel.take() };
                        todo.push(Action::Start);
                    }
                    Next::Claim(claim) => self.state = State::Ready { claim: *claim },
                }
            }
            State::Settling { is_cleaning, .. } => *is_cleaning = false,
            _ => {}
        }
    }

    fn fail_cleaning(&mut self, now: BootTime, reason: String, todo: &mut Vec<Action>) {
        // It takes no more tasks in advance that it would have to give back.
        self.pace = CleaningPace::Slow;
        match &mut self.state {
            State::Cleaning { attempt, next: Next::Claim(claim), .. } => {
                let retry_at = now.after(retry_pause(*attempt));
                let (attempt, claim) = (attempt.saturating_add(1), *claim);
                self.state = State::Dirty { attempt, trouble: reason, retry_at, claim };
            }
            State::Cleaning { next: Next::Task { cancel }, .. } => {
                let cancel = cancel.take();
                let reason = "the slot could not be cleaned for it".to_owned();
                let settlement = Settlement::GiveBack(UnclaimCause::NotTaking, reason);
                self.begin_settling(settlement, Otherwise::Fail, cancel, false, todo);
            }
            State::Settling { is_cleaning, otherwise, .. } => {
                *is_cleaning = false;
                *otherwise = Otherwise::Fail;
            }
            _ => {}
        }
    }

    fn take_task(&mut self, refused: Option<String>, todo: &mut Vec<Action>) {
        self.end_claim();
        if let Some(reason) = refused {
            return self.settle(Settlement::Refuse(reason), todo);
        }
        match &mut self.state {
            State::Ready { .. } => {
                self.state = State::Starting { cancel: None };
                todo.push(Action::Start);
            }
            State::Cleaning { next: next @ Next::Claim(_), .. } => {
                *next = Next::Task { cancel: None };
            }
            // The cleaning failed while the claim was on its way.
            State::Dirty { .. } => {
                let reason = "the slot could not be cleaned for it".to_owned();
                self.settle(Settlement::GiveBack(UnclaimCause::NotTaking, reason), todo);
            }
            _ => {}
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
            State::Cleaning { next: Next::Task { .. }, .. } | State::Waiting { .. } => {
                let settlement = Settlement::GiveBack(UnclaimCause::NotTaking, failure.message);
                self.settle(settlement, todo);
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
            State::Dirty { attempt, trouble, retry_at, .. } if retry_at <= now => {
                self.clean(attempt, Some(trouble), todo);
            }
            State::Waiting { start_at, cancel } if start_at <= now => {
                self.state = State::Starting { cancel };
                todo.push(Action::Start);
            }
            // Whoever passes its deadline timed out, canceled or not.
            State::Running { backstop, .. } if backstop <= now => {
                let message = "the task ran longer than it may, and its agent did not end it";
                let outcome = Outcome::TimedOut;
                self.kill(Verdict::Failure(Failure { outcome, message: message.to_owned() }), todo);
            }
            State::Running { canceled: Some((failure, kill_at)), .. } if kill_at <= now => {
                self.kill(Verdict::Failure(failure), todo);
            }
            State::Settling { settlement, mut attempts, otherwise, is_cleaning }
                if attempts.retry_at.is_some_and(|at| at <= now) =>
            {
                attempts.retry_at = None;
                todo.push(Action::Settle(settlement.clone()));
                self.state = State::Settling { settlement, attempts, otherwise, is_cleaning };
            }
            _ => {}
        }
    }

    /// The verdict on a killed task agent wins over what its exit says, unless the control plane
    /// has an outcome already.
    fn end_task(&mut self, exit: Exit, settings: &Settings, todo: &mut Vec<Action>) {
        let verdict = match &self.state {
            State::Killed(verdict) => Some(verdict.clone()),
            State::Running { canceled: Some((failure, _)), .. } => {
                Some(Verdict::Failure(failure.clone()))
            }
            State::New | State::Running { .. } | State::Starting { .. } => None,
            _ => return,
        };
        let settlement = match (exit, verdict) {
            (Exit::Reported | Exit::Stale, _) | (_, Some(Verdict::Stale)) => {
                return self.clean(0, None, todo);
            }
            (Exit::NothingRan(reason), None) => {
                let settlement = Settlement::GiveBack(UnclaimCause::NotStarted, reason);
                return self.begin_settling(settlement, Otherwise::Fail, None, false, todo);
            }
            (Exit::DiedEarly(cause, reason), None) => Settlement::GiveBack(cause, reason),
            // It was killed because it did not answer: that is no reason to ask nobody.
            (Exit::DiedEarly(..), Some(Verdict::Failure(failure)))
                if failure.outcome == Outcome::InfrastructureFail =>
            {
                Settlement::GiveBack(UnclaimCause::NotStarted, failure.message)
            }
            (Exit::Died(reason), None) if settings.unsafe_retries => interrupted(reason),
            (Exit::Died(reason), None) => Settlement::Report(infrastructure_failure(&reason)),
            (Exit::Unreported(failure), None)
                if settings.unsafe_retries && failure.outcome == Outcome::InfrastructureFail =>
            {
                interrupted(failure.message)
            }
            (Exit::Unreported(failure), None) => Settlement::Report(failure),
            (_, Some(Verdict::GiveBack(reason))) => interrupted(reason),
            (_, Some(Verdict::Failure(failure))) => Settlement::Report(failure),
        };
        self.settle(settlement, todo);
    }

    /// Begins to clean, unless that is under way already for a task that never started.
    fn clean(&mut self, attempt: u32, trouble: Option<String>, todo: &mut Vec<Action>) {
        let is_under_way = matches!(
            self.state,
            State::Cleaning { .. } | State::Settling { is_cleaning: true, .. }
        );
        self.failed_starts = 0;
        self.state = State::Cleaning { attempt, trouble, next: Next::Claim(self.claim()) };
        if !is_under_way {
            todo.push(Action::Clean);
        }
    }
}

fn interrupted(reason: String) -> Settlement {
    Settlement::GiveBack(UnclaimCause::Interrupted, reason)
}

fn infrastructure_failure(message: &str) -> Failure {
    Failure { outcome: Outcome::InfrastructureFail, message: message.to_owned() }
}

fn retry_pause(attempt: u32) -> Duration {
    Backoff::pause(FIRST_RETRY_INTERVAL, MAX_RETRY_INTERVAL, attempt)
}
