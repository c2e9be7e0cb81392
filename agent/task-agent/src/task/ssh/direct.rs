//! The other way in, where the machine's owner opened ports: people come to a port of the launch
//! agent's, which hands them over at its socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use russet_protocol::ssh::{PortOpened, TunnelOpened};
use russet_ssh_server::SshServer;
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

use super::dial::Way;

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

/// Way through a port of the launch agent's.
pub(super) struct Direct {
    pub(super) socket: PathBuf,
    /// Connection that waits already.
    pub(super) first: Option<Waiting>,
}

impl Way for Direct {
    type Connection = (UnixStream, TunnelOpened);
    type Error = io::Error;
    const NAME: &'static str = "the port for SSH";

    async fn wait_for_person(&mut self) -> io::Result<Self::Connection> {
        let mut waiting = match self.first.take() {
            Some(waiting) => waiting,
            None => Waiting::dial(&self.socket).await?,
        };
        let opened = read_line(&mut waiting.stream).await?;
        Ok((waiting.stream, opened))
    }

    async fn serve(server: SshServer, (stream, opened): Self::Connection) {
        server.serve(stream, opened.from).await;
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
