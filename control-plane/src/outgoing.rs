//! Calls of this server to others over HTTP: to tools that hear of alerts, to a provider of OpenID
//! Connect, to a collector of traces.

use std::time::Duration;

use axum::http::{Request, Response};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, ClientBuilder};

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("it is not a request")]
    Request(#[source] reqwest::Error),
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

/// Makes a call, and reads its answer of at most `most` bytes.
pub(crate) async fn make_call<B: Into<Body>>(
    client: &Client,
    request: Request<B>,
    most: usize,
) -> Result<Response<Vec<u8>>, CallError> {
    let request = reqwest::Request::try_from(request).map_err(CallError::Request)?;
    let mut answer = client.execute(request).await.map_err(send_failed)?;
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(send_failed)? {
        if body.len() + part.len() > most {
            return Err(CallError::TooLong(most));
        }
        body.extend_from_slice(&part);
    }
    let mut read = Response::new(body);
    *read.status_mut() = answer.status();
    *read.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(read)
}

fn send_failed(error: reqwest::Error) -> CallError {
    // The address may have more in it than a log should.
    CallError::Send(russet_text::error_chain(&error.without_url()))
}
