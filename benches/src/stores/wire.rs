//! A connection that speaks as much of HTTP as the measured servers answer: lighter than a whole
//! client, since thousands of them share two cores with the servers.

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// An open connection.
pub(super) struct Wire(BufReader<TcpStream>);

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// Returns the body of an answer that must be a good one.
    pub(super) fn good(self, call: &str) -> Result<Vec<u8>> {
        if !(200..300).contains(&self.status) {
            bail!("{call}: {} {}", self.status, String::from_utf8_lossy(&self.body));
        }
        Ok(self.body)
    }
}

impl Wire {
    pub(super) async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect to the server")?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::with_capacity(1024, stream)))
    }

    /// Sends a request with a token, and these lines of its head besides, and reads the answer.
    pub(super) async fn ask(
        &mut self,
        call: &str,
        token: &str,
        head: &str,
        body: &[u8],
    ) -> Result<Answer> {
        let length = body.len();
        let mut request = format!(
            "{call} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n{head}\
             content-length: {length}\r\n\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.0.get_mut().write_all(&request).await?;
        self.read_answer().await.with_context(|| call.to_owned())
    }

    async fn read_answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no status in {line:?}"))?;
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).await?;
            let field = line.trim_end().to_ascii_lowercase();
            if field.is_empty() {
                break;
            }
            if let Some(value) = field.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        Ok(Answer { status, body })
    }
}
