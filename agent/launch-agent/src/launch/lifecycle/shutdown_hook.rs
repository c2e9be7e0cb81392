//! The owner's program for the end of single-task mode: powering off or recycling the machine.

use std::path::{Path, PathBuf};

use russet_protocol::supervise::DISCLAIM;

use crate::config::ShutdownHook;
use russet_platform::command::{Command, CommandError};
use russet_platform::trust::{self, TrustError};

/// The reason for which the shutdown hook failed.
#[derive(Debug, thiserror::Error)]
enum HookError {
    /// Others than root can change it.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// It could not be run, or ended with an error.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Runs it behind `exe`, with what it prints in the agent's log. Everything of the task is reported
/// by now, so its failure is only said.
pub(in crate::launch) async fn run_shutdown_hook(hook: ShutdownHook, exe: PathBuf) {
    let program = hook.program.display().to_string();
    tracing::info!(program, "the one task has ended; running the shutdown hook");
    let done = tokio::task::spawn_blocking(move || call_hook(&hook, &exe)).await;
    match done {
        Ok(Ok(said)) => {
            said.lines().for_each(|line| tracing::info!(hook = line, "shutdown hook"));
            tracing::info!(program, "the shutdown hook is done");
        }
        Ok(Err(error)) => tracing::error!(program, %error, "the shutdown hook failed"),
        Err(error) => tracing::error!(program, %error, "the shutdown hook could not be run"),
    }
}

/// Runs the program and returns its output.
///
/// It runs as root, so it is looked at once more: hours may have passed since the start, and a
/// job has run. What its owner granted to the agent is not the hook's: macOS asks for it alone.
fn call_hook(hook: &ShutdownHook, exe: &Path) -> Result<String, HookError> {
    trust::check_program(&hook.program)?;
    let command = Command::new(exe).arg(DISCLAIM).arg(&hook.program);
    let output = command.limit(hook.timeout).run_ok()?;
    // The output must not forge or colour lines of the log.
    Ok(russet_text::printable_lines(&format!("{}{}", output.text(), output.error_text())))
}
