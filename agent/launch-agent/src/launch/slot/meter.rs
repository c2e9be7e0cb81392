//! The measurement of a slot's task: counted once, whoever is the first to know how it ended.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use russet_protocol::outcome::Outcome;

use super::info::SlotInfo;
use crate::metrics::{End, Failure};
use crate::state::slot::{Exit, Settlement};
use russet_platform::clock::BootTime;

/// The task that has not been counted yet.
#[derive(Debug, Default)]
pub(super) struct TaskMeter(Mutex<Option<Measured>>);

#[derive(Debug, Default)]
struct Measured {
    /// Time of the answer to the claim; `None`: an earlier launch agent claimed it.
    claimed: Option<BootTime>,
    /// Time at which its agent had it; `None`: not yet, or an earlier launch agent started it.
    started: Option<BootTime>,
    /// Set once the control plane does not know it as ours any more.
    is_stale: bool,
    /// Fault of this machine that is counted when the task is settled.
    fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Known(Failure),
    /// Its agent died before a step is known to have begun: the control plane knows.
    DiedEarly,
}

impl TaskMeter {
    /// Notes that a claim brought a task.
    pub(super) fn note_claimed(&self, info: &SlotInfo) {
        let claimed = Some(info.shared.clock.now());
        self.with(|task| *task = Some(Measured { claimed, ..Measured::default() }));
    }

    /// Notes a task of an earlier launch agent.
    pub(super) fn note_found(&self) {
        self.with(|task| *task = Some(Measured::default()));
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

    /// Returns the time since the claim, where this launch agent sent it.
    pub(super) fn time_since_claim(&self, info: &SlotInfo) -> Option<Duration> {
        let claimed = self.with(|task| task.as_ref()?.claimed)?;
        Some(info.shared.clock.now().since(claimed))
    }

    /// Notes that the control plane gave the task to somebody else, or ended it.
    pub(super) fn note_stale(&self) {
        self.with(|task| {
            if let Some(task) = task {
                task.is_stale = true;
            }
        });
    }

    /// Notes a fault, which is counted when the task is settled.
    pub(super) fn note_fault(&self, failure: Failure) {
        self.set_fault(Fault::Known(failure));
    }

    /// Notes the end of a task's agent. A task that is reported or stale is counted: the control
    /// plane has its end. Any other is counted when it is settled, which may be by the next launch
    /// agent.
    pub(super) fn note_exit(&self, info: &SlotInfo, exit: &Exit, outcome: Option<Outcome>) {
        let is_stale = self.with(|task| task.as_ref().is_some_and(|task| task.is_stale));
        match exit {
            Exit::Reported => {
                if outcome == Some(Outcome::InfrastructureFail) {
                    info.shared.metrics.failed(Failure::Reported);
                }
                self.count_end(info, outcome.map_or(End::Unknown, End::Outcome));
            }
            _ if is_stale || *exit == Exit::Stale => {
                info.shared.metrics.failed(Failure::Stale);
                self.count_end(info, End::Stale);
            }
            Exit::NothingRan(_) => self.set_fault(Fault::Known(Failure::NothingRan)),
            Exit::Unreported(_) => self.set_fault(Fault::Known(Failure::NotReported)),
            Exit::DiedEarly(..) => self.set_fault(Fault::DiedEarly),
            Exit::Died(_) | Exit::Stale => self.set_fault(Fault::Known(Failure::Died)),
        }
    }

    /// Sets the fault, unless an earlier one explains it.
    fn set_fault(&self, fault: Fault) {
        self.with(|task| {
            if let Some(task) = task {
                task.fault.get_or_insert(fault);
            }
        });
    }

    /// Counts a task that the control plane was told about.
    pub(super) fn count_settled(&self, info: &SlotInfo, settlement: &Settlement) {
        let is_given_back = matches!(settlement, Settlement::GiveBack(..));
        match self.with(|task| task.as_mut()?.fault.take()) {
            Some(Fault::Known(failure)) => info.shared.metrics.failed(failure),
            Some(Fault::DiedEarly) if is_given_back => {
                info.shared.metrics.failed(Failure::NothingRan);
            }
            Some(Fault::DiedEarly) => info.shared.metrics.failed(Failure::Died),
            None => {}
        }
        self.count_end(
            info,
            match settlement {
                Settlement::GiveBack(..) => End::GivenBack,
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
