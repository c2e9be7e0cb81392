//! The owner's hooks: a program before the first step and one after the last, run as the slot's
//! user in the task's environment, with their output in the task's log.

use std::path::Path;
use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::task::{POST_TASK_STEP, PRE_TASK_STEP};

use super::command::{self, Spec};
use super::context::{Context, StepEnd};

/// Timeout of a hook, unless configured.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Runs the owner's program before the first step. Its failure is the task's.
pub(crate) async fn pre_task(context: &Context) -> Result<(), String> {
    let Some(program) = &context.assignment.hooks.pre_task else { return Ok(()) };
    let end = run_hook(context, PRE_TASK_STEP, "Pre-task hook", program).await;
    if end.outcome == Outcome::Success || context.stop.is_set() {
        return Ok(());
    }
    let status = end.exit_code.unwrap_or_default();
    let why = end.message.unwrap_or_else(|| format!("it exited with {status}"));
    Err(format!("the pre-task hook of this runner's owner failed: {why}"))
}

/// Runs the owner's program after the last step, also after a failed one. A task that was
/// stopped runs nothing further. The job has ended by then, so a failure is only shown.
pub(crate) async fn post_task(context: &Context) {
    if let Some(program) = &context.assignment.hooks.post_task
        && !context.stop.is_set()
    {
        run_hook(context, POST_TASK_STEP, "Post-task hook", program).await;
    }
}

async fn run_hook(context: &Context, step: u32, name: &str, program: &Path) -> StepEnd {
    context.step_started(step, name, false, Some(program.display().to_string()));
    let timeout = match context.assignment.hooks.timeout_ms {
        0 => DEFAULT_TIMEOUT,
        milliseconds => Duration::from_millis(milliseconds),
    };
    let spec = Spec {
        words: vec![program.into()],
        variables: context.variables.clone(),
        directory: context.work.clone(),
        silence: None,
        longest: Some(timeout),
        job_is_over: None,
    };
    let end = match context.spool.log(step) {
        Ok(log) => {
            let end = command::run(context, spec, &log).await;
            if let Some(message) = &end.message {
                context.say(&log, message);
            }
            end
        }
        Err(error) => StepEnd::failed(format!("could not keep the hook's output: {error}")),
    };
    context.step_finished(step, &end);
    end
}
