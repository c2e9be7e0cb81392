//! State that every part of a running task needs.

use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use russet_protocol::outcome::Outcome;
use russet_protocol::runner::EventKind;
use russet_protocol::supervise::Assignment;
use russet_protocol::task::TaskConfig;

use super::api::{Api, ApiError};
use super::disk::DiskLimit;
use super::environment::{SharedPaths, Variables};
use super::events::Events;
use super::reaper::{Child, Reaper};
use super::spool::{Spool, StepLog};
use super::stop::{Stop, StopSignal};
use super::storage::Local;
use crate::mask::Masks;
use russet_platform::clock::Clock;

/// Time between TERM and KILL of a step, unless configured.
const DEFAULT_KILL_GRACE: Duration = Duration::from_secs(10);

/// A running task.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) assignment: Assignment,
    pub(crate) config: TaskConfig,
    pub(crate) api: Api,
    pub(crate) clock: Clock,
    pub(crate) reaper: Reaper,
    pub(crate) spool: Arc<Spool>,
    pub(crate) events: Arc<Events>,
    pub(crate) masks: Masks,
    pub(crate) stop: StopSignal,
    pub(crate) disk: DiskLimit,
    /// Variables of every step, from the start.
    pub(crate) variables: Variables,
    /// Variables that a step has added for those that follow.
    pub(crate) added: Mutex<Variables>,
    /// The `ssh-agent` of this task, where a step wanted one.
    pub(crate) ssh_agent: Mutex<Option<Child>>,
    pub(crate) shared: SharedPaths,
    /// The job's working directory.
    pub(crate) work: PathBuf,
    /// The shell of steps that name none.
    pub(crate) shell: String,
    /// Time at which the task began: what is older in its directories is of earlier tasks.
    pub(crate) begun: SystemTime,
    /// Copies of archives on this machine.
    pub(crate) local: Arc<Local>,
    /// Number of the next batch of test results.
    pub(crate) next_batch: AtomicU32,
}

/// End of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepEnd {
    pub(crate) outcome: Outcome,
    pub(crate) exit_code: Option<i32>,
    pub(crate) message: Option<String>,
}

impl StepEnd {
    /// It did what it should.
    pub(crate) fn success() -> Self {
        Self { outcome: Outcome::Success, exit_code: None, message: None }
    }

    /// It failed for a reason that its output does not say.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, exit_code: None, message: Some(message.into()) }
    }

    /// It was not run.
    pub(crate) fn not_run() -> Self {
        Self { outcome: Outcome::NotRun, exit_code: None, message: None }
    }
}

impl Context {
    /// Returns the time between TERM and KILL of a step.
    pub(crate) fn kill_grace(&self) -> Duration {
        match self.assignment.limits.kill_grace_ms {
            0 => DEFAULT_KILL_GRACE,
            milliseconds => Duration::from_millis(milliseconds),
        }
    }

    /// Returns the variables of a step that begins now.
    pub(crate) fn variables_now(&self) -> Variables {
        let mut all = self.variables.clone();
        all.extend(self.added.lock().unwrap_or_else(PoisonError::into_inner).clone());
        all
    }

    /// A step begins.
    pub(crate) fn step_started(
        &self,
        step: u32,
        name: &str,
        background: bool,
        detail: Option<String>,
    ) {
        let name = self.masks.apply(name);
        let detail = detail.map(|text| self.masks.apply(&text));
        self.events.add(EventKind::StepStarted { step, name, background, detail });
    }

    /// A step has ended, and its output is complete.
    pub(crate) fn step_finished(&self, step: u32, end: &StepEnd) {
        let output_bytes = self.spool.close(step);
        self.events.add(EventKind::StepFinished {
            step,
            outcome: end.outcome,
            exit_code: end.exit_code,
            message: end.message.as_deref().map(|text| self.masks.apply(text)),
            output_bytes,
        });
    }

    /// A call did not succeed: a stale allocation ends the task, everything else the step.
    pub(crate) fn call_failed(&self, error: &ApiError) -> StepEnd {
        if let ApiError::Stale(why) = error {
            self.stop.stop(Stop::Stale(why.clone()));
        }
        StepEnd::failed(error.to_string())
    }

    /// Says something in the output of a step, in lines of its own.
    pub(crate) fn say(&self, log: &StepLog, text: &str) {
        log.append(self.masks.apply(&format!("{text}\n")).as_bytes());
    }
}
