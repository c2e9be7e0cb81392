//! Steps that run a command of the runner's owner.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use super::command::{Commands, Spec};
use super::directories::JobDirs;
use super::environment::StepVariables;
use super::journal::{Journal, StepOutput};
use super::step_end::StepEnd;

/// Runs commands of the runner's owner, each as a step of its own.
#[derive(Debug)]
pub(crate) struct OwnerSteps {
    pub(crate) journal: Journal,
    pub(crate) commands: Arc<Commands>,
    pub(crate) dirs: Arc<JobDirs>,
    pub(crate) variables: Arc<StepVariables>,
}

impl OwnerSteps {
    /// Runs a command in the job's working directory, with the variables of all steps, for at most
    /// `timeout`.
    pub(crate) async fn run_command(
        &self,
        words: Vec<OsString>,
        timeout: Duration,
        output: &StepOutput,
    ) -> StepEnd {
        let spec = Spec {
            words,
            variables: self.variables.of_job().clone(),
            directory: self.dirs.work.clone(),
            silence: None,
            longest: Some(timeout),
            job_is_over: None,
        };
        let end = self.commands.run(spec, output).await;
        if let Some(message) = &end.message {
            output.say(message);
        }
        end
    }
}
