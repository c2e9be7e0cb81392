//! The `ssh-agent` of a task.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::task::environment::StepVariables;
use crate::task::journal::StepOutput;
use crate::task::reaper::{Child, Reaper};
use crate::task::stop::StopSignal;
use russet_platform::clock::Clock;

/// Timeout of the agent's socket.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two looks at the socket.
const SOCKET_INTERVAL: Duration = Duration::from_millis(5);

/// Variable by which `ssh` finds its agent.
const SOCKET_VARIABLE: &str = "SSH_AUTH_SOCK";

/// Reason why a task has no agent.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    #[error("`ssh-agent` ended at once")]
    Ended,
    #[error("the task was stopped")]
    Stopped,
    #[error("`ssh-agent` did not make {}", .0.display())]
    NoSocket(PathBuf),
}

/// The `ssh-agent` of a task, from the first step that wants one.
#[derive(Debug)]
pub(crate) struct SshAgent {
    child: Mutex<Option<Child>>,
    reaper: Reaper,
    clock: Clock,
    stop: StopSignal,
    /// Time in which the agent may end by itself.
    grace: Duration,
}

impl SshAgent {
    pub(crate) fn new(reaper: Reaper, clock: Clock, stop: StopSignal, grace: Duration) -> Self {
        Self { child: Mutex::default(), reaper, clock, stop, grace }
    }

    /// Starts the agent with its socket in `tmp`, if there is none yet, and returns the socket.
    /// `None` where the machine has no such program: the files are enough for git then, and the
    /// step says so.
    pub(super) async fn start(
        &self,
        tmp: &Path,
        variables: &StepVariables,
        output: &StepOutput,
    ) -> Result<Option<PathBuf>, AgentError> {
        let socket = tmp.join(".ssh-agent");
        if socket.exists() {
            return Ok(Some(socket));
        }
        let of_job = variables.of_job().iter();
        let mut program = Command::new("ssh-agent");
        program
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .env_clear()
            .envs(of_job.filter(|(name, _)| matches!(&***name, "PATH" | "HOME")))
            .current_dir(tmp)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let mut child = match self.reaper.spawn(&mut program) {
            Ok(child) => child,
            Err(error) => {
                output.say(&format!("goes on without an agent: could not start it: {error}"));
                return Ok(None);
            }
        };
        let started = self.wait_for_socket(&mut child, &socket).await;
        self.lock_child().replace(child);
        started?;
        variables.add(SOCKET_VARIABLE, socket.to_string_lossy().into_owned());
        Ok(Some(socket))
    }

    async fn wait_for_socket(&self, child: &mut Child, socket: &Path) -> Result<(), AgentError> {
        let until = self.clock.now().after(START_TIMEOUT);
        while !socket.exists() {
            tokio::select! {
                _ = child.exited() => return Err(AgentError::Ended),
                () = self.clock.sleep(SOCKET_INTERVAL) => {}
                () = self.stop.requested() => return Err(AgentError::Stopped),
            }
            if self.clock.now() >= until {
                return Err(AgentError::NoSocket(socket.to_owned()));
            }
        }
        Ok(())
    }

    /// Ends the agent. Call it when no step runs any more.
    pub(crate) async fn end(&self) {
        let child = self.lock_child().take();
        let Some(mut child) = child else { return };
        // It may have ended by itself, or by a step.
        if kill(Pid::from_raw(child.pid), Signal::SIGTERM).is_ok() {
            tokio::select! {
                _ = child.exited() => {}
                () = self.clock.sleep(self.grace) => {}
            }
        }
    }

    fn lock_child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
