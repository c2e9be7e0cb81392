//! The owner's hooks: a program before the first step and one after the last, run as the slot's
//! user in the task's environment, with their output in the task's log.

use std::path::Path;
use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::Hooks;
use russet_protocol::task::{POST_TASK_STEP, PRE_TASK_STEP};

use super::owner_step::OwnerSteps;
use super::step_end::StepEnd;
use super::stop::StopSignal;

/// Timeout of a hook, unless configured.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Failure of the hook before the first step.
#[derive(Debug, thiserror::Error)]
#[error("the pre-task hook of this runner's owner failed: {why}")]
pub(crate) struct HookError {
    why: String,
}

/// Runs the owner's program before the first step. Its failure is the task's.
pub(crate) async fn pre_task(
    hooks: &Hooks,
    steps: &OwnerSteps,
    stop: &StopSignal,
) -> Result<(), HookError> {
    let Some(program) = &hooks.pre_task else { return Ok(()) };
    let end = run_hook(hooks, steps, (PRE_TASK_STEP, "Pre-task hook"), program).await;
    if end.outcome == Outcome::Success || stop.is_set() {
        return Ok(());
    }
    let status = end.exit_code.unwrap_or_default();
    let why = end.message.unwrap_or_else(|| format!("it exited with {status}"));
    Err(HookError { why })
}

/// Runs the owner's program after the last step, also after a failed one. A task that was
/// stopped runs nothing further. The job has ended by then, so a failure is only shown.
pub(crate) async fn post_task(hooks: &Hooks, steps: &OwnerSteps, stop: &StopSignal) {
    if let Some(program) = &hooks.post_task
        && !stop.is_set()
    {
        run_hook(hooks, steps, (POST_TASK_STEP, "Post-task hook"), program).await;
    }
}

async fn run_hook(
    hooks: &Hooks,
    steps: &OwnerSteps,
    (step, name): (u32, &str),
    program: &Path,
) -> StepEnd {
    let journal = &steps.journal;
    journal.step_started(step, name, false, Some(program.display().to_string()));
    let timeout = match hooks.timeout_ms {
        0 => DEFAULT_TIMEOUT,
        milliseconds => Duration::from_millis(milliseconds),
    };
    let end = match journal.open_output(step) {
        Ok(output) => steps.run_command(vec![program.into()], timeout, &output).await,
        Err(error) => StepEnd::failed(format!("could not keep the hook's output: {error}")),
    };
    journal.step_finished(step, &end);
    end
}
