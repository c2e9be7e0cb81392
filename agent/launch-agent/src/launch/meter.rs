//! Metrics of a task: counted once, whoever is the first to know its end.

use russet_protocol::outcome::Outcome;

use super::slot_io::SlotIo;
use super::state::slot::{Exit, Settlement};
use crate::metrics::{End, Failure};
use russet_platform::clock::BootTime;

/// A task that has not been counted yet.
#[derive(Debug)]
pub(super) struct Meter {
    /// Time at which its claim was answered; none: an earlier launch agent claimed it.
    claimed: Option<BootTime>,
    /// Time at which its agent had it; none: not yet, or an earlier launch agent started it.
    started: Option<BootTime>,
    /// The control plane does not know it as ours any more.
    stale: bool,
}

impl SlotIo {
    /// Returns the name of the class in metrics.
    fn class_name(&self) -> String {
        self.class.as_ref().map_or_else(|| "none".to_owned(), |class| class.name())
    }

    /// A claim brought a task.
    pub(super) fn meter_claimed(&self) {
        let claimed = Some(self.shared.clock.now());
        self.with(|task| task.meter = Some(Meter { claimed, started: None, stale: false }));
    }

    /// There is a task of an earlier launch agent.
    pub(super) fn meter_found(&self) {
        self.with(|task| {
            task.meter = Some(Meter { claimed: None, started: None, stale: false });
        });
    }

    /// The task agent has its task.
    pub(super) fn meter_started(&self) {
        let now = self.shared.clock.now();
        let claimed = self.with(|task| {
            let meter = task.meter.as_mut()?;
            meter.started = Some(now);
            meter.claimed
        });
        if let Some(claimed) = claimed {
            self.shared.metrics.dispatched(&self.class_name(), now.since(claimed));
        }
    }

    /// The control plane gave the task to somebody else, or ended it.
    pub(super) fn note_stale(&self) {
        self.with(|task| {
            if let Some(meter) = &mut task.meter {
                meter.stale = true;
            }
        });
    }

    /// The task agent has ended. What it did not report is counted when it is settled.
    pub(super) fn meter_exit(&self, exit: &Exit, outcome: Option<Outcome>) {
        let is_stale = self.with(|task| task.meter.as_ref().is_some_and(|meter| meter.stale));
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
            self.shared.metrics.failed(failure);
        }
        match exit {
            Exit::Reported => self.over(outcome.map_or(End::Unknown, End::Outcome)),
            _ if failure == Some(Failure::Stale) => self.over(End::Stale),
            _ => {}
        }
    }

    /// The control plane knows of it.
    pub(super) fn meter_settled(&self, settlement: &Settlement) {
        self.over(match settlement {
            Settlement::GiveBack(_) => End::GivenBack,
            Settlement::Refuse(_) => End::Refused,
            Settlement::Report(failure) => End::Outcome(failure.outcome),
        });
    }

    fn over(&self, end: End) {
        let Some(meter) = self.with(|task| task.meter.take()) else { return };
        let now = self.shared.clock.now();
        let took = meter.started.map(|started| now.since(started));
        self.shared.metrics.ended(&self.class_name(), end, took);
    }
}
