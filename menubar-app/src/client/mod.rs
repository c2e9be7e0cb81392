//! A client of the agent's local API, over its unix socket. It asks as the person who is logged
//! in, and the agent decides what they may.

mod events;
mod logs;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use russet_protocol::local::{DrainRequest, PauseRequest};
use russet_protocol::problem::Problem;
use tokio::net::UnixStream;

pub(crate) use events::watch;
pub(crate) use logs::open_log;

use crate::controller::{Lost, Verb};
use crate::layout::Layout;

/// An agent that is there answers at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest answer that is taken for one about a problem.
const LONGEST_PROBLEM: usize = 64 * 1024;

/// Reason for which the agent did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// There is nobody behind the socket.
    #[error("{}: {}", socket.display(), error.kind())]
    Unreachable {
        /// Path of the socket.
        socket: PathBuf,
        /// Cause.
        error: std::io::Error,
    },
    /// The connection ended.
    #[error("the connection to the agent ended: {0}")]
    Broken(#[from] hyper::Error),
    /// It did not answer in time.
    #[error("the agent did not answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// It answered, and did not do it.
    #[error("{0}")]
    Refused(String),
}

/// Connection settings of the agent.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    socket: PathBuf,
    /// Set if somebody named the socket; otherwise it was found.
    is_named: bool,
}

impl Agent {
    /// The agent behind a socket, or the installed one, or else the one of this user.
    pub(crate) fn find(socket: Option<PathBuf>) -> Self {
        let is_named = socket.is_some();
        Self { socket: socket.unwrap_or_else(default_socket), is_named }
    }

    /// Asks for a change.
    pub(crate) async fn ask(&self, verb: Verb) -> Result<(), ClientError> {
        let reason = || Some("from the menu bar".to_owned());
        let json = |body: serde_json::Result<Vec<u8>>| body.unwrap_or_default();
        let (path, body) = match verb {
            Verb::Pause => {
                let wish = PauseRequest { reason: reason(), ..PauseRequest::default() };
                ("/v1/pause", json(serde_json::to_vec(&wish)))
            }
            Verb::Drain => {
                let wish = DrainRequest { reason: reason(), ..DrainRequest::default() };
                ("/v1/drain", json(serde_json::to_vec(&wish)))
            }
            Verb::Resume => ("/v1/resume", b"{}".to_vec()),
            Verb::CheckUpdate => ("/v1/update/check", b"{}".to_vec()),
            Verb::InstallUpdate => ("/v1/update/install", b"{}".to_vec()),
        };
        let answer = self.request(Method::POST, path, body.into());
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| ClientError::Slow)??;
        Ok(())
    }

    /// Asks, and waits for the head of an answer that is a good one.
    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| ClientError::Unreachable { socket: self.socket.clone(), error })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the answer; its errors are those of the answer.
        tokio::spawn(async move { drop(connection.await) });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "agent")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| ClientError::Refused(error.to_string()))?;
        let response = sender.send_request(request).await?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(read_problem(response).await)
        }
    }

    /// Returns the reason why no agent is heard.
    fn lost(&self, error: &ClientError) -> Lost {
        match error {
            ClientError::Unreachable { error, .. }
                if error.kind() == std::io::ErrorKind::NotFound
                    && !self.is_named
                    && !Layout::default().bundle().exists() =>
            {
                Lost::NotInstalled
            }
            ClientError::Refused(why) => Lost::Refused(why.clone()),
            error => Lost::NotRunning(error.to_string()),
        }
    }
}

/// Reads the agent's answer about a problem.
async fn read_problem(response: Response<Incoming>) -> ClientError {
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST_PROBLEM).collect().await;
    let said = body.ok().and_then(|body| {
        let problem: Problem = serde_json::from_slice(&body.to_bytes()).ok()?;
        (!problem.message.is_empty()).then_some(problem.message)
    });
    ClientError::Refused(match said {
        Some(message) => message,
        None if status == StatusCode::NOT_FOUND => {
            "the agent knows no such request; it may be an older version".to_owned()
        }
        None => format!("the agent answered {status}"),
    })
}

/// The installed agent's socket; where there is none, that of an agent that this user started.
fn default_socket() -> PathBuf {
    let installed = Layout::default().socket();
    let base = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state")));
    match base.map(|base| base.join("russet/agent.sock")) {
        Some(own) if !installed.exists() && own.exists() => own,
        _ => installed,
    }
}
