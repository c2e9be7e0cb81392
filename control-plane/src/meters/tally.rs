//! Numbers of one transaction, which count once it is committed.

use russet_protocol::outcome::Outcome;

/// Reason why a task failed that is not its job's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureReason {
    /// Its agent said so.
    Reported,
    /// Its lease lapsed after a step had begun.
    LeaseLapsed,
    /// It was claimed and given up too often.
    NeverStarted,
}

impl FailureReason {
    pub(super) const ALL: [Self; 3] = [Self::Reported, Self::LeaseLapsed, Self::NeverStarted];

    /// Name in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::LeaseLapsed => "lease_lapsed",
            Self::NeverStarted => "never_started",
        }
    }
}

/// Changes of a transaction that are counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Claimed tasks: class, and milliseconds in the line where they are known.
    pub(super) claims: Vec<(String, Option<i64>)>,
    /// Ended tasks: class and outcome.
    pub(super) ends: Vec<(String, Outcome)>,
    pub(super) failures: Vec<FailureReason>,
    /// Tasks that went back into the line.
    pub(super) requeued: u64,
    pub(super) pipelines: u64,
    pub(super) events: u64,
    pub(super) output_bytes: u64,
}

impl Tally {
    /// Notes a task that was given to a runner, after so many milliseconds in the line.
    pub(crate) fn claimed(&mut self, class: &str, waited_ms: Option<i64>) {
        self.claims.push((class.to_owned(), waited_ms));
    }

    /// Notes a task that ended.
    pub(crate) fn ended(&mut self, class: &str, outcome: Outcome) {
        self.ends.push((class.to_owned(), outcome));
    }

    /// Notes a task that failed for a reason that is not its job's.
    pub(crate) fn failed(&mut self, reason: FailureReason) {
        self.failures.push(reason);
    }

    /// Notes a task that went back into the line.
    pub(crate) fn requeued(&mut self) {
        self.requeued += 1;
    }

    /// Notes a pipeline that was submitted.
    pub(crate) fn submitted(&mut self) {
        self.pipelines += 1;
    }

    /// Notes events of tasks that were stored.
    pub(crate) fn took_events(&mut self, number: u64) {
        self.events += number;
    }

    /// Notes output of tasks that was stored.
    pub(crate) fn took_output(&mut self, bytes: u64) {
        self.output_bytes += bytes;
    }
}
