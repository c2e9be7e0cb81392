//! `run` steps: a script of the job, run by a shell, and again after a failure where it asks for
//! that.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::task::{DEFAULT_NO_OUTPUT_TIMEOUT_MS, Run};
use tokio::sync::watch;

use super::command::{Commands, Spec};
use super::directories::{JobDirs, MakeDirectoryError, make_directory};
use super::environment::StepVariables;
use super::journal::StepOutput;
use super::spool::Spool;
use super::step_end::StepEnd;
use super::stop::StopSignal;
use super::{login_path, refusals, shell};
use russet_platform::clock::Clock;

/// Reason why a script was not run.
#[derive(Debug, thiserror::Error)]
enum ScriptError {
    #[error(transparent)]
    Shell(#[from] shell::BadShell),
    #[error("could not write the script to a file: {0}")]
    Write(io::Error),
    #[error(transparent)]
    Directory(#[from] MakeDirectoryError),
}

/// Runs a job's scripts.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) commands: Arc<Commands>,
    pub(crate) dirs: Arc<JobDirs>,
    pub(crate) variables: Arc<StepVariables>,
    /// Shell of steps that name none.
    pub(crate) shell: String,
    pub(crate) spool: Arc<Spool>,
    pub(crate) clock: Clock,
    pub(crate) stop: StopSignal,
    /// Set if the task has a session at the screen.
    pub(crate) has_screen: bool,
}

impl Scripts {
    /// Returns the shell of a step.
    pub(crate) fn shell_of<'a>(&'a self, run: &'a Run) -> &'a str {
        run.shell.as_deref().unwrap_or(&self.shell)
    }

    /// Runs a step's script. One in the background ends with the job.
    pub(crate) async fn run_script(
        &self,
        number: u32,
        run: &Run,
        output: &StepOutput,
        job_is_over: Option<watch::Receiver<bool>>,
    ) -> StepEnd {
        let end = self.run_with_reruns(number, run, output, job_is_over).await;
        if end.outcome == Outcome::Failed
            && let Ok(tail) = output.log().tail(refusals::TAIL_BYTES)
            && let Some(hint) = refusals::hint_about(&tail, self.has_screen)
        {
            output.say(hint);
        }
        end
    }

    async fn run_with_reruns(
        &self,
        number: u32,
        run: &Run,
        output: &StepOutput,
        job_is_over: Option<watch::Receiver<bool>>,
    ) -> StepEnd {
        let mut end;
        let mut reruns = 0;
        loop {
            end = match self.prepare_command(number, run, job_is_over.clone()) {
                Ok(spec) => self.commands.run(spec, output).await,
                Err(error) => StepEnd::failed(error.to_string()),
            };
            if let Some(message) = &end.message {
                output.say(message);
            }
            self.tell_not_kept(output, &mut end);
            let is_over = job_is_over.as_ref().is_some_and(|over| *over.borrow());
            if end.outcome != Outcome::Failed || reruns == run.max_auto_reruns || is_over {
                return end;
            }
            reruns += 1;
            if !self.wait_for_rerun(run, &end, output, reruns).await {
                return end;
            }
        }
    }

    fn prepare_command(
        &self,
        number: u32,
        run: &Run,
        job_is_over: Option<watch::Receiver<bool>>,
    ) -> Result<Spec, ScriptError> {
        let file = self.dirs.slot.tmp.join(format!(".script-{number}"));
        let arguments = shell::shell_arguments(self.shell_of(run), &run.command, &file)?;
        if arguments.needs_file {
            std::fs::write(&file, &run.command).map_err(ScriptError::Write)?;
        }
        let directory = self.dirs.resolve(run.working_directory.as_deref().unwrap_or("."));
        make_directory(&directory)?;
        let mut variables = self.variables.of_next_step();
        for (name, value) in &run.environment {
            if !name.contains(['=', '\0']) && !name.is_empty() && !value.contains('\0') {
                variables.insert(name.clone(), value.clone());
            }
        }
        login_path::tell(&mut variables);
        Ok(Spec {
            words: arguments.words,
            variables,
            directory,
            silence: silence_limit(run),
            longest: None,
            job_is_over,
        })
    }

    /// Says how much of a step's output was not kept, and why. For what had no room there is none
    /// to say it in the log either.
    fn tell_not_kept(&self, output: &StepOutput, end: &mut StepEnd) {
        let not_kept = output.log().not_kept();
        if let Some(limit) = self.spool.limit().filter(|_| not_kept.beyond > 0) {
            output.say(&format!(
                "note: {} bytes of this step's output are not kept: the owner of this runner keeps \
                 {limit} bytes of a task (`runner.limits.output`)",
                not_kept.beyond
            ));
        }
        if not_kept.lost > 0 {
            let told = format!("{} bytes of output had no room on disk", not_kept.lost);
            let before = end.message.take().map(|message| format!("{message}\n"));
            end.message = Some(before.unwrap_or_default() + &told);
        }
    }

    /// Says that a step runs again, and waits until it may. `false`: the task was stopped
    /// meanwhile.
    async fn wait_for_rerun(
        &self,
        run: &Run,
        end: &StepEnd,
        output: &StepOutput,
        reruns: u32,
    ) -> bool {
        let delay = Duration::from_millis(run.auto_rerun_delay_ms);
        let code = end.exit_code.map_or(String::new(), |code| format!(" with exit code {code}"));
        let when = match delay {
            Duration::ZERO => "now".to_owned(),
            delay => format!("in {}", russet_text::format_duration(delay)),
        };
        let most = run.max_auto_reruns;
        output.say(&format!("the step failed{code}; rerun {reruns} of {most} starts {when}"));
        tokio::select! {
            () = self.clock.sleep(delay) => !self.stop.is_set(),
            () = self.stop.requested() => false,
        }
    }
}

/// Returns the time that a script may be silent. A background step is a server more often than
/// not, and servers are silent; so it only has a limit where it sets one.
fn silence_limit(run: &Run) -> Option<Duration> {
    let default = (!run.background).then_some(DEFAULT_NO_OUTPUT_TIMEOUT_MS);
    run.no_output_timeout_ms.or(default).map(Duration::from_millis)
}
