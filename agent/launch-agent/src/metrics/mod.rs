//! Counters and measurements of the launch agent, for Prometheus.
//!
//! Everything is numbers: labels are resource classes, slots' outcomes and fixed words, never the
//! name of a project or a job, since every user of the machine may read this, and, where the owner
//! wants a port, every task. What others know already (the board, the machine) is looked at when
//! somebody asks; the rest is counted as it happens. Nothing runs for it in between.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use russet_protocol::outcome::Outcome;

use russet_platform::machine::Machine;

mod gauges;
mod left;
mod listen;
mod process;
#[cfg(test)]
mod reference;

pub(crate) use gauges::MetricSources;
pub(crate) use left::LeftBehindCounters;
pub(crate) use listen::{answer_request, start_listening};

/// Prefix of the names of our own metrics.
const PREFIX: &str = "russet_agent";

/// A counter that counts parts of seconds.
type Seconds = Counter<f64, std::sync::atomic::AtomicU64>;

/// Limits of the buckets of tasks' durations, in seconds.
const TASK_SECONDS: [f64; 13] =
    [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 18000.0];

/// And of the time from a claim's answer to a task agent with its task. It is measured in
/// milliseconds.
const DISPATCH_SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Answer to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// With a task.
    Task,
    /// There is no work.
    NoWork,
    /// The server asks to come later.
    Busy,
    /// Not at all, or by a server that is broken.
    Offline,
    /// The token is not accepted.
    Denied,
    /// The server understood and refuses.
    Refused,
    /// There was no token to ask with.
    NoToken,
}

impl Claim {
    const ALL: [Self; 7] = [
        Self::Task,
        Self::NoWork,
        Self::Busy,
        Self::Offline,
        Self::Denied,
        Self::Refused,
        Self::NoToken,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::NoWork => "no_work",
            Self::Busy => "busy",
            Self::Offline => "offline",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::NoToken => "no_token",
        }
    }
}

/// Result of a heartbeat to the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heartbeat {
    /// It arrived.
    Arrived,
    /// It did not.
    Failed,
    /// The control plane does not know the task as ours.
    Gone,
}

/// End of a task, as this agent knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The control plane knows this outcome.
    Outcome(Outcome),
    /// Its agent reported, and an earlier launch agent was the one to hear what.
    Unknown,
    /// It was given back, to run elsewhere.
    GivenBack,
    /// The owner's rules keep it from running here.
    Refused,
    /// The control plane gave it to somebody else, or ended it.
    Stale,
}

impl End {
    const ALL: [Self; 10] = [
        Self::Outcome(Outcome::Success),
        Self::Outcome(Outcome::Failed),
        Self::Outcome(Outcome::Canceled),
        Self::Outcome(Outcome::TimedOut),
        Self::Outcome(Outcome::InfrastructureFail),
        Self::Outcome(Outcome::NotRun),
        Self::Unknown,
        Self::GivenBack,
        Self::Refused,
        Self::Stale,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Outcome(outcome) => outcome.as_str(),
            Self::Unknown => "unknown",
            Self::GivenBack => "given_back",
            Self::Refused => "refused",
            Self::Stale => "stale",
        }
    }
}

/// Fault of this machine, not of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A task agent could not be started.
    NotStarted,
    /// One ended before anything of the project ran.
    NothingRan,
    /// One ended without an outcome.
    Died,
    /// One knew the outcome and could not report it.
    NotReported,
    /// One reported that the runner failed.
    Reported,
    /// One did not answer and was killed.
    Silent,
    /// The machine restarted under it.
    Rebooted,
    /// The control plane gave a task of ours to somebody else.
    Stale,
    /// A slot could not be cleaned.
    NotCleaned,
    /// The control plane could not be told how a task ended; it is tried again.
    NotSettled,
}

impl Failure {
    const ALL: [Self; 10] = [
        Self::NotStarted,
        Self::NothingRan,
        Self::Died,
        Self::NotReported,
        Self::Reported,
        Self::Silent,
        Self::Rebooted,
        Self::Stale,
        Self::NotCleaned,
        Self::NotSettled,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::NothingRan => "nothing_ran",
            Self::Died => "task_agent_died",
            Self::NotReported => "not_reported",
            Self::Reported => "reported_by_task_agent",
            Self::Silent => "task_agent_silent",
            Self::Rebooted => "rebooted",
            Self::Stale => "stale_claim",
            Self::NotCleaned => "slot_not_cleaned",
            Self::NotSettled => "not_settled",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByClass {
    class: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByAnswer {
    class: String,
    answer: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    class: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: String,
    os: &'static str,
    arch: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MachineFacts {
    model: String,
    chip: String,
    system: String,
    architecture: String,
    xcodes: String,
}

impl MachineFacts {
    fn of(machine: &Machine) -> Self {
        let text = |fact: &Option<String>| fact.clone().unwrap_or_default();
        Self {
            model: text(&machine.model),
            chip: text(&machine.chip),
            system: text(&machine.system),
            architecture: machine.architecture.clone(),
            xcodes: machine.xcodes.join(", "),
        }
    }
}

/// The counters, and the registry that names them.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    claims: Family<ByAnswer, Counter>,
    backoff: Family<ByClass, Seconds>,
    tasks: Family<ByOutcome, Counter>,
    task_seconds: Family<ByClass, Histogram, fn() -> Histogram>,
    dispatch_seconds: Family<ByClass, Histogram, fn() -> Histogram>,
    failures: Family<ByReason, Counter>,
    heartbeats: Family<ByResult, Counter>,
    adopted: Counter,
    trimmed: Counter,
}

impl Metrics {
    /// LeftBehindCounters at zero, and what is looked at when somebody asks.
    pub(crate) fn new(sources: MetricSources) -> Self {
        process::note_start();
        let mut metrics = Self {
            registry: Registry::default(),
            claims: Family::default(),
            backoff: Family::default(),
            tasks: Family::default(),
            task_seconds: Family::new_with_constructor(|| Histogram::new(TASK_SECONDS)),
            dispatch_seconds: Family::new_with_constructor(|| Histogram::new(DISPATCH_SECONDS)),
            failures: Family::default(),
            heartbeats: Family::default(),
            adopted: Counter::default(),
            trimmed: Counter::default(),
        };
        for class in sources.classes() {
            metrics.begin_class(class);
        }
        for failure in Failure::ALL {
            drop(metrics.failures.get_or_create(&ByReason { reason: failure.as_str() }));
        }
        for result in ["arrived", "failed", "gone"] {
            drop(metrics.heartbeats.get_or_create(&ByResult { result }));
        }
        metrics.register(sources);
        metrics
    }

    /// A rate needs the zero that a counter begins with.
    fn begin_class(&self, class: &str) {
        let class = || class.to_owned();
        for answer in Claim::ALL {
            let labels = ByAnswer { class: class(), answer: answer.as_str() };
            drop(self.claims.get_or_create(&labels));
        }
        for end in End::ALL {
            drop(self.tasks.get_or_create(&ByOutcome { class: class(), outcome: end.as_str() }));
        }
        drop(self.backoff.get_or_create(&ByClass { class: class() }));
        drop(self.task_seconds.get_or_create(&ByClass { class: class() }));
        drop(self.dispatch_seconds.get_or_create(&ByClass { class: class() }));
    }

    fn register(&mut self, sources: MetricSources) {
        let build = Build {
            version: sources.board.status().agent_version,
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
        };
        self.registry.register_collector(Box::new(process::Own));
        let ours = self.registry.sub_registry_with_prefix(PREFIX);
        ours.register("build", "Version, system and architecture of this agent", Info::new(build));
        let machine = MachineFacts::of(&sources.machine);
        ours.register(
            "machine",
            "What machine this is; unknown facts are empty",
            Info::new(machine),
        );
        ours.register(
            "claims",
            "Answers to claims: `task`, `no_work`, `busy` (429), `offline` (no answer, or a broken \
             server), `denied` (the token is not accepted), `refused`, `no_token`",
            self.claims.clone(),
        );
        ours.register_with_unit(
            "claim_backoff",
            "Time in which a free slot waited after a claim that failed or was told to come later",
            Unit::Seconds,
            self.backoff.clone(),
        );
        ours.register(
            "tasks",
            "Tasks that are over: their outcome, or `given_back`, `refused` (by the owner's rules), \
             `stale` (the control plane gave it to another agent), `unknown` (reported while no \
             launch agent ran)",
            self.tasks.clone(),
        );
        ours.register_with_unit(
            "task_duration",
            "From the start of a task to the end of its agent; tasks that were adopted are counted \
             in `tasks` only",
            Unit::Seconds,
            self.task_seconds.clone(),
        );
        ours.register_with_unit(
            "dispatch_latency",
            "From the answer to a claim until the task agent has its task",
            Unit::Seconds,
            self.dispatch_seconds.clone(),
        );
        ours.register(
            "infrastructure_failures",
            "What went wrong on this machine and not in a job, by reason",
            self.failures.clone(),
        );
        ours.register(
            "heartbeats",
            "Heartbeats of running tasks to the control plane",
            self.heartbeats.clone(),
        );
        ours.register(
            "adopted_tasks",
            "Running tasks of an earlier launch agent that this one took over",
            self.adopted.clone(),
        );
        ours.register_with_unit(
            "trimmed",
            "What `runner.housekeeping` removed from caches",
            Unit::Bytes,
            self.trimmed.clone(),
        );
        ours.register_collector(Box::new(sources));
    }

    /// An answer to a claim.
    pub(crate) fn claim(&self, class: &str, answer: Claim) {
        let labels = ByAnswer { class: class.to_owned(), answer: answer.as_str() };
        self.claims.get_or_create(&labels).inc();
    }

    /// A slot waits this long before it claims again, since something is wrong.
    pub(crate) fn backed_off(&self, class: &str, pause: Duration) {
        let labels = ByClass { class: class.to_owned() };
        self.backoff.get_or_create(&labels).inc_by(pause.as_secs_f64());
    }

    /// A task agent has its task, so long after the claim's answer.
    pub(crate) fn dispatched(&self, class: &str, after: Duration) {
        let labels = ByClass { class: class.to_owned() };
        self.dispatch_seconds.get_or_create(&labels).observe(after.as_secs_f64());
    }

    /// A task is over, and took so long where that is known.
    pub(crate) fn ended(&self, class: &str, end: End, took: Option<Duration>) {
        let labels = ByOutcome { class: class.to_owned(), outcome: end.as_str() };
        self.tasks.get_or_create(&labels).inc();
        if let Some(took) = took {
            let labels = ByClass { class: class.to_owned() };
            self.task_seconds.get_or_create(&labels).observe(took.as_secs_f64());
        }
    }

    /// Something failed that is no job's fault.
    pub(crate) fn failed(&self, failure: Failure) {
        self.failures.get_or_create(&ByReason { reason: failure.as_str() }).inc();
    }

    /// A heartbeat went so.
    pub(crate) fn heartbeat(&self, heartbeat: Heartbeat) {
        let result = match heartbeat {
            Heartbeat::Arrived => "arrived",
            Heartbeat::Failed => "failed",
            Heartbeat::Gone => "gone",
        };
        self.heartbeats.get_or_create(&ByResult { result }).inc();
    }

    /// A running task was taken over.
    pub(crate) fn adopted(&self) {
        self.adopted.inc();
    }

    /// Caches were trimmed by so much.
    pub(crate) fn trimmed(&self, bytes: u64) {
        self.trimmed.inc_by(bytes);
    }

    /// Everything as text: OpenMetrics, or what Prometheus has read for longer.
    pub(crate) fn text(&self, is_open: bool) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _written = if is_open {
            text::encode(&mut out, &self.registry)
        } else {
            prometheus_text::encode(&mut out, &self.registry)
        };
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, End, Failure, Heartbeat, MetricSources, Metrics};
    use russet_protocol::outcome::Outcome;
    use std::time::Duration;

    fn metrics() -> Metrics {
        Metrics::new(MetricSources::for_tests(&["acme/mini", "acme/mini", "acme/app"]))
    }

    #[test]
    fn what_happens_is_counted_and_what_did_not_happen_is_zero() {
        let metrics = metrics();
        metrics.claim("acme/mini", Claim::Offline);
        metrics.backed_off("acme/mini", Duration::from_millis(1500));
        metrics.dispatched("acme/mini", Duration::from_millis(3));
        metrics.ended("acme/mini", End::Outcome(Outcome::Failed), Some(Duration::from_secs(20)));
        metrics.failed(Failure::Died);
        metrics.heartbeat(Heartbeat::Failed);
        metrics.adopted();
        metrics.trimmed(4096);
        let text = metrics.text(true);
        for line in [
            "russet_agent_claims_total{class=\"acme/mini\",answer=\"offline\"} 1",
            "russet_agent_claims_total{class=\"acme/app\",answer=\"offline\"} 0",
            "russet_agent_claim_backoff_seconds_total{class=\"acme/mini\"} 1.5",
            "russet_agent_tasks_total{class=\"acme/mini\",outcome=\"failed\"} 1",
            "russet_agent_tasks_total{class=\"acme/mini\",outcome=\"success\"} 0",
            "russet_agent_task_duration_seconds_bucket{le=\"15.0\",class=\"acme/mini\"} 0",
            "russet_agent_task_duration_seconds_bucket{le=\"30.0\",class=\"acme/mini\"} 1",
            "russet_agent_dispatch_latency_seconds_count{class=\"acme/mini\"} 1",
            "russet_agent_infrastructure_failures_total{reason=\"task_agent_died\"} 1",
            "russet_agent_heartbeats_total{result=\"failed\"} 1",
            "russet_agent_adopted_tasks_total 1",
            "russet_agent_trimmed_bytes_total 4096",
            "russet_agent_slots{class=\"acme/mini\",state=\"free\"} 2",
            "russet_agent_aside_directories{class=\"acme/mini\"} 2",
            "russet_agent_aside_bytes{class=\"acme/mini\"} 10",
            "russet_agent_aside_directories{class=\"acme/app\"} 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn both_texts_have_every_metric_once() {
        let metrics = metrics();
        for text in [metrics.text(true), metrics.text(false)] {
            let mut names: Vec<&str> =
                text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert!(count > 20 && names.len() == count, "{names:?}");
            assert!(text.contains("process_resident_memory_bytes"), "{text}");
        }
    }
}
