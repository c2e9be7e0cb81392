//! End of a step.

use russet_protocol::outcome::Outcome;

use super::api::ApiError;
use super::stop::{Stop, StopSignal};

/// End of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepEnd {
    pub(crate) outcome: Outcome,
    pub(crate) exit_code: Option<i32>,
    pub(crate) message: Option<String>,
}

impl StepEnd {
    /// End of a step that did what it should.
    pub(crate) fn success() -> Self {
        Self { outcome: Outcome::Success, exit_code: None, message: None }
    }

    /// End of a step that failed for a reason that its output does not say.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, exit_code: None, message: Some(message.into()) }
    }

    /// End of a step whose output cannot be kept.
    pub(crate) fn no_output(error: &std::io::Error) -> Self {
        Self::failed(format!("could not keep the step's output: {error}"))
    }

    /// End of a step that was not run.
    pub(crate) fn not_run() -> Self {
        Self { outcome: Outcome::NotRun, exit_code: None, message: None }
    }

    /// End of a step that the task's stop cut short.
    pub(crate) fn stopped(stop: &StopSignal) -> Self {
        let (outcome, message) = match stop.reason() {
            Some(Stop::Asked { outcome, reason }) => (outcome, reason),
            Some(Stop::Deadline) => {
                (Outcome::TimedOut, "the task reached its run-time limit".to_owned())
            }
            Some(Stop::Stale(why)) => (Outcome::Canceled, why),
            None => (Outcome::Failed, "nobody waited for the step's process".to_owned()),
        };
        Self { outcome, exit_code: None, message: Some(message) }
    }

    /// End of a step whose call to the control plane failed. A stale allocation stops the task,
    /// every other error only fails the step.
    pub(crate) fn call_failed(error: &ApiError, stop: &StopSignal) -> Self {
        if let ApiError::Stale(why) = error {
            stop.stop(Stop::Stale(why.clone()));
        }
        Self::failed(error.to_string())
    }
}
