//! WebSockets over connections that an HTTP client made: they take its relay, its certificates and
//! its proxy, as every other call does.
//!
//! A WebSocket here carries a stream of bytes: binary frames, each forwarded before the next one is
//! read, so that whoever is slow slows the other end down and nothing piles up in between.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, Stream, StreamExt as _};
use reqwest::header::{CONNECTION, UPGRADE};
use reqwest::{RequestBuilder, StatusCode, Upgraded};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::Failure;

/// Time between pings, which keep the entries of NATs and proxies alive.
const PING_INTERVAL: Duration = Duration::from_secs(25);

/// Time without any frame after which the other end is gone: it answers pings.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(80);

/// Timeout of the answer to a request for a WebSocket.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Timeout of the last frames once one direction has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a frame that we send.
const FRAME_BYTES: usize = 32 * 1024;

/// Bytes of a frame that we take.
const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// Bytes of a refusal that are read.
const MAX_REFUSAL_BYTES: usize = 16 * 1024;

/// A WebSocket over a connection that reqwest made.
pub type WebSocket = WebSocketStream<Upgraded>;

/// Reason why there is no WebSocket, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// The request did not reach the server, or its answer did not reach us.
    #[error("{0}")]
    Request(Failure),
    /// The server judged the request, and did not switch to WebSocket.
    #[error("the server answered {status} instead of opening a WebSocket")]
    Refused {
        /// Status of the answer.
        status: StatusCode,
        /// Beginning of the answer's body.
        body: Vec<u8>,
    },
    /// The answer switches to something else, or comes from a cache.
    #[error("the answer does not belong to this request; a proxy on the way knows no WebSockets")]
    NotOurs,
    /// The connection broke, or what comes is not WebSocket.
    #[error("the WebSocket broke off: {0}")]
    Broken(String),
    /// The other end closed it, and said why.
    #[error("the other end closed the WebSocket{}", said(.reason))]
    Closed {
        /// Code of the close frame (RFC 6455, 7.4), where there was one.
        code: Option<u16>,
        /// Reason, for people; may be empty.
        reason: String,
    },
    /// Nothing came for a long time, not even answers to pings.
    #[error("the other end of the WebSocket has gone silent")]
    Silent,
    /// The local end of the stream failed.
    #[error("could not pass on what came through the WebSocket: {0}")]
    Local(std::io::Error),
}

fn said(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

impl WebSocketError {
    fn closed(frame: Option<CloseFrame>) -> Self {
        let code = frame.as_ref().map(|frame| frame.code.into());
        let reason = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
        Self::Closed { code, reason }
    }
}

impl From<Error> for WebSocketError {
    fn from(error: Error) -> Self {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Self::closed(None),
            other => Self::Broken(other.to_string()),
        }
    }
}

/// Sends `request`, a `GET` with its credentials, as the opening of a WebSocket.
///
/// # Errors
/// As [`WebSocketError`] says; `Refused` has the server's own answer.
pub async fn open_websocket(request: RequestBuilder) -> Result<WebSocket, WebSocketError> {
    let key = generate_key();
    let request = request
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", &key);
    let slow = |_| WebSocketError::Request(Failure::Slow);
    let answer = timeout(OPEN_TIMEOUT, request.send()).await.map_err(slow)?;
    let answer = answer.map_err(|error| WebSocketError::Request(Failure::of(&error)))?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(read_refusal(answer).await);
    }
    // Proves that whoever answers has read this very request (RFC 6455, 4.1).
    let accepted = answer.headers().get("sec-websocket-accept");
    if accepted.is_none_or(|accepted| accepted != derive_accept_key(key.as_bytes()).as_str()) {
        return Err(WebSocketError::NotOurs);
    }
    let upgraded = answer.upgrade().await;
    let upgraded = upgraded.map_err(|error| WebSocketError::Request(Failure::of(&error)))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(FRAME_BYTES * 2)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_FRAME_BYTES * 2)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    Ok(WebSocket::from_raw_socket(upgraded, Role::Client, Some(config)).await)
}

async fn read_refusal(mut answer: reqwest::Response) -> WebSocketError {
    let status = answer.status();
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(part)) = answer.chunk().await {
            let room = MAX_REFUSAL_BYTES - body.len();
            body.extend_from_slice(&part[..part.len().min(room)]);
            if body.len() == MAX_REFUSAL_BYTES {
                break;
            }
        }
    };
    // Its status says enough where the rest does not come.
    drop(timeout(CLOSE_TIMEOUT, reading).await);
    WebSocketError::Refused { status, body }
}

/// Waits for a frame of text, and keeps the WebSocket alive meanwhile. May be dropped and called
/// again.
///
/// # Errors
/// The WebSocket ended, or a binary frame came.
pub async fn wait_for_text(socket: &mut WebSocket) -> Result<String, WebSocketError> {
    let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    let mut last_heard = Instant::now();
    loop {
        tokio::select! {
            frame = next_frame(socket) => {
                last_heard = Instant::now();
                match frame? {
                    Message::Text(text) => return Ok(text.to_string()),
                    Message::Binary(_) => {
                        return Err(WebSocketError::Broken("bytes came before their time".to_owned()));
                    }
                    _ => {}
                }
            }
            _ = pings.tick() => {
                if last_heard.elapsed() > SILENCE_TIMEOUT {
                    return Err(WebSocketError::Silent);
                }
                socket.send(Message::Ping(Bytes::new())).await?;
            }
        }
    }
}

/// Returns the next frame. The end of the WebSocket is an error, which says how it ended.
async fn next_frame(
    socket: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
) -> Result<Message, WebSocketError> {
    let frame = timeout(SILENCE_TIMEOUT, socket.next()).await;
    match frame.map_err(|_| WebSocketError::Silent)? {
        Some(Ok(Message::Close(frame))) => Err(WebSocketError::closed(frame)),
        Some(frame) => Ok(frame?),
        None => Err(WebSocketError::closed(None)),
    }
}

/// End of a stream over a WebSocket, and the bytes that went through it.
#[derive(Debug)]
pub struct Pumped {
    /// Bytes that were sent to the other end.
    pub sent: u64,
    /// Bytes that came from it.
    pub received: u64,
    /// Set where it did not end by itself: the local stream's end, or a close of the other end
    /// without a reason.
    pub error: Option<WebSocketError>,
}

/// Passes bytes between `socket` and `local` until either has ended.
///
/// When `local` ends, the WebSocket is closed; what the other end still sends before it agrees is
/// passed on.
pub async fn pump<L>(socket: WebSocket, local: L) -> Pumped
where
    L: AsyncRead + AsyncWrite + Unpin,
{
    // The other end agrees, and may have something on its way until it does.
    pump_until(socket, local, Message::Close(None), CLOSE_TIMEOUT).await
}

/// Passes bytes between `socket` and `local` until the other end has said all, also where `local` has
/// before: an empty frame says so, and the answer to it may take its time.
pub async fn pump_talk<L>(socket: WebSocket, local: L) -> Pumped
where
    L: AsyncRead + AsyncWrite + Unpin,
{
    pump_until(socket, local, Message::Binary(Bytes::new()), Duration::MAX).await
}

/// Passes bytes. When `local` ends, `last` says so, and what still comes within `rest` is passed on.
async fn pump_until<L>(socket: WebSocket, local: L, last: Message, rest: Duration) -> Pumped
where
    L: AsyncRead + AsyncWrite + Unpin,
{
    let (to_socket, from_socket) = socket.split();
    let (from_local, to_local) = tokio::io::split(local);
    let (mut sent, mut received) = (0, 0);
    let ended = {
        let sending = send_all(from_local, to_socket, last, &mut sent);
        let receiving = receive_all(from_socket, to_local, &mut received);
        tokio::pin!(sending, receiving);
        tokio::select! {
            sent = &mut sending => match sent {
                Ok(()) => timeout(rest, &mut receiving).await.unwrap_or(Ok(())),
                Err(error) => Err(error),
            },
            received = &mut receiving => received,
        }
    };
    let error = match ended {
        Err(WebSocketError::Closed { reason, .. }) if reason.is_empty() => None,
        ended => ended.err(),
    };
    Pumped { sent, received, error }
}

/// Sends what `local` has, with pings between, and `last` at its end.
async fn send_all(
    mut local: impl AsyncRead + Unpin,
    mut socket: SplitSink<WebSocket, Message>,
    last: Message,
    sent: &mut u64,
) -> Result<(), WebSocketError> {
    let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    let mut buffer = vec![0; FRAME_BYTES];
    loop {
        tokio::select! {
            read = local.read(&mut buffer) => match read.map_err(WebSocketError::Local)? {
                0 => {
                    socket.send(last).await?;
                    return Ok(());
                }
                length => {
                    let frame = Bytes::copy_from_slice(&buffer[..length]);
                    socket.send(Message::Binary(frame)).await?;
                    *sent += length as u64;
                }
            },
            _ = pings.tick() => socket.send(Message::Ping(Bytes::new())).await?,
        }
    }
}

/// Writes what comes to `local`. The end of the WebSocket is the end of what `local` reads.
async fn receive_all(
    mut socket: SplitStream<WebSocket>,
    mut local: impl AsyncWrite + Unpin,
    received: &mut u64,
) -> Result<(), WebSocketError> {
    let ended = loop {
        match next_frame(&mut socket).await {
            Ok(Message::Binary(bytes)) => {
                local.write_all(&bytes).await.map_err(WebSocketError::Local)?;
                local.flush().await.map_err(WebSocketError::Local)?;
                *received += bytes.len() as u64;
            }
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    // Best effort: what is local may have gone first.
    drop(local.shutdown().await);
    ended
}

#[cfg(test)]
mod tests;
