//! Numbers of transactions, and of what they changed.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use russet_protocol::outcome::Outcome;

use super::labels::{ByClass, histograms};
use super::tally::{FailureReason, Tally};

/// Limits of the buckets of the time in the line, in seconds.
const QUEUE_SECONDS: [f64; 11] =
    [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 14400.0];

/// Limits of the buckets of the wait for the turn to write, in seconds.
const WRITE_SECONDS: [f64; 9] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 20.0];

/// All outcomes of a task.
const OUTCOMES: [Outcome; 5] = [
    Outcome::Success,
    Outcome::Failed,
    Outcome::Canceled,
    Outcome::TimedOut,
    Outcome::InfrastructureFail,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    class: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

/// Numbers of the database's transactions.
#[derive(Debug)]
pub(crate) struct StoreMeters {
    writes: Counter,
    write_wait: Histogram,
    queue_wait: Family<ByClass, Histogram>,
    tasks: Family<ByOutcome, Counter>,
    failures: Family<ByReason, Counter>,
    requeued: Counter,
    pipelines: Counter,
    events: Counter,
    output: Counter,
}

impl Default for StoreMeters {
    fn default() -> Self {
        let failures = Family::<ByReason, Counter>::default();
        for reason in FailureReason::ALL {
            drop(failures.get_or_create(&ByReason { reason: reason.as_str() }));
        }
        Self {
            writes: Counter::default(),
            write_wait: Histogram::new(WRITE_SECONDS),
            queue_wait: histograms(|| Histogram::new(QUEUE_SECONDS)),
            tasks: Family::default(),
            failures,
            requeued: Counter::default(),
            pipelines: Counter::default(),
            events: Counter::default(),
            output: Counter::default(),
        }
    }
}

impl StoreMeters {
    /// Counts a transaction that is to be begun.
    pub(crate) fn count_write(&self) {
        self.writes.inc();
    }

    /// Notes the time that a transaction waited for its begin.
    pub(crate) fn note_write_wait(&self, waited: Duration) {
        self.write_wait.observe(waited.as_secs_f64());
    }

    /// Counts what a transaction changed that was committed.
    pub(crate) fn count(&self, tally: &Tally) {
        for (class, waited_ms) in &tally.claims {
            let by_class = ByClass { class: class.clone() };
            let wait = self.queue_wait.get_or_create(&by_class);
            if let Some(waited_ms) = waited_ms.and_then(|ms| u64::try_from(ms.max(0)).ok()) {
                wait.observe(Duration::from_millis(waited_ms).as_secs_f64());
            }
            // Each outcome is there with a zero before its first, which would be missed otherwise.
            for outcome in OUTCOMES {
                drop(self.tasks.get_or_create(&task_label(class, outcome)));
            }
        }
        for (class, outcome) in &tally.ends {
            self.tasks.get_or_create(&task_label(class, *outcome)).inc();
        }
        for reason in &tally.failures {
            self.failures.get_or_create(&ByReason { reason: reason.as_str() }).inc();
        }
        self.requeued.inc_by(tally.requeued);
        self.pipelines.inc_by(tally.pipelines);
        self.events.inc_by(tally.events);
        self.output.inc_by(tally.output_bytes);
    }

    /// Adds the numbers to what is told.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "write_transactions",
            "Transactions that were begun to write to the database",
            self.writes.clone(),
        );
        registry.register_with_unit(
            "database_write_wait",
            "From the wish to write to the database until the transaction has begun",
            Unit::Seconds,
            self.write_wait.clone(),
        );
        registry.register_with_unit(
            "queue_wait",
            "From the line to the claim, of tasks that this server gave out",
            Unit::Seconds,
            self.queue_wait.clone(),
        );
        registry.register(
            "tasks",
            "Tasks that ended at this server, by outcome",
            self.tasks.clone(),
        );
        registry.register(
            "infrastructure_failures",
            "Tasks that failed for a reason that is not their job's: `reported` by their agent, \
             `lease_lapsed` (the agent was silent after a step had begun), `never_started` (claimed \
             and given up too often)",
            self.failures.clone(),
        );
        registry.register(
            "tasks_requeued",
            "Tasks that went back into the line: their agent gave them back, or was silent before a \
             step began",
            self.requeued.clone(),
        );
        let help = "Pipelines that were submitted to this server";
        registry.register("pipelines_submitted", help, self.pipelines.clone());
        let help = "Events of tasks, such as the begin and the end of a step, that were stored";
        registry.register("events", help, self.events.clone());
        let help = "Output of tasks that was stored, before compression";
        registry.register_with_unit("output", help, Unit::Bytes, self.output.clone());
    }
}

fn task_label(class: &str, outcome: Outcome) -> ByOutcome {
    ByOutcome { class: class.to_owned(), outcome: outcome.as_str() }
}
