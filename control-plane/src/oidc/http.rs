//! Calls to a provider: ten seconds, and a megabyte.

use std::time::Duration;

use openidconnect::{HttpRequest, HttpResponse};

use crate::outgoing::{self, CallError};

/// Timeout of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// A provider does not answer as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("it answers that the document is elsewhere")]
    Redirect,
}

/// Makes the client.
pub(super) fn new_client() -> Result<reqwest::Client, CallError> {
    outgoing::client_builder(CALL_TIMEOUT).build().map_err(CallError::Request)
}

/// Makes a call.
pub(super) async fn call(
    client: reqwest::Client,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let answer = outgoing::make_call(&client, request, MAX_ANSWER_BYTES).await?;
    if answer.status().is_redirection() { Err(HttpError::Redirect) } else { Ok(answer) }
}
