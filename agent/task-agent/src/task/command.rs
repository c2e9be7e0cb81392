//! Running one command of a job, from its start to the end of its output.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use russet_protocol::outcome::Outcome;
use tokio::sync::watch;

use super::clean::SlotProcesses;
use super::disk::DiskLimit;
use super::environment::Variables;
use super::environment_size;
use super::journal::StepOutput;
use super::kill;
use super::process_table;
use super::pty::Pty;
use super::reader::{Reader, Tail};
use super::reaper::{Child, Reaper};
use super::spool::{Spool, StepLog};
use super::step_end::StepEnd;
use super::stop::{Stop, StopSignal};
use russet_platform::clock::Clock;

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
    /// There is no room for its output, or for its files.
    NoRoom {
        why: String,
        /// Exit code, where it had ended by itself before that was seen.
        exit_code: Option<i32>,
    },
}

impl Cause {
    fn no_room(why: String) -> Self {
        Self::NoRoom { why, exit_code: None }
    }

    /// Returns the cause once all of the output was read. The last of it may have met a full disk
    /// after the command had exited: without its output no command has done well.
    fn after_output(self, lost_output: Option<String>) -> Self {
        match (self, lost_output) {
            (Self::Exited(status), Some(why)) => Self::NoRoom { why, exit_code: status.code() },
            (cause, _) => cause,
        }
    }
}

/// Reason why a command was not started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("there is nothing to run")]
    Nothing,
    #[error(transparent)]
    Size(#[from] environment_size::SizeError),
    #[error("could not open a terminal: {0}")]
    Terminal(io::Error),
    #[error("could not read the terminal: {0}")]
    Reader(io::Error),
    #[error("could not start `{}` in {}: {source}", program.display(), directory.display())]
    Program { program: PathBuf, directory: PathBuf, source: io::Error },
}

/// Runs a job's commands, each with its output in the log of its step.
#[derive(Debug)]
pub(crate) struct Commands {
    pub(crate) clock: Clock,
    pub(crate) reaper: Reaper,
    pub(crate) stop: StopSignal,
    pub(crate) disk: DiskLimit,
    pub(crate) spool: Arc<Spool>,
    /// Processes that are shown when a command runs out of time.
    pub(crate) processes: SlotProcesses,
    /// Time between TERM and KILL.
    pub(crate) kill_grace: Duration,
}

impl Commands {
    /// Runs a command until it has ended and its output is complete.
    pub(crate) async fn run(&self, spec: Spec, output: &StepOutput) -> StepEnd {
        match self.start(&spec, output) {
            Ok((child, reader)) => self.watch(&spec, output, child, reader).await,
            Err(error) => StepEnd::failed(error.to_string()),
        }
    }

    fn start(&self, spec: &Spec, output: &StepOutput) -> Result<(Child, Reader), StartError> {
        let (program, arguments) = spec.words.split_first().ok_or(StartError::Nothing)?;
        environment_size::check_size(&spec.words, &spec.variables)?;
        let pty = Pty::open().map_err(StartError::Terminal)?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&spec.variables).current_dir(&spec.directory);
        pty.attach(&mut command).map_err(StartError::Terminal)?;
        // Before there is a process that could take the last thread that the user may have.
        let log = Arc::clone(output.log());
        let reader =
            Reader::start(pty, output.masks().masker(), log).map_err(StartError::Reader)?;
        output.log().touch();
        let child = self.reaper.spawn(&mut command).map_err(|source| {
            reader.let_go();
            let (program, directory) = (PathBuf::from(program), spec.directory.clone());
            StartError::Program { program, directory, source }
        })?;
        // The command holds the terminal's other end, which the reader has to be the last to let
        // go.
        drop(command);
        Ok((child, reader))
    }

    async fn watch(
        &self,
        spec: &Spec,
        output: &StepOutput,
        mut child: Child,
        reader: Reader,
    ) -> StepEnd {
        let until = spec.longest.map(|longest| self.clock.now().after(longest));
        let log = output.log();
        let cause = tokio::select! {
            status = child.exited() => match status {
                Ok(status) => Cause::Exited(status),
                Err(_) => Cause::Stopped,
            },
            silence = wait_for_silence(&self.clock, log, spec.silence) => Cause::Silent(silence),
            () = self.clock.sleep_until_some(until) => {
                Cause::TooLong(spec.longest.unwrap_or_default())
            }
            () = self.stop.requested() => Cause::Stopped,
            () = wait_for_job(spec.job_is_over.clone()) => Cause::JobOver,
            why = log.broken() => Cause::no_room(why),
            why = self.disk.exceeded() => Cause::no_room(why),
        };
        if self.is_out_of_time(spec, &cause) {
            // What it waited for is only to be seen while it is there.
            output.say(&process_table::process_table(&self.processes, output.masks()));
        }
        if !matches!(cause, Cause::Exited(_)) {
            let has_no_room = matches!(cause, Cause::NoRoom { .. });
            let grace = if has_no_room { Duration::ZERO } else { self.kill_grace };
            kill::end_step(&mut child, grace, &self.clock, &self.stop).await;
        }
        if reader.finish().await == Tail::HeldOpen {
            output.say(
                "note: a process that this step left running keeps its terminal open; what it \
                 prints from here on is not shown",
            );
        }
        self.end_for(cause.after_output(log.lost_because()))
    }

    /// Returns true if a time limit is the reason why the command is about to be ended. The
    /// run-time limit ends commands in the background too; the one that everybody waits for tells
    /// the story.
    fn is_out_of_time(&self, spec: &Spec, cause: &Cause) -> bool {
        match cause {
            Cause::Silent(_) | Cause::TooLong(_) => true,
            Cause::Stopped => {
                spec.job_is_over.is_none() && self.stop.reason() == Some(Stop::Deadline)
            }
            Cause::Exited(_) | Cause::JobOver | Cause::NoRoom { .. } => false,
        }
    }

    fn end_for(&self, cause: Cause) -> StepEnd {
        match cause {
            Cause::Exited(status) => interpret_status(status),
            Cause::Silent(longest) => StepEnd::failed(format!(
                "the step printed nothing for {} and was ended\nhint: `no_output_timeout` allows \
                 more",
                russet_text::format_duration(longest)
            )),
            Cause::TooLong(longest) => StepEnd::failed(format!(
                "it ran for longer than {} and was ended",
                russet_text::format_duration(longest)
            )),
            Cause::NoRoom { why, exit_code } => {
                // From here on the space belongs to the end of the story.
                self.spool.release_reserve();
                StepEnd { exit_code, ..StepEnd::failed(why) }
            }
            Cause::JobOver => StepEnd {
                message: Some("it was ended because the job is over".to_owned()),
                ..StepEnd::success()
            },
            Cause::Stopped => StepEnd::stopped(&self.stop),
        }
    }
}

/// Returns when nothing was printed for so long.
async fn wait_for_silence(clock: &Clock, log: &StepLog, longest: Option<Duration>) -> Duration {
    let Some(longest) = longest else { return std::future::pending().await };
    loop {
        let until = log.last_output().after(longest);
        if clock.now() >= until {
            return longest;
        }
        clock.sleep_until(until).await;
    }
}

/// Returns when the job is over, for a command that ends with it.
async fn wait_for_job(receiver: Option<watch::Receiver<bool>>) {
    if let Some(mut receiver) = receiver
        && receiver.wait_for(|is_over| *is_over).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Interprets an exit status.
fn interpret_status(status: ExitStatus) -> StepEnd {
    let outcome = if status.success() { Outcome::Success } else { Outcome::Failed };
    let message = status.signal().map(|number| {
        let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
        format!("the step's process was ended by signal {number} ({name})")
    });
    StepEnd { outcome, exit_code: status.code(), message }
}

#[cfg(test)]
mod tests {
    use super::{Cause, interpret_status};
    use russet_protocol::outcome::Outcome;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    #[test]
    fn a_command_that_exits_before_its_last_output_meets_a_full_disk_has_not_succeeded() {
        let exited = || Cause::Exited(ExitStatus::from_raw(0));
        let cause = exited().after_output(Some("no space".to_owned()));
        assert!(
            matches!(&cause, Cause::NoRoom { why, exit_code: Some(0) } if why == "no space"),
            "{cause:?}"
        );
        assert!(matches!(exited().after_output(None), Cause::Exited(_)));
        let stopped = Cause::Stopped.after_output(Some("no space".to_owned()));
        assert!(matches!(stopped, Cause::Stopped));
    }

    #[test]
    fn a_signal_is_named() {
        let end = interpret_status(ExitStatus::from_raw(9));
        assert_eq!((end.outcome, end.exit_code), (Outcome::Failed, None));
        assert!(end.message.unwrap().contains("9 (SIGKILL)"));
        assert_eq!(interpret_status(ExitStatus::from_raw(3 << 8)).exit_code, Some(3));
    }
}
