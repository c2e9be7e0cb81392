//! Running one command of a job, from its start to the end of its output.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use russet_protocol::outcome::Outcome;
use tokio::sync::watch;

use super::context::{Context, StepEnd};
use super::environment::Variables;
use super::environment_size;
use super::kill;
use super::process_table;
use super::pty::Pty;
use super::reader::{Reader, Tail};
use super::reaper::Child;
use super::spool::StepLog;
use super::stop::Stop;

/// Command to run.
#[derive(Debug)]
pub(crate) struct Spec {
    /// Program and arguments.
    pub(crate) words: Vec<OsString>,
    /// Its whole environment.
    pub(crate) variables: Variables,
    /// Working directory.
    pub(crate) directory: PathBuf,
    /// Time that it may be silent.
    pub(crate) silence: Option<Duration>,
    /// Time limit.
    pub(crate) longest: Option<Duration>,
    /// Turns true when the job is over, for a command that ends with it.
    pub(crate) job_is_over: Option<watch::Receiver<bool>>,
}

/// Cause of a command's end.
#[derive(Debug)]
enum Cause {
    Exited(ExitStatus),
    Silent(Duration),
    TooLong(Duration),
    Stopped,
    JobOver,
    NoRoom(String),
}

/// Runs a command with its output in `log`, until it has ended and its output is complete.
pub(crate) async fn run(context: &Context, spec: Spec, log: &Arc<StepLog>) -> StepEnd {
    match start(context, &spec, log) {
        Ok((child, reader)) => watch(context, &spec, log, child, reader).await,
        Err(reason) => StepEnd::failed(reason),
    }
}

fn start(context: &Context, spec: &Spec, log: &Arc<StepLog>) -> Result<(Child, Reader), String> {
    let failed = |what: &str, error: std::io::Error| format!("could not {what}: {error}");
    let (program, arguments) = spec.words.split_first().ok_or("there is nothing to run")?;
    environment_size::check(spec)?;
    let pty = Pty::open().map_err(|error| failed("open a terminal", error))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&spec.variables).current_dir(&spec.directory);
    pty.attach(&mut command).map_err(|error| failed("open a terminal", error))?;
    // Before there is a process that could take the last thread that the user may have.
    let reader = Reader::start(pty, context.masks.masker(), Arc::clone(log))
        .map_err(|error| failed("read the terminal", error))?;
    log.touch();
    let child = context.reaper.spawn(&mut command).map_err(|error| {
        reader.let_go();
        let program = Path::new(program).display();
        format!("could not start `{program}` in {}: {error}", spec.directory.display())
    })?;
    // The command holds the terminal's other end, which the reader has to be the last to let go.
    drop(command);
    Ok((child, reader))
}

async fn watch(
    context: &Context,
    spec: &Spec,
    log: &Arc<StepLog>,
    mut child: Child,
    reader: Reader,
) -> StepEnd {
    let until = spec.longest.map(|longest| context.clock.now().after(longest));
    let cause = tokio::select! {
        status = child.exited() => match status {
            Ok(status) => Cause::Exited(status),
            Err(_) => Cause::Stopped,
        },
        silence = silence(context, log, spec.silence) => Cause::Silent(silence),
        () = context.clock.sleep_until_some(until) => {
            Cause::TooLong(spec.longest.unwrap_or_default())
        }
        () = context.stop.requested() => Cause::Stopped,
        () = over(spec.job_is_over.clone()) => Cause::JobOver,
        why = log.broken() => Cause::NoRoom(why),
        why = context.disk.exceeded() => Cause::NoRoom(why),
    };
    if is_out_of_time(context, spec, &cause) {
        // What it waited for is only to be seen while it is there.
        context.say(log, &process_table::process_table(context));
    }
    if !matches!(cause, Cause::Exited(_)) {
        let grace =
            if matches!(cause, Cause::NoRoom(_)) { Duration::ZERO } else { context.kill_grace() };
        kill::step(context, &mut child, grace).await;
    }
    if reader.finish().await == Tail::HeldOpen {
        context.say(
            log,
            "note: a process that this step left running keeps its terminal open; what it prints \
             from here on is not shown",
        );
    }
    ended(context, cause)
}

/// Returns true if a time limit is the reason why the command is about to be ended. The run-time
/// limit ends commands in the background too; the one that everybody waits for tells the story.
fn is_out_of_time(context: &Context, spec: &Spec, cause: &Cause) -> bool {
    match cause {
        Cause::Silent(_) | Cause::TooLong(_) => true,
        Cause::Stopped => {
            spec.job_is_over.is_none() && context.stop.reason() == Some(Stop::Deadline)
        }
        Cause::Exited(_) | Cause::JobOver | Cause::NoRoom(_) => false,
    }
}

/// Returns when nothing was printed for so long.
async fn silence(context: &Context, log: &StepLog, longest: Option<Duration>) -> Duration {
    let Some(longest) = longest else { return std::future::pending().await };
    loop {
        let until = log.last_output().after(longest);
        if context.clock.now() >= until {
            return longest;
        }
        context.clock.sleep_until(until).await;
    }
}

fn ended(context: &Context, cause: Cause) -> StepEnd {
    match cause {
        Cause::Exited(status) => of_status(status),
        Cause::Silent(longest) => StepEnd::failed(format!(
            "the step printed nothing for {} and was ended\nhint: `no_output_timeout` allows more",
            russet_text::format_duration(longest)
        )),
        Cause::TooLong(longest) => StepEnd::failed(format!(
            "it ran for longer than {} and was ended",
            russet_text::format_duration(longest)
        )),
        Cause::NoRoom(why) => {
            // From here on the space belongs to the end of the story.
            context.spool.release_reserve();
            StepEnd::failed(why)
        }
        Cause::JobOver => StepEnd {
            message: Some("it was ended because the job is over".to_owned()),
            ..StepEnd::success()
        },
        Cause::Stopped => stopped(context),
    }
}

/// Returns the end of a step that the task's stop cut short.
pub(crate) fn stopped(context: &Context) -> StepEnd {
    let (outcome, message) = match context.stop.reason() {
        Some(Stop::Asked { outcome, reason }) => (outcome, reason),
        Some(Stop::Deadline) => {
            (Outcome::TimedOut, "the task reached its run-time limit".to_owned())
        }
        Some(Stop::Stale(why)) => (Outcome::Canceled, why),
        None => (Outcome::Failed, "nobody waited for the step's process".to_owned()),
    };
    StepEnd { outcome, exit_code: None, message: Some(message) }
}

/// Returns when the job is over, for a command that ends with it.
async fn over(receiver: Option<watch::Receiver<bool>>) {
    if let Some(mut receiver) = receiver
        && receiver.wait_for(|is_over| *is_over).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Interprets an exit status.
pub(crate) fn of_status(status: ExitStatus) -> StepEnd {
    let outcome = if status.success() { Outcome::Success } else { Outcome::Failed };
    let message = status.signal().map(|number| {
        let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
        format!("the step's process was ended by signal {number} ({name})")
    });
    StepEnd { outcome, exit_code: status.code(), message }
}

#[cfg(test)]
mod tests {
    use super::of_status;
    use russet_protocol::outcome::Outcome;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    #[test]
    fn a_signal_is_named() {
        let end = of_status(ExitStatus::from_raw(9));
        assert_eq!((end.outcome, end.exit_code), (Outcome::Failed, None));
        assert!(end.message.unwrap().contains("9 (SIGKILL)"));
        assert_eq!(of_status(ExitStatus::from_raw(3 << 8)).exit_code, Some(3));
    }
}
