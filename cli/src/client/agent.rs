//! A client of the launch agent of this machine, over its unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use russet_protocol::local::{Looking, Status};
use russet_protocol::problem::Problem;
use russet_text::{EventReader, error_chain};
use serde::Serialize;

use crate::error::{CliError, Result};
use crate::exit::Exit;

/// An agent that is there answers at once.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest event that is read.
const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// Which agent.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct AgentArgs {
    /// Socket of the agent [default: that of the installed agent, else of your own]
    #[arg(long, env = "RUSSET_AGENT_SOCKET", hide_env_values = true, value_name = "FILE")]
    socket: Option<PathBuf>,
}

/// The launch agent.
#[derive(Debug)]
pub(crate) struct AgentClient {
    socket: PathBuf,
    http: reqwest::Client,
}

/// The status at each change.
#[derive(Debug)]
pub(crate) struct Changes {
    response: reqwest::Response,
    events: EventReader,
}

/// Output of a task, as it comes.
#[derive(Debug)]
pub(crate) struct AgentOutput(reqwest::Response);

impl AgentOutput {
    /// Returns the next piece; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let chunk = self.0.chunk().await.map_err(|error| {
            let message = format!("the agent's answer broke off: {}", error_chain(&error));
            CliError::new(Exit::Infrastructure, message)
        })?;
        Ok(chunk.map(|bytes| bytes.to_vec()))
    }
}

impl AgentArgs {
    /// A client for the agent that is meant.
    pub(crate) fn connect(&self) -> Result<AgentClient> {
        AgentClient::at(self.socket.clone().unwrap_or_else(default_socket))
    }
}

impl AgentClient {
    /// A client for the agent behind a socket.
    pub(crate) fn at(socket: PathBuf) -> Result<Self> {
        let http = reqwest::Client::builder()
            .unix_socket(socket.as_path())
            .connect_timeout(TIMEOUT)
            .build()
            .map_err(|error| CliError::local("could not make a client", error_chain(&error)))?;
        Ok(Self { socket, http })
    }
}

/// The installed agent's socket; where there is none, that of an agent that this user started.
fn default_socket() -> PathBuf {
    let installed = russet_platform::layout::Layout::default().socket();
    let base = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state")));
    match base.map(|base| base.join("russet/agent.sock")) {
        Some(own) if !installed.exists() && own.exists() => own,
        _ => installed,
    }
}

impl AgentClient {
    /// Everything at a glance.
    pub(crate) async fn status(&self) -> Result<Status> {
        let response = self.http.get(local_url("status")).timeout(TIMEOUT).send().await;
        let response = self.checked(response).await?;
        response.json().await.map_err(|error| self.nonsense(&error))
    }

    /// The status now, and at each change.
    pub(crate) async fn changes(&self) -> Result<Changes> {
        let response = self.checked(self.http.get(local_url("events")).send().await).await?;
        Ok(Changes { response, events: EventReader::new(MAX_EVENT_BYTES) })
    }

    /// Follows the output of a running task, or the end of one that has ended here lately.
    pub(crate) async fn output(&self, task: &str, follow: bool) -> Result<AgentOutput> {
        let path = local_url(&format!("tasks/{task}/log?follow={follow}"));
        let response = self.checked(self.http.get(path).send().await).await?;
        Ok(AgentOutput(response))
    }

    /// Asks for a change.
    pub(crate) async fn ask(&self, verb: &str, body: &impl Serialize) -> Result<()> {
        let request = self.http.post(local_url(verb)).timeout(TIMEOUT).json(body);
        self.checked(request.send().await).await.map(|_| ())
    }

    /// Asks for a look for an update; answers its number, 0 from an agent that says none.
    pub(crate) async fn look(&self, verb: &str) -> Result<u64> {
        let request = self.http.post(local_url(verb)).timeout(TIMEOUT).json(&());
        let response = self.checked(request.send().await).await?;
        Ok(response.json::<Looking>().await.unwrap_or_default().look)
    }

    async fn checked(
        &self,
        response: std::result::Result<reqwest::Response, reqwest::Error>,
    ) -> Result<reqwest::Response> {
        let response = response.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let problem: Problem = response.json().await.unwrap_or_default();
        let message = if problem.message.is_empty() {
            format!("the agent answered {status}")
        } else {
            format!("the agent refused: {}", problem.message)
        };
        Err(CliError::new(Exit::Infrastructure, message).maybe_hint(
            (status == reqwest::StatusCode::FORBIDDEN).then(|| "use `sudo`".to_owned()),
        ))
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let message = format!(
            "could not reach the agent at {}: {}",
            self.socket.display(),
            error_chain(error)
        );
        CliError::new(Exit::Infrastructure, message).hint(
            "it may not run: `sudo russet agent start` starts an installed one; `--socket` names \
             another",
        )
    }

    fn nonsense(&self, error: &dyn std::fmt::Display) -> CliError {
        let message =
            format!("the agent at {} said what is not understood: {error}", self.socket.display());
        CliError::new(Exit::Infrastructure, message)
    }
}

/// The host is the socket; what stands here is only there because HTTP wants it.
fn local_url(path: &str) -> String {
    format!("http://agent/v1/{path}")
}

impl Changes {
    /// The next one; `None` when the agent has ended. May be abandoned and called again.
    pub(crate) async fn next(&mut self) -> Option<Status> {
        loop {
            while let Some(event) = self.events.next_event() {
                if let Ok(status) = serde_json::from_slice(&event) {
                    return Some(status);
                }
            }
            let chunk = self.response.chunk().await.ok()??;
            self.events.push(&chunk).ok()?;
        }
    }
}
