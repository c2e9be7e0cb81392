//! The measurement of a slot's task: counted once, whoever is the first to know how it ended.

use std::sync::{Mutex, PoisonError};

use russet_protocol::outcome::Outcome;

use super::info::SlotInfo;
use crate::metrics::{End, Failure};
use crate::state::slot::{Exit, Settlement};
use russet_platform::clock::BootTime;

/// The task that has not been counted yet.
#[derive(Debug, Default)]
pub(super) struct TaskMeter(Mutex<Option<Measured>>);

#[derive(Debug)]
struct Measured {
    /// Time of the answer to the claim; `None`: an earlier launch agent claimed it.
    claimed: Option<BootTime>,
    /// Time at which its agent had it; `None`: not yet, or an earlier launch agent started it.
    started: Option<BootTime>,
    /// Set once the control plane does not know it as ours any more.
    is_stale: bool,
}

impl TaskMeter {
    /// Notes that a claim brought a task.
    pub(super) fn note_claimed(&self, info: &SlotInfo) {
        let claimed = Some(info.shared.clock.now());
        self.with(|task| *task = Some(Measured { claimed, started: None, is_stale: false }));
    }

    /// Notes a task of an earlier launch agent.
    pub(super) fn note_found(&self) {
        self.with(|task| *task = Some(Measured { claimed: None, started: None, is_stale: false }));
    }

    /// Notes that the task agent has its task.
    pub(super) fn note_started(&self, info: &SlotInfo) {
        let now = info.shared.clock.now();
        let claimed = self.with(|task| {
            let task = task.as_mut()?;
            task.started = Some(now);
            task.claimed
        });
        if let Some(claimed) = claimed {
            info.shared.metrics.dispatched(&info.class_name(), now.since(claimed));
        }
    }

    /// Notes that the control plane gave the task to somebody else, or ended it.
    pub(super) fn note_stale(&self) {
        self.with(|task| {
            if let Some(task) = task {
                task.is_stale = true;
            }
        });
    }

    /// Counts a task whose agent has ended. A task that it did not report is counted when it is
    /// settled.
    pub(super) fn count_exit(&self, info: &SlotInfo, exit: &Exit, outcome: Option<Outcome>) {
        let is_stale = self.with(|task| task.as_ref().is_some_and(|task| task.is_stale));
        let failure = match exit {
            Exit::Reported if outcome == Some(Outcome::InfrastructureFail) => {
                Some(Failure::Reported)
            }
            Exit::Reported => None,
            Exit::Stale => Some(Failure::Stale),
            _ if is_stale => Some(Failure::Stale),
            Exit::NothingRan(_) => Some(Failure::NothingRan),
            Exit::Unreported(_) => Some(Failure::NotReported),
            Exit::Died(_) => Some(Failure::Died),
        };
        if let Some(failure) = failure {
            info.shared.metrics.failed(failure);
        }
        match exit {
            Exit::Reported => self.count_end(info, outcome.map_or(End::Unknown, End::Outcome)),
            _ if failure == Some(Failure::Stale) => self.count_end(info, End::Stale),
            _ => {}
        }
    }

    /// Counts a task that the control plane was told about.
    pub(super) fn count_settled(&self, info: &SlotInfo, settlement: &Settlement) {
        self.count_end(
            info,
            match settlement {
                Settlement::GiveBack(_) => End::GivenBack,
                Settlement::Refuse(_) => End::Refused,
                Settlement::Report(failure) | Settlement::Fail(failure) => {
                    End::Outcome(failure.outcome)
                }
            },
        );
    }

    /// Counts a task whose end the control plane could not be told.
    pub(super) fn count_given_up(&self, info: &SlotInfo) {
        self.count_end(info, End::Unknown);
    }

    fn count_end(&self, info: &SlotInfo, end: End) {
        let Some(task) = self.with(Option::take) else { return };
        let now = info.shared.clock.now();
        let took = task.started.map(|started| now.since(started));
        info.shared.metrics.ended(&info.class_name(), end, took);
    }

    fn with<T>(&self, change: impl FnOnce(&mut Option<Measured>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
