//! A person's connection that another server joins: frames are passed to it one by one.
//!
//! Threat: that server trusts nothing of this one. It gets the person's own token and decides itself. What is
//! dialled is what a server of the same database wrote there about itself, never what a caller says.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use axum::http::header::{CONNECTION, HeaderMap, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use axum::http::{HeaderName, StatusCode};
use futures_util::{SinkExt as _, StreamExt as _, future};
use reqwest::redirect::Policy;
use reqwest::{Response, Upgraded};
use russet_protocol::ADMIN_TOKEN_HEADER;
use russet_protocol::problem::Problem;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message as PeerMessage, protocol::CloseFrame as PeerClose};

use super::pump::{Stop, join_with_peer};
use super::{MAX_BUFFER_BYTES, MAX_MESSAGE_BYTES};

/// Header of a connection that another server passes on: it is passed on no further.
pub(crate) const RELAYED_HEADER: &str = "russet-relayed";

/// Timeout of the call to the other server. It waits for the agent longer than the person's server does.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Timeout of the connection to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Headers of the person that are passed on: the token.
const PASSED: [&str; 2] = ["authorization", ADMIN_TOKEN_HEADER];

/// Reason why another server does not take a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("the control plane cannot dial its other servers: {0}")]
    Client(String),
    #[error("the control plane server at {0}, where the task waits, cannot be reached: {1}")]
    Unreachable(String, String),
    #[error("the control plane server at {0}, where the task waits, answers: {1}")]
    Refused(String, String),
}

/// WebSocket of another server, which has taken a connection.
pub(crate) type PeerSocket = WebSocketStream<Upgraded>;

/// Makes the client that dials other servers. A connection that was dialled is one of SSH and of nothing
/// after it, so none is kept.
pub(super) fn new_client() -> Result<reqwest::Client, RelayError> {
    reqwest::Client::builder()
        .redirect(Policy::none())
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(0)
        .no_proxy()
        .build()
        .map_err(|error| RelayError::Client(russet_text::error_chain(&error)))
}

/// Dials another server at its address, for a path with its query, in the name of the one whose headers
/// these are.
pub(crate) async fn dial_peer(
    http: &reqwest::Client,
    peer_url: &str,
    path: &str,
    headers: &HeaderMap,
    client: &str,
) -> Result<PeerSocket, RelayError> {
    let unreachable = |words: String| RelayError::Unreachable(peer_url.to_owned(), words);
    let failed =
        |error: reqwest::Error| unreachable(russet_text::error_chain(&error.without_url()));
    let key = generate_key();
    let mut request = http
        .get(format!("{peer_url}{path}"))
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", &key)
        .header(RELAYED_HEADER, "1")
        .header("x-forwarded-for", client);
    for (name, value) in PASSED.iter().filter_map(|name| Some((name, headers.get(*name)?))) {
        let mut value = value.clone();
        value.set_sensitive(true);
        request = request.header(HeaderName::from_static(name), value);
    }
    let answer = match tokio::time::timeout(CALL_TIMEOUT, request.send()).await {
        Ok(answer) => answer.map_err(failed)?,
        Err(_) => {
            let seconds = CALL_TIMEOUT.as_secs();
            return Err(unreachable(format!("it did not answer within {seconds} s")));
        }
    };
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(RelayError::Refused(peer_url.to_owned(), read_refusal(answer).await));
    }
    if !has_accepted(&answer, &key) {
        return Err(unreachable("its answer is not that of a WebSocket".to_owned()));
    }
    let bytes = answer.upgrade().await.map_err(failed)?;
    Ok(PeerSocket::from_raw_socket(bytes, Role::Client, Some(limits())).await)
}

/// Returns true if whoever switches to a WebSocket has read this very request (RFC 6455, section 4.1).
fn has_accepted(answer: &Response, key: &str) -> bool {
    let accepted = answer.headers().get(SEC_WEBSOCKET_ACCEPT);
    accepted.is_some_and(|it| it == derive_accept_key(key.as_bytes()).as_str())
}

async fn read_refusal(answer: Response) -> String {
    let status = answer.status();
    let problem = answer.json::<Problem>().await;
    problem.map_or_else(|_| status.to_string(), |problem| problem.message)
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .write_buffer_size(MAX_BUFFER_BYTES)
        .max_write_buffer_size(MAX_BUFFER_BYTES + MAX_MESSAGE_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

/// Passes bytes between a person's connection and another server until one of them ends or `stop` is done.
pub(crate) async fn join_peer(
    person: WebSocket,
    peer: PeerSocket,
    stop: impl Future<Output = Stop>,
) -> Stop {
    let (to_peer, from_peer) = peer.split();
    let to_peer = to_peer
        .sink_map_err(axum::Error::new)
        .with(|message| future::ready(Ok::<_, axum::Error>(for_peer(message))));
    let from_peer = from_peer.filter_map(|message| {
        future::ready(match message {
            Ok(message) => of_peer(message).map(Ok),
            Err(error) => Some(Err(axum::Error::new(error))),
        })
    });
    join_with_peer(person, (to_peer, from_peer), stop).await
}

fn for_peer(message: Message) -> PeerMessage {
    match message {
        Message::Text(text) => PeerMessage::text(text.as_str()),
        Message::Binary(bytes) => PeerMessage::Binary(bytes),
        Message::Ping(bytes) => PeerMessage::Ping(bytes),
        Message::Pong(bytes) => PeerMessage::Pong(bytes),
        Message::Close(frame) => PeerMessage::Close(frame.map(|frame| PeerClose {
            code: frame.code.into(),
            reason: frame.reason.as_str().into(),
        })),
    }
}

/// Returns a message of another server; none for a part of one, which is never read.
fn of_peer(message: PeerMessage) -> Option<Message> {
    Some(match message {
        PeerMessage::Text(text) => Message::Text(text.as_str().into()),
        PeerMessage::Binary(bytes) => Message::Binary(bytes),
        PeerMessage::Ping(bytes) => Message::Ping(bytes),
        PeerMessage::Pong(bytes) => Message::Pong(bytes),
        PeerMessage::Close(frame) => Message::Close(frame.map(|frame| CloseFrame {
            code: frame.code.into(),
            reason: frame.reason.as_str().into(),
        })),
        PeerMessage::Frame(_) => return None,
    })
}
