//! A task that was to be given back and that the control plane does not take: a step of it began as
//! far as it knows, or it was given back too often.
//!
//! To be given back fails no task. One of which nothing ran runs here where it still can, although
//! this machine did not want it; a start that failed is tried again.

use super::types::{Action, Settlement};
use super::{Next, Slot, State, infrastructure_failure, retry_pause};
use russet_platform::clock::BootTime;

/// Starts of a task that is not taken back, after which its failure is reported.
const MAX_STARTS: u32 = 4;

/// The fate of a task that is not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// It runs here: nothing of it ran, and the slot is clean or about to be.
    Run,
    /// It fails: its agent, or the slot, is of no use.
    Fail,
    /// The rest of its output is sent, with the report that it failed.
    Report,
}

impl Slot {
    /// Decides on a task that is not taken back.
    pub(super) fn keep_task(&mut self, now: BootTime, may_run: bool, todo: &mut Vec<Action>) {
        let State::Settling { settlement, otherwise, is_cleaning, .. } = &self.state else {
            return;
        };
        let Settlement::GiveBack(_, reason) = settlement else { return };
        let failure = infrastructure_failure(reason);
        let is_cleaning = *is_cleaning;
        match otherwise {
            Otherwise::Run if may_run && self.failed_starts < MAX_STARTS => {
                self.run_anyway(now, is_cleaning, todo);
            }
            Otherwise::Run | Otherwise::Fail => self.settle(Settlement::Fail(failure), todo),
            Otherwise::Report => self.settle(Settlement::Report(failure), todo),
        }
    }

    fn run_anyway(&mut self, now: BootTime, is_cleaning: bool, todo: &mut Vec<Action>) {
        self.state = match (is_cleaning, self.failed_starts) {
            (true, _) => {
                State::Cleaning { attempt: 0, trouble: None, next: Next::Task { cancel: None } }
            }
            (false, 0) => {
                todo.push(Action::Start);
                State::Starting { cancel: None }
            }
            (false, failed) => {
                State::Waiting { start_at: now.after(retry_pause(failed - 1)), cancel: None }
            }
        };
    }
}
