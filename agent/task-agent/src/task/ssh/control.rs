//! Requests of people within the task: `circleci-agent ssh extend` and `end`, over a socket in the
//! task's own `TMPDIR`.
//!
//! Whoever reaches it is the slot's user, as every step is: it can no more than a step that sleeps or
//! exits can. The kernel is asked all the same, for a user whose slots are not theirs alone.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::hold_request::{HoldReply, HoldRequest, MAX_LINE_BYTES, socket_in};

/// Time for a request to be made.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// A request, and where its answer goes.
pub(super) type Asked = (HoldRequest, oneshot::Sender<HoldReply>);

/// Listens, and passes requests on until it is dropped. The socket goes with the task's directories.
pub(super) fn listen(
    tmp: &Path,
    requests: mpsc::Sender<Asked>,
) -> io::Result<tokio::task::JoinHandle<()>> {
    let path: PathBuf = socket_in(tmp);
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(tokio::spawn(async move {
        loop {
            match listener.accept().await {
                // One after the other: each takes a moment.
                Ok((stream, _)) if is_own(&stream) => {
                    drop(tokio::time::timeout(REQUEST_TIMEOUT, answer(stream, &requests)).await);
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }))
}

fn is_own(stream: &UnixStream) -> bool {
    let me = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == me)
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
