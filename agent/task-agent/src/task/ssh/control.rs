//! Requests of people within the task: `circleci-agent ssh extend` and `end`, over a socket in the
//! task's own `TMPDIR`. They can no more than a step that sleeps or exits can.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use crate::hold_request::{HoldReply, HoldRequest, MAX_LINE_BYTES, socket_in};
use crate::task::own_socket::OwnSocket;

/// Time for a request to be made.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A request, and where its answer goes.
pub(super) type Asked = (HoldRequest, oneshot::Sender<HoldReply>);

/// Listens, and passes requests on until it is dropped. The socket goes with the task's directories.
pub(super) fn listen(
    tmp: &Path,
    requests: mpsc::Sender<Asked>,
) -> io::Result<tokio::task::JoinHandle<()>> {
    let socket = OwnSocket::bind(&socket_in(tmp))?;
    Ok(tokio::spawn(async move {
        loop {
            // One after the other: each takes a moment.
            let stream = socket.accept().await;
            drop(tokio::time::timeout(REQUEST_TIMEOUT, answer(stream, &requests)).await);
        }
    }))
}

async fn answer(stream: UnixStream, requests: &mpsc::Sender<Asked>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = Vec::new();
    BufReader::new(read).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await?;
    let request: HoldRequest = serde_json::from_slice(&line)?;
    let (reply, replied) = oneshot::channel();
    if requests.send((request, reply)).await.is_err() {
        return Ok(());
    }
    if let Ok(reply) = replied.await {
        let mut text = serde_json::to_vec(&reply)?;
        text.push(b'\n');
        write.write_all(&text).await?;
    }
    Ok(())
}
