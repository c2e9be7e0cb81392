//! Calls of this server to others over HTTP: to tools that hear of alerts, to a provider of OpenID
//! Connect, to a collector of traces, to hosts of repositories.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, ClientBuilder};

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("it is not a request")]
    Request(#[source] reqwest::Error),
    /// Nothing was sent.
    #[error("{0}")]
    Connect(String),
    #[error("{0}")]
    Send(String),
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

/// Begins a client whose calls take at most `limit` each.
///
/// Threat: a redirect could lead to an address within the owner's network, so none is followed.
pub(crate) fn client_builder(limit: Duration) -> ClientBuilder {
    Client::builder()
        .redirect(Policy::none())
        .timeout(limit)
        .user_agent(concat!("russet/", env!("CARGO_PKG_VERSION")))
}

/// Choice among the addresses that a name has.
type Choice = dyn Fn(&str, &[SocketAddr]) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>>
    + Send
    + Sync;

/// Resolver of the system, without the addresses that are never called: a name could be theirs.
#[derive(Clone)]
pub(crate) struct CheckedResolver(Arc<Choice>);

impl CheckedResolver {
    /// Makes one that connects to the addresses that `choose` returns, of those that were found.
    pub(crate) fn new(
        choose: impl Fn(&str, &[SocketAddr]) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(choose))
    }
}

impl fmt::Debug for CheckedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckedResolver")
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let choose = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(choose(name.as_str(), &found)?.into_iter()) as Addrs)
        })
    }
}

/// Makes a call, and reads its answer of at most `most` bytes.
pub(crate) async fn make_call<B: Into<Body>>(
    client: &Client,
    request: Request<B>,
    most: usize,
) -> Result<Response<Vec<u8>>, CallError> {
    let request = reqwest::Request::try_from(request).map_err(CallError::Request)?;
    let mut answer = client.execute(request).await.map_err(send_failed)?;
    let mut read = Response::new(read_bounded(&mut answer, most).await?);
    *read.status_mut() = answer.status();
    *read.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(read)
}

/// Reads an answer of at most `most` bytes.
pub(crate) async fn read_bounded(
    answer: &mut reqwest::Response,
    most: usize,
) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(send_failed)? {
        if body.len() + part.len() > most {
            return Err(CallError::TooLong(most));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

pub(crate) fn send_failed(error: reqwest::Error) -> CallError {
    let is_connect = error.is_connect();
    // The address may have more in it than a log should.
    let text = russet_text::error_chain(&error.without_url());
    if is_connect { CallError::Connect(text) } else { CallError::Send(text) }
}
