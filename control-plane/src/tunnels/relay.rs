//! A person's connection that another server joins: bytes are passed to it as they are.
//!
//! Threat: that server trusts nothing of this one. It gets the person's own token and decides itself. What is
//! dialled is what a server of the same database wrote there about itself, never what a caller says.

use std::io;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use axum::response::{IntoResponse as _, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use reqwest::Upgraded;
use reqwest::redirect::Policy;
use russet_protocol::ADMIN_TOKEN_HEADER;
use russet_protocol::problem::Problem;

/// Header of a connection that another server passes on: it is passed on no further.
pub(crate) const RELAYED_HEADER: &str = "russet-relayed";

/// Timeout of the call to the other server. It waits for the agent longer than the person's server does.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Timeout of the connection to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Header with the proof that a WebSocket was meant (RFC 6455, section 4.2.2).
const ACCEPT: HeaderName = axum::http::header::SEC_WEBSOCKET_ACCEPT;

/// Headers of the person that are passed on: the token, and those of the WebSocket.
const PASSED: [&str; 4] =
    ["authorization", ADMIN_TOKEN_HEADER, "sec-websocket-key", "sec-websocket-version"];

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

/// A connection that another server has taken.
#[derive(Debug)]
pub(crate) struct Dialled {
    bytes: Upgraded,
    /// Proof for the person's end that a WebSocket was meant.
    accept: Option<HeaderValue>,
}

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
) -> Result<Dialled, RelayError> {
    let unreachable = |error: reqwest::Error| {
        let error = russet_text::error_chain(&error.without_url());
        RelayError::Unreachable(peer_url.to_owned(), error)
    };
    let mut request = http
        .get(format!("{peer_url}{path}"))
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(RELAYED_HEADER, "1")
        .header("x-forwarded-for", client);
    for name in PASSED {
        if let Some(value) = headers.get(name) {
            let mut value = value.clone();
            value.set_sensitive(name == AUTHORIZATION.as_str() || name == ADMIN_TOKEN_HEADER);
            request = request.header(name, value);
        }
    }
    let answer = match tokio::time::timeout(CALL_TIMEOUT, request.send()).await {
        Ok(answer) => answer.map_err(unreachable)?,
        Err(_) => {
            let seconds = CALL_TIMEOUT.as_secs();
            let words = format!("it did not answer within {seconds} s");
            return Err(RelayError::Unreachable(peer_url.to_owned(), words));
        }
    };
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = answer.status();
        let problem = answer.json::<Problem>().await;
        let words = problem.map_or_else(|_| status.to_string(), |problem| problem.message);
        return Err(RelayError::Refused(peer_url.to_owned(), words));
    }
    let accept = answer.headers().get(ACCEPT).cloned();
    Ok(Dialled { bytes: answer.upgrade().await.map_err(unreachable)?, accept })
}

impl Dialled {
    /// Returns the answer to the person whose connection is to be passed on, and the other server's end.
    pub(crate) fn into_answer(self) -> (Response, Upgraded) {
        let mut answer = StatusCode::SWITCHING_PROTOCOLS.into_response();
        let headers = answer.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Some(accept) = self.accept {
            headers.insert(ACCEPT, accept);
        }
        (answer, self.bytes)
    }
}

/// Passes bytes between a person's connection and another server until one of them ends.
pub(crate) async fn pass_bytes(person: OnUpgrade, mut peer: Upgraded) -> io::Result<()> {
    let person = person.await.map_err(io::Error::other)?;
    let mut person = TokioIo::new(person);
    tokio::io::copy_bidirectional(&mut person, &mut peer).await.map(drop)
}
