//! The other way in, where the machine's owner opened ports: people come to a port of the launch
//! agent's, which hands them over at its socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use russet_platform::http;
use russet_protocol::ssh::{PortOpened, TunnelOpened};
use russet_ssh_server::SshServer;
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

/// Pauses between attempts after one that failed.
const FIRST_REDIAL_INTERVAL: Duration = Duration::from_millis(200);
const MAX_REDIAL_INTERVAL: Duration = Duration::from_secs(15);

/// Timeout of the launch agent's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a line of the launch agent's.
const MAX_LINE_BYTES: usize = 1024;

/// A connection that waits for a person at the port of this task.
#[derive(Debug)]
pub(super) struct Waiting {
    stream: UnixStream,
    port: u16,
}

impl Waiting {
    /// Dials, and learns the port.
    pub(super) async fn dial(socket: &Path) -> io::Result<Self> {
        let answer = async {
            let mut stream = UnixStream::connect(socket).await?;
            let PortOpened { port } = read_line(&mut stream).await?;
            Ok(Self { stream, port })
        };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer).await;
        answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Returns the address that people are told: the host of the machine with the port, unless it
    /// names another.
    pub(super) fn address(&self, host: &str) -> String {
        let names_port = host.rsplit_once(':').is_some_and(|(before, port)| {
            port.parse::<u16>().is_ok() && (!before.contains(':') || before.ends_with(']'))
        });
        if names_port { host.to_owned() } else { format!("{host}:{}", self.port) }
    }
}

/// Serves whoever comes, until it is dropped.
pub(super) async fn keep_waiting(socket: std::path::PathBuf, first: Waiting, server: SshServer) {
    let mut backoff = http::backoff(FIRST_REDIAL_INTERVAL, MAX_REDIAL_INTERVAL);
    let mut people = tokio::task::JoinSet::new();
    let mut next = Some(first);
    loop {
        while people.try_join_next().is_some() {}
        let dialled = match next.take() {
            Some(waiting) => Ok(waiting),
            None => Waiting::dial(&socket).await,
        };
        let opened = match dialled {
            Ok(mut waiting) => {
                read_line::<TunnelOpened>(&mut waiting.stream).await.map(|it| (waiting, it))
            }
            Err(error) => Err(error),
        };
        match opened {
            Ok((waiting, opened)) => {
                backoff.reset();
                let server = server.clone();
                people.spawn(async move { server.serve(waiting.stream, opened.from).await });
            }
            // The launch agent is being restarted, most likely.
            Err(error) => {
                tracing::debug!("the port for SSH is asked for again: {error}");
                tokio::time::sleep(backoff.next_pause()).await;
            }
        }
    }
}

/// Reads a line and not a byte more: those that follow are the person's.
async fn read_line<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => return Ok(serde_json::from_slice(&line)?),
            _ if line.len() >= MAX_LINE_BYTES => return Err(io::ErrorKind::InvalidData.into()),
            byte => line.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Waiting;

    #[tokio::test]
    async fn people_are_told_the_port_unless_the_owner_names_another() {
        let (stream, _far) = tokio::net::UnixStream::pair().unwrap();
        let waiting = Waiting { stream, port: 54782 };
        for (host, told) in [
            ("mini-1.example", "mini-1.example:54782"),
            ("mini-1.example:22222", "mini-1.example:22222"),
            ("[fd00::1]", "[fd00::1]:54782"),
            ("[fd00::1]:22222", "[fd00::1]:22222"),
        ] {
            assert_eq!(waiting.address(host), told);
        }
    }
}
