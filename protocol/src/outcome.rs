//! Progress and outcome of a job, task or step.

use serde::{Deserialize, Serialize};

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

impl Outcome {
    /// Returns true if jobs that wait for this one may start.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Success
    }

    /// The name on the wire and on screens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::TimedOut => "timedout",
            Self::InfrastructureFail => "infrastructure_fail",
            Self::NotRun => "not_run",
            Self::Unauthorized => "unauthorized",
        }
    }
}

impl Phase {
    /// The name on the wire and on screens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::OnHold => "on_hold",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }

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

impl std::str::FromStr for Outcome {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [
            Self::Success,
            Self::Failed,
            Self::Canceled,
            Self::TimedOut,
            Self::InfrastructureFail,
            Self::NotRun,
            Self::Unauthorized,
        ]
        .into_iter()
        .find(|outcome| outcome.as_str() == text)
        .ok_or_else(|| UnknownName(text.to_owned()))
    }
}

impl std::str::FromStr for Phase {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [Self::Blocked, Self::OnHold, Self::Queued, Self::Running, Self::Ended]
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or_else(|| UnknownName(text.to_owned()))
    }
}

/// A text that names no phase or outcome that we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName(pub String);

impl std::fmt::Display for UnknownName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` names no phase or outcome", self.0)
    }
}

impl std::error::Error for UnknownName {}
