//! `launchctl`: its commands, and what its exit codes and its output mean.
//!
//! Only the verbs of launchd 2 (macOS 10.11 and later) are used: `enable`, `bootstrap`,
//! `kickstart`, `bootout`, `print`, `print-disabled`. `load -w` and its like record
//! overrides that nobody sees again, and guess the domain.
//!
//! The output of `print` is not an interface, says launchctl(1); but it is the only place that has
//! the pid and the last exit. So its text only informs people: whether the job is loaded, which
//! decisions hang on, is read from the exit code.

use crate::command::{Command, Output, Tools};
use crate::job::{Job, JobState, ServiceError};

/// Path of the tool.
const LAUNCHCTL: &str = "/bin/launchctl";

/// The name of launchd's domain for daemons.
const DOMAIN: &str = "system";

/// `launchctl` fails with this for a service that is not loaded (`Could not find service`).
pub const NOT_FOUND: i32 = 113;

/// For a domain that does not exist, or not for this (`Domain does not support specified action`).
pub const NO_DOMAIN: i32 = 125;

/// For what is loaded already, for a file that launchd does not accept, and while a boot-out is
/// under way (`Input/output error`).
pub const IO_ERROR: i32 = 5;

/// `bootout` of what is not loaded (`No such process`).
pub const NO_PROCESS: i32 = 3;

/// `bootout` goes on in the background (`Operation now in progress`).
pub const IN_PROGRESS: i32 = 36;

/// `kickstart` while the job is just being started (`Operation already in progress`).
pub const ALREADY: i32 = 37;

/// The service target of a job.
fn job_target(job: &Job) -> String {
    format!("{DOMAIN}/{}", job.label)
}

/// Lets the job start with the system again, whatever was said before.
pub fn enable(tools: &Tools, job: &Job) -> Command {
    tools.command(LAUNCHCTL).args(["enable", &job_target(job)])
}

/// Loads the job from its file.
pub fn bootstrap(tools: &Tools, plist: &std::path::Path) -> Command {
    tools.command(LAUNCHCTL).args(["bootstrap", DOMAIN]).arg(plist)
}

/// Ends the job and forgets it. It goes on after the command has ended.
pub fn bootout(tools: &Tools, job: &Job) -> Command {
    tools.command(LAUNCHCTL).args(["bootout", &job_target(job)])
}

/// Starts the job now.
#[must_use]
pub fn kickstart(tools: &Tools, job: &Job) -> Command {
    tools.command(LAUNCHCTL).args(["kickstart", &job_target(job)])
}

/// Ends the job, if it runs, and starts it again, in one step of launchd's: it stays loaded.
#[must_use]
pub fn restart(tools: &Tools, job: &Job) -> Command {
    tools.command(LAUNCHCTL).args(["kickstart", "-k", &job_target(job)])
}

/// Prints the job's state.
pub fn print(tools: &Tools, job: &Job) -> Command {
    tools.command(LAUNCHCTL).args(["print", &job_target(job)])
}

/// Prints which jobs are kept from starting with the system.
pub fn print_disabled(tools: &Tools) -> Command {
    tools.command(LAUNCHCTL).args(["print-disabled", DOMAIN])
}

/// An error of `launchctl`, explained.
#[must_use]
pub fn explain_failure(output: &Output, doing: &str, job: &Job) -> ServiceError {
    let source = output.failed(None);
    let Some((what, hint)) =
        output.code().and_then(|code| code_meaning(code, &output.error_text(), job))
    else {
        return source.into();
    };
    ServiceError::Known {
        what: format!("launchd could not {doing}: {what}"),
        hint,
        source: Box::new(source),
    }
}

/// Returns the meaning of an exit code, and the remedy.
fn code_meaning(code: i32, said: &str, job: &Job) -> Option<(&'static str, String)> {
    let Job { label, load, .. } = job;
    Some(match code {
        IO_ERROR => (
            "the job is loaded already, or its file is not accepted",
            format!(
                "launchd takes a file only if root owns it, nobody else may write to it, `plutil \
                 -lint` finds no fault and the program in it exists. Look for the reason with `log \
                 show --last 5m --predicate 'process == \"launchd\"' | grep {label}`; if the job \
                 is loaded, `sudo launchctl bootout {DOMAIN}/{label}` and try again"
            ),
        ),
        NOT_FOUND => ("the job is not loaded", format!("load it with `sudo {load}`")),
        NO_DOMAIN => (
            "the domain does not exist in this session, or does not allow this",
            "run it on the Mac itself as root (`sudo`), outside of containers and sandboxes"
                .to_owned(),
        ),
        // launchctl(1): the job was disabled, and `bootstrap` says so with this code.
        119 => (
            "the job is disabled",
            format!(
                "allow it with `sudo launchctl enable {DOMAIN}/{label}`, and in System Settings, \
                 General, Login Items & Extensions"
            ),
        ),
        1 | 150 if said.contains("not permitted") => (
            "it is not permitted",
            "run it as root (`sudo`), and not from within a sandbox".to_owned(),
        ),
        _ => return None,
    })
}

/// Returns true if `print` found the job.
///
/// # Errors
///
/// It failed for another reason than that the job is not loaded.
pub fn loaded_state(output: Output, job: &Job) -> Result<Option<String>, ServiceError> {
    match output.code() {
        Some(0) => Ok(Some(output.text())),
        Some(NOT_FOUND) => Ok(None),
        _ => Err(explain_failure(&output, "say how the job stands", job)),
    }
}

/// Parses the output of `print` for a loaded job.
#[must_use]
pub fn parse_print(text: &str) -> JobState {
    let field =
        |name: &str| top_level(text).find_map(|(key, value)| (key == name).then_some(value));
    let words = field("state").unwrap_or_default().to_owned();
    JobState {
        loaded: true,
        enabled: true,
        pid: field("pid").and_then(|pid| pid.parse().ok()),
        throttled: words == "spawn scheduled",
        // `0`, `78: EX_CONFIG` or `(never exited)`.
        last_exit: field("last exit code")
            .and_then(|value| value.split(':').next()?.trim().parse().ok()),
        words,
    }
}

/// The `key = value` lines of the outermost braces. Inner ones have keys of the same names:
/// `state = active` of an endpoint is not the state of the job.
fn top_level(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut depth = 0_usize;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if line.ends_with('{') {
            depth += 1;
            return None;
        }
        if line == "}" {
            depth = depth.saturating_sub(1);
            return None;
        }
        if depth == 1 { line.split_once(" = ") } else { None }
    })
}

/// Returns true if `print-disabled` says that a job is kept from starting. macOS 11 and earlier
/// write `true` and `false`, later ones `disabled` and `enabled`; without a line there is no
/// override.
#[must_use]
pub fn is_disabled(text: &str, label: &str) -> bool {
    let name = format!("\"{label}\"");
    text.lines()
        .filter_map(|line| line.trim().split_once("=>"))
        .any(|(key, value)| key.trim() == name && matches!(value.trim(), "disabled" | "true"))
}

/// Returns true if the command failed with one of these codes.
#[must_use]
pub fn failed_with(output: &Output, codes: &[i32]) -> bool {
    output.code().is_some_and(|code| codes.contains(&code))
}

/// A command that has to succeed.
///
/// # Errors
///
/// It could not be run, or failed, with an explanation.
pub fn run_launchctl(command: Command, doing: &str, job: &Job) -> Result<(), ServiceError> {
    let output = command.run()?;
    if output.status.success() { Ok(()) } else { Err(explain_failure(&output, doing, job)) }
}

#[cfg(test)]
mod tests;
