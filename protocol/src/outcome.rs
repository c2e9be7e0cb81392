//! Progress and outcome of a job, task or step.

use serde::{Deserialize, Serialize};

use crate::names::named;

/// Progress of a job or a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits for other jobs.
    Blocked,
    /// Waits until somebody approves it.
    OnHold,
    /// Waits for a runner.
    Queued,
    /// Is held by a runner.
    Running,
    /// Has ended; there is an [`Outcome`].
    Ended,
}

/// Outcome of a job, task or step. The names are CircleCI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every step did what it should.
    Success,
    /// A step failed.
    Failed,
    /// Somebody canceled it.
    Canceled,
    /// It ran longer than it may.
    #[serde(rename = "timedout")]
    TimedOut,
    /// The runner, its Mac or the control plane failed, not the job.
    InfrastructureFail,
    /// It was not started, because something that it needs did not succeed.
    NotRun,
    /// It was not started, because it may not use what it names: a context, or runners for forks.
    Unauthorized,
}

named!(
    Outcome:
    Success = "success",
    Failed = "failed",
    Canceled = "canceled",
    TimedOut = "timedout",
    InfrastructureFail = "infrastructure_fail",
    NotRun = "not_run",
    Unauthorized = "unauthorized",
);

impl Outcome {
    /// Returns true if jobs that wait for this one may start.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Success
    }
}

named!(
    Phase:
    Blocked = "blocked",
    OnHold = "on_hold",
    Queued = "queued",
    Running = "running",
    Ended = "ended",
);

impl Phase {
    /// Returns a state in one word: the outcome where there is one, else this phase.
    #[must_use]
    pub fn with_outcome(self, outcome: Option<Outcome>) -> &'static str {
        outcome.map_or(self.as_str(), Outcome::as_str)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
