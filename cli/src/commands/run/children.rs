//! The control plane and the launch agent of a run, as child processes.
//!
//! Each is in a process group of its own, so that Ctrl-C at the terminal reaches only this
//! process, which then ends them in order. They notice when it is gone, however it went: the
//! launch agent's standard input is a pipe whose other end is here, and when that closes it
//! cancels its tasks and ends. The server's is one whose other end is here and, as its standard
//! output, with the launch agent: so the server stays until the launch agent has reported.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{PipeWriter, pipe};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use russet_control_plane::KeptCaches;
use russet_protocol::admin::ServerReady;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::workspace::Workspace;
use crate::commands::orbs::RegistryArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Timeout of the server's start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Timeout of the launch agent's end once nothing runs, or once it was told to cancel.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Timeout of its end once it is to kill.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// Pause between two signals that say that it is to kill.
const INSIST_PAUSE: Duration = Duration::from_millis(100);

/// The children, as far as they were started.
#[derive(Debug, Default)]
pub(super) struct Children {
    server: Option<Child>,
    agent: Option<Child>,
    /// The launch agent lives as long as this is open.
    agent_hold: Option<PipeWriter>,
    /// The server lives as long as this, or the launch agent, is there.
    server_hold: Option<PipeWriter>,
}

impl Children {
    /// Starts the control plane and waits until it listens.
    pub(super) async fn start_server(
        &mut self,
        workspace: &Workspace,
        registry: &RegistryArgs,
        caches: Option<&KeptCaches>,
    ) -> Result<ServerReady> {
        let (reader, hold) = pipe().map_err(not_started)?;
        let mut command = own_program(workspace.log("server.log")?)?;
        command.args(["server", "--listen", "127.0.0.1:0", "--ready-stdout", "--end-with-stdin"]);
        if let Some(url) = &registry.orb_registry {
            command.arg("--orb-registry").arg(url);
        }
        if let Some(file) = &registry.orb_registry_token_file {
            command.arg("--orb-registry-token-file").arg(file);
        }
        if let Some(caches) = caches {
            command.arg("--kept-caches").arg(&caches.dir);
            command.arg("--cache-limit").arg(caches.limit.to_string());
        }
        let mut child = command
            .arg("--data-dir")
            .arg(workspace.path("server"))
            .stdin(reader)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(not_started)?;
        let stdout = child.stdout.take();
        self.server_hold = Some(hold);
        self.server = Some(child);
        let mut line = String::new();
        if let Some(stdout) = stdout {
            let mut stdout = BufReader::new(stdout);
            let read = tokio::time::timeout(START_LIMIT, stdout.read_line(&mut line)).await;
            read.map_err(|_| server_failed(workspace, "did not listen in time"))?
                .map_err(not_started)?;
        }
        serde_json::from_str(&line).map_err(|_| server_failed(workspace, "did not start"))
    }

    /// Starts the launch agent.
    pub(super) fn start_agent(&mut self, config: &Path, workspace: &Workspace) -> Result<()> {
        let (reader, hold) = pipe().map_err(not_started)?;
        let stdout = match &self.server_hold {
            Some(hold) => Stdio::from(hold.try_clone().map_err(not_started)?),
            None => Stdio::null(),
        };
        let child = own_program(workspace.log("agent.log")?)?
            .args(["agent", "run", "--end-with-stdin", "--config"])
            .arg(config)
            .stdin(reader)
            .stdout(stdout)
            .spawn()
            .map_err(not_started)?;
        self.agent_hold = Some(hold);
        self.agent = Some(child);
        Ok(())
    }

    /// Waits until one of them ends, which none should while a pipeline runs; says which.
    pub(super) async fn one_ended(&mut self) -> &'static str {
        tokio::select! {
            () = wait_for_end(&mut self.server) => "server",
            () = wait_for_end(&mut self.agent) => "agent",
        }
    }

    /// Ends both: the launch agent when its tasks have, then the server.
    pub(super) async fn stop(&mut self) {
        signal_child(self.agent.as_ref(), Signal::SIGTERM);
        if !ended_within(&mut self.agent, STOP_LIMIT).await {
            self.agent_hold = None;
            let _late = ended_within(&mut self.agent, STOP_LIMIT).await;
        }
        self.end().await;
    }

    /// Ends both at once, with what they run.
    pub(super) async fn kill(&mut self) {
        // When the pipe closes, the launch agent cancels. Each INT after that is impatience: the
        // first says nothing new, the second one has it kill.
        self.agent_hold = None;
        let insist = async {
            while !ended_within(&mut self.agent, INSIST_PAUSE).await {
                signal_child(self.agent.as_ref(), Signal::SIGINT);
            }
        };
        let _late = tokio::time::timeout(KILL_LIMIT, insist).await;
        self.end().await;
    }

    /// Ends whatever is left.
    async fn end(&mut self) {
        self.agent_hold = None;
        self.server_hold = None;
        signal_group(self.agent.as_ref(), Signal::SIGKILL);
        signal_child(self.server.as_ref(), Signal::SIGTERM);
        if !ended_within(&mut self.server, KILL_LIMIT).await {
            signal_group(self.server.as_ref(), Signal::SIGKILL);
            let _gone = ended_within(&mut self.server, KILL_LIMIT).await;
        }
        let _gone = ended_within(&mut self.agent, KILL_LIMIT).await;
    }
}

/// The last lines of a child's log, to show with a failure.
pub(super) fn log_tail(workspace: &Workspace, name: &str) -> Vec<String> {
    const LINES: usize = 15;
    let text = std::fs::read(workspace.path(name)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    if tail.is_empty() { Vec::new() } else { vec![format!("{name}:\n  {}", tail.join("\n  "))] }
}

/// This same program, with its own process group.
fn own_program(log: File) -> Result<Command> {
    let program = std::env::current_exe().map_err(not_started)?;
    let mut command = Command::new(program);
    command.process_group(0).stderr(log);
    // What the caller's environment says about another control plane or agent is not for these
    // two: such variables would override the configuration that they are given.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_about_another(name)) {
        command.env_remove(name);
    }
    Ok(command)
}

fn is_about_another(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    name != crate::logging::VARIABLE
        && ["RUSSET_", "CIRCLECI_RUNNER_", "LAUNCH_AGENT_"].iter().any(|p| name.starts_with(p))
}

fn not_started(error: std::io::Error) -> CliError {
    CliError::local("could not start the control plane and the launch agent", error)
}

fn server_failed(workspace: &Workspace, what: &str) -> CliError {
    CliError::new(Exit::Infrastructure, format!("the embedded control plane {what}"))
        .details(log_tail(workspace, "server.log"))
}

async fn wait_for_end(child: &mut Option<Child>) {
    match child {
        Some(child) => {
            // An error means that it was waited for already: it has ended.
            let _status = child.wait().await;
        }
        None => std::future::pending().await,
    }
}

/// Waits for a child; one that was never started has ended.
async fn ended_within(child: &mut Option<Child>, limit: Duration) -> bool {
    child.is_none() || tokio::time::timeout(limit, wait_for_end(child)).await.is_ok()
}

fn child_pid(child: Option<&Child>) -> Option<Pid> {
    // `None` once it was waited for, so that a number which belongs to somebody else by now is
    // never signalled.
    let id = child?.id()?;
    i32::try_from(id).ok().map(Pid::from_raw)
}

fn signal_child(child: Option<&Child>, signal: Signal) {
    if let Some(pid) = child_pid(child) {
        // It may have ended this moment, which is as well.
        let _gone = kill(pid, signal);
    }
}

fn signal_group(child: Option<&Child>, signal: Signal) {
    if let Some(pid) = child_pid(child) {
        let _gone = killpg(pid, signal);
    }
}
