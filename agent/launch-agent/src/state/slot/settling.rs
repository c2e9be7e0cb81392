//! Attempts to tell the control plane how a task ended, and what follows when they fail.
//!
//! Threat: what a task leaves in its spool is the job's, and may be made so that no helper can read
//! or send it. So settling is bounded: after a few failures of the helper the launch agent reports
//! the task itself, without what is left of its output, and in the end the slot is cleaned even
//! though the control plane heard nothing. Its lease ends the task then.

use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::Failure;

use super::kept::Otherwise;
use super::types::{Action, Settlement, Unsettled};
use super::{Next, Slot, State, retry_pause};
use russet_platform::clock::BootTime;

/// Failures of the helper on what it found, after which it is not started again.
const MAX_HELPER_FAILURES: u32 = 3;

/// Time after the first failure for which one way to settle is tried.
const MAX_SETTLE_TIME: Duration = Duration::from_secs(24 * 3600);

/// Attempts that failed so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempts {
    failed: u32,
    /// Those in which the helper failed on what it found.
    helper_failed: u32,
    failing_since: Option<BootTime>,
    /// Time of the next one, while none is under way.
    pub(super) retry_at: Option<BootTime>,
    /// Reason of the last failure.
    pub(super) trouble: Option<String>,
}

/// The next step after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// The same again, at `retry_at`.
    Retry,
    /// This, at once.
    Instead(Settlement),
    /// Nothing: the control plane is left to find out by itself.
    GiveUp(String),
}

impl Attempts {
    /// Notes a failure and decides what follows.
    pub(super) fn fail(
        &mut self,
        now: BootTime,
        settlement: &Settlement,
        reason: Unsettled,
    ) -> Following {
        let since = *self.failing_since.get_or_insert(now);
        let is_over = now.since(since) >= MAX_SETTLE_TIME;
        let (text, is_final) = match reason {
            Unsettled::Unanswered(text) => (text, is_over),
            Unsettled::HelperFailed(text) => {
                self.helper_failed = self.helper_failed.saturating_add(1);
                (text, is_over || self.helper_failed >= MAX_HELPER_FAILURES)
            }
            Unsettled::HelperStuck(text) => (text, true),
        };
        self.trouble = Some(text.clone());
        match settlement {
            Settlement::Report(failure) if is_final => {
                *self = Self { trouble: self.trouble.take(), ..Self::default() };
                Following::Instead(Settlement::Fail(failure_without_output(failure, &text)))
            }
            _ if is_over => Following::GiveUp(text),
            _ => {
                self.retry_at = Some(now.after(retry_pause(self.failed)));
                self.failed = self.failed.saturating_add(1);
                Following::Retry
            }
        }
    }
}

impl Slot {
    pub(super) fn settle(&mut self, settlement: Settlement, todo: &mut Vec<Action>) {
        let (otherwise, cancel, is_cleaning) = match &mut self.state {
            State::Starting { cancel } | State::Waiting { cancel, .. } => {
                (Otherwise::Run, cancel.take(), false)
            }
            State::Cleaning { next: Next::Task { cancel }, .. } => {
                (Otherwise::Run, cancel.take(), true)
            }
            State::Cleaning { .. } | State::Settling { is_cleaning: true, .. } => {
                (Otherwise::Run, None, true)
            }
            State::Ready { .. } => (Otherwise::Run, None, false),
            State::Dirty { .. } => (Otherwise::Fail, None, false),
            _ => (Otherwise::Report, None, false),
        };
        self.begin_settling(settlement, otherwise, cancel, is_cleaning, todo);
    }

    pub(super) fn begin_settling(
        &mut self,
        settlement: Settlement,
        otherwise: Otherwise,
        cancel: Option<Failure>,
        is_cleaning: bool,
        todo: &mut Vec<Action>,
    ) {
        // What a person canceled does not run elsewhere.
        let settlement = match (settlement, cancel) {
            (Settlement::GiveBack(..), Some(failure)) => Settlement::Report(failure),
            (settlement, _) => settlement,
        };
        todo.push(Action::Settle(settlement.clone()));
        let attempts = Attempts::default();
        self.state = State::Settling { settlement, attempts, otherwise, is_cleaning };
    }

    /// Takes the failure of an attempt to settle.
    pub(super) fn fail_settling(
        &mut self,
        now: BootTime,
        reason: Unsettled,
        todo: &mut Vec<Action>,
    ) {
        let State::Settling { settlement, attempts, .. } = &mut self.state else { return };
        match attempts.fail(now, settlement, reason) {
            Following::Retry => {}
            Following::Instead(other) => {
                *settlement = other.clone();
                todo.push(Action::Settle(other));
            }
            Following::GiveUp(reason) => {
                todo.push(Action::GiveUp(reason));
                self.clean(0, None, todo);
            }
        }
    }
}

/// The report of the launch agent itself, which names what stood in the way.
fn failure_without_output(failure: &Failure, reason: &str) -> Failure {
    let told = match failure.outcome {
        Outcome::InfrastructureFail => failure.message.clone(),
        outcome => format!("{outcome}: {}", failure.message),
    };
    Failure {
        outcome: Outcome::InfrastructureFail,
        message: format!("{told}; the rest of its output could not be sent: {reason}"),
    }
}
