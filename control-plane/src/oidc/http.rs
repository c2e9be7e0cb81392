//! Calls to a provider, with our own client: no redirects, ten seconds, and a megabyte.

use std::time::Duration;

use openidconnect::{HttpRequest, HttpResponse, http};
use reqwest::redirect::Policy;

/// Timeout of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("it is not a request")]
    Request(#[source] reqwest::Error),
    #[error("{0}")]
    Send(String),
    #[error("the answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    #[error("it answers that the document is elsewhere")]
    Redirect,
    #[error("the answer is not one")]
    Answer(#[source] http::Error),
}

/// Makes the client. Threat: a redirect could lead to an address within the owner's network.
pub(super) fn new_client() -> Result<reqwest::Client, CallError> {
    reqwest::Client::builder()
        .redirect(Policy::none())
        .timeout(CALL_TIMEOUT)
        .user_agent(concat!("russet/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(CallError::Request)
}

fn failed(error: reqwest::Error) -> CallError {
    // The address is in the log already, and may have more in it than a log should.
    CallError::Send(russet_text::error_chain(&error.without_url()))
}

/// Makes a call.
pub(super) async fn call(
    client: reqwest::Client,
    request: HttpRequest,
) -> Result<HttpResponse, CallError> {
    let request = reqwest::Request::try_from(request).map_err(CallError::Request)?;
    let mut answer = client.execute(request).await.map_err(failed)?;
    if answer.status().is_redirection() {
        return Err(CallError::Redirect);
    }
    let mut built = http::Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        built = built.header(name, value);
    }
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(failed)? {
        if body.len() + part.len() > MAX_ANSWER_BYTES {
            return Err(CallError::TooLong);
        }
        body.extend_from_slice(&part);
    }
    built.body(body).map_err(CallError::Answer)
}
