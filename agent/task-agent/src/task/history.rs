//! The history of the project's repository, for git in the task: each connection to a socket in the
//! task's `TMPDIR` is a WebSocket to the control plane, at whose other end is `git upload-pack`.
//!
//! So a job reads what it may without the task's token, and has nothing that it could keep.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use russet_platform::http::{self, WebSocket, WebSocketError};
use russet_protocol::problem::Problem;
use russet_protocol::task::TASK_GIT_PATH;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::{JoinHandle, JoinSet};

use super::api::Api;
use super::own_socket::OwnSocket;
use crate::git_socket::{MAX_ADDRESS_BYTES, socket_in};
use crate::path_error::PathError;

/// Connections at once. Others wait.
const MAX_OPEN: usize = 8;

/// Time in which git's helper says what it is for.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(5);

/// Pauses between tries to reach the control plane.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Longest time of such tries: a control plane that restarts is back by then.
const DIAL_TIMEOUT: Duration = Duration::from_secs(120);

/// Most bytes of a message to git, whose packets have at most 65,516 (gitprotocol-common(5)).
const MAX_MESSAGE_BYTES: usize = 4000;

/// Way of git to the history, until it is dropped, which ends all connections.
#[derive(Debug)]
pub(crate) struct History {
    socket: PathBuf,
    api: Api,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl History {
    /// One with its socket in a task's `TMPDIR`. It is not there yet.
    pub(crate) fn new(tmp: &Path, api: Api) -> Self {
        Self { socket: socket_in(tmp), api, listening: Mutex::default() }
    }

    /// Makes the socket, unless it is there, for a repository at an address.
    pub(crate) fn open(&self, url: &str) -> Result<(), PathError> {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if listening.is_none() {
            let bound = OwnSocket::bind(&self.socket);
            let socket = bound.map_err(PathError::when("make the socket", &self.socket))?;
            *listening = Some(tokio::spawn(accept_all(socket, self.api.clone(), url.into())));
        }
        Ok(())
    }
}

impl Drop for History {
    fn drop(&mut self) {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listening) = listening.take() {
            listening.abort();
        }
    }
}

async fn accept_all(socket: OwnSocket, api: Api, url: Arc<str>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            stream = socket.accept(), if open.len() < MAX_OPEN => {
                open.spawn(serve(stream, api.clone(), Arc::clone(&url)));
            }
            Some(_) = open.join_next() => {}
        }
    }
}

async fn serve(mut stream: UnixStream, api: Api, url: Arc<str>) {
    let asked = tokio::time::timeout(ADDRESS_TIMEOUT, read_address(&mut stream)).await;
    let Ok(Ok(asked)) = asked else { return };
    let dialled = async {
        if asked != *url {
            return Err(format!("the control plane has {url} for this task, and not {asked}"));
        }
        dial(&api).await
    };
    let problem = match tokio::time::timeout(DIAL_TIMEOUT, dialled).await {
        Ok(Ok(socket)) => {
            if let Some(error) = http::pump_talk(socket, stream).await.error {
                tracing::debug!("git lost its connection to the control plane: {error}");
            }
            return;
        }
        Ok(Err(problem)) => problem,
        Err(_) => "the control plane does not answer; run the job again".to_owned(),
    };
    // One that is gone needs no reason.
    drop(stream.write_all(&error_packet(&problem)).await);
}

/// Reads the address, and not a byte more: those that follow are git's.
async fn read_address(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => return Ok(String::from_utf8_lossy(&line).into_owned()),
            _ if line.len() >= MAX_ADDRESS_BYTES => return Err(io::ErrorKind::InvalidData.into()),
            byte => line.push(byte),
        }
    }
}

/// Dials, again while that may help. `Err` is why it does not, for people.
async fn dial(api: &Api) -> Result<WebSocket, String> {
    let mut backoff = http::backoff(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let error = match http::open_websocket(api.request(Method::GET, TASK_GIT_PATH)).await {
            Ok(socket) => return Ok(socket),
            Err(error) => error,
        };
        match &error {
            WebSocketError::Refused { status, body } if !http::is_transient(*status) => {
                let problem = serde_json::from_slice::<Problem>(body).ok();
                return Err(problem.map_or_else(|| error.to_string(), |it| it.message));
            }
            WebSocketError::Refused { .. } | WebSocketError::Request(_) => {
                tracing::debug!("the control plane is dialled again for git: {error}");
                tokio::time::sleep(backoff.next_pause()).await;
            }
            _ => return Err(error.to_string()),
        }
    }
}

/// Returns a packet that git shows as an error of the remote (gitprotocol-pack(5)).
fn error_packet(message: &str) -> Vec<u8> {
    let message = russet_text::one_line_within(message, MAX_MESSAGE_BYTES);
    let text = format!("ERR {message}");
    format!("{:04x}{text}", text.len() + 4).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::error_packet;

    #[test]
    fn an_error_is_a_packet_with_its_length() {
        assert_eq!(error_packet("no"), b"000aERR no");
    }
}
