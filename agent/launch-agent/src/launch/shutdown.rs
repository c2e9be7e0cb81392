//! The owner's program for the end of single-task mode: powering off or recycling the machine.

use crate::config::ShutdownHook;
use russet_platform::command::Command;
use russet_platform::trust;

/// Runs it, with what it prints in the agent's log. Everything of the task is reported by now, so
/// its failure is only said.
pub(super) async fn run(hook: ShutdownHook) {
    let program = hook.program.display().to_string();
    tracing::info!(program, "the one task has ended; running the shutdown hook");
    let done = tokio::task::spawn_blocking(move || call(&hook)).await;
    match done {
        Ok(Ok(said)) => {
            said.lines().for_each(|line| tracing::info!(hook = line, "shutdown hook"));
            tracing::info!(program, "the shutdown hook is done");
        }
        Ok(Err(why)) => tracing::error!(program, why, "the shutdown hook failed"),
        Err(error) => tracing::error!(program, %error, "the shutdown hook could not be run"),
    }
}

/// Returns its output, or the fault.
///
/// It runs as root, so it is looked at once more: hours may have passed since the start, and a
/// job has run.
fn call(hook: &ShutdownHook) -> Result<String, String> {
    trust::program(&hook.program)?;
    let output = Command::new(&hook.program).limit(hook.timeout).run_ok();
    let output = output.map_err(|error| error.to_string())?;
    // The output must not forge or colour lines of the log.
    Ok(russet_text::printable_lines(&format!("{}{}", output.text(), output.error_text())))
}
