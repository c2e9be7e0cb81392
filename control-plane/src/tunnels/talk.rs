//! A WebSocket whose other end is a process that is talked to.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::pump::{Stop, close_with, pings};

/// Bytes of a frame.
const FRAME_BYTES: usize = 64 * 1024;

/// Silence after which the other end is taken for lost: it answers pings, but not while its reader stops.
const MAX_SILENCE: Duration = Duration::from_secs(600);

/// Passes bytes until the process has said all, or either may not any more, then says why. A reader that
/// stops makes the process stop.
pub(crate) async fn join_talk(
    socket: WebSocket,
    (stdin, stdout): (impl AsyncWrite + Unpin, impl AsyncRead + Unpin),
    stop: impl Future<Output = Stop>,
) -> Stop {
    let (mut to_task, from_task) = socket.split();
    let why = tokio::select! {
        why = stop => why,
        why = say_all(stdout, &mut to_task) => why,
        why = hear_all(from_task, stdin) => why,
    };
    close_with(&mut to_task, why).await;
    why
}

/// Passes on what the task says. An empty frame is its end.
async fn hear_all(
    mut from_task: impl Stream<Item = Result<Message, axum::Error>> + Unpin,
    stdin: impl AsyncWrite + Unpin,
) -> Stop {
    let mut stdin = Some(stdin);
    loop {
        match timeout(MAX_SILENCE, from_task.next()).await {
            Ok(Some(Ok(Message::Binary(bytes)))) => {
                let takes_more = match &mut stdin {
                    Some(stdin) if !bytes.is_empty() => stdin.write_all(&bytes).await.is_ok(),
                    _ => false,
                };
                // Either way it is still to be heard out.
                if !takes_more {
                    stdin = None;
                }
            }
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(Some(Ok(Message::Close(_))) | None) => return Stop::Closed,
            Ok(Some(Ok(Message::Text(_)))) => return Stop::Misused,
            Ok(Some(Err(_))) | Err(_) => return Stop::Lost,
        }
    }
}

/// Passes on what the process says, with pings between.
async fn say_all(
    mut stdout: impl AsyncRead + Unpin,
    to_task: &mut (impl Sink<Message> + Unpin),
) -> Stop {
    let mut pings = pings();
    let mut frame = vec![0; FRAME_BYTES];
    loop {
        let message = tokio::select! {
            read = stdout.read(&mut frame) => match read {
                Ok(0) | Err(_) => return Stop::Closed,
                Ok(count) => {
                    Message::Binary(frame.get(..count).unwrap_or_default().to_vec().into())
                }
            },
            _ = pings.tick() => Message::Ping(Default::default()),
        };
        if to_task.send(message).await.is_err() {
            return Stop::Lost;
        }
    }
}
