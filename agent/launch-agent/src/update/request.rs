//! One request to a source: to a server that may be asked, read up to a limit, and its failures in
//! words that say what to do.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Response, StatusCode};
use russet_platform::http::Failure;

use super::servers::{ServerError, Servers};

/// Timeout of a source's whole answer, archives apart.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// Reason why something could not be fetched. Nothing of it is the source's own text, but the name
/// of a server to which it leads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    /// The request failed.
    #[error(transparent)]
    Http(#[from] Failure),
    /// It is on a server that is not asked.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The source does not have it.
    #[error("it is not there")]
    Missing,
    /// The source wants credentials.
    #[error("the source refuses access ({0}); it has to be readable without credentials")]
    Denied(StatusCode),
    /// The source was asked too often.
    #[error(
        "the source limits how often this address may ask ({0}); it is asked again at the next look, \
         and a longer `update.interval` asks less often"
    )]
    Limited(StatusCode),
    /// The source has troubles of its own.
    #[error("the source answered {0}; look at its log")]
    Status(StatusCode),
    /// There is more than there should be.
    #[error("it is longer than {0} bytes")]
    TooLong(u64),
    /// There is no end of it.
    #[error("the list has no end in sight; its newest releases may be held back behind that")]
    EndlessList,
    /// It is something else.
    #[error("the list is not in the form of this kind of source; check `update.source`")]
    Form,
    /// It came too slowly.
    #[error(
        "it came too slowly and was given up; what came is kept, and the next look goes on from there"
    )]
    TooSlow,
    /// The manifest names it, the list does not.
    #[error("the release has no such file; upload it, and the manifest last")]
    NotListed,
}

/// Returns the error that a status stands for. `None`: there is an answer.
pub(super) fn status_error(response: &Response) -> Option<FetchError> {
    let (status, headers) = (response.status(), response.headers());
    let is_spent = headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0")
        || headers.contains_key(reqwest::header::RETRY_AFTER);
    match status {
        _ if status.is_success() => None,
        StatusCode::NOT_FOUND | StatusCode::GONE => Some(FetchError::Missing),
        StatusCode::TOO_MANY_REQUESTS => Some(FetchError::Limited(status)),
        StatusCode::FORBIDDEN if is_spent => Some(FetchError::Limited(status)),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(FetchError::Denied(status)),
        _ => Some(FetchError::Status(status)),
    }
}

/// Headers that ask for the bytes of a file, where a server has a description of it as well.
pub(super) fn binary() -> HeaderMap {
    HeaderMap::from_iter([(
        reqwest::header::ACCEPT,
        reqwest::header::HeaderValue::from_static("application/octet-stream"),
    )])
}

/// Fetches something small whole.
pub(super) async fn get(
    client: &Client,
    servers: &Servers,
    address: &str,
    headers: HeaderMap,
    max_bytes: u64,
) -> Result<(HeaderMap, Vec<u8>), FetchError> {
    let response = send(client, servers, address, headers).await?;
    match status_error(&response) {
        None => read_within(response, max_bytes).await,
        Some(error) => Err(error),
    }
}

/// Sends a request, and returns the answer before its body.
pub(super) async fn send(
    client: &Client,
    servers: &Servers,
    address: &str,
    headers: HeaderMap,
) -> Result<Response, FetchError> {
    let url = servers.check_address(address)?;
    let request = client.get(url).headers(headers).timeout(TIMEOUT);
    Ok(request.send().await.map_err(|error| Failure::of(&error))?)
}

/// Reads a body of bounded length.
pub(super) async fn read_within(
    mut response: Response,
    max_bytes: u64,
) -> Result<(HeaderMap, Vec<u8>), FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Failure::of(&error))? {
        body.extend_from_slice(&chunk);
        if u64::try_from(body.len()).unwrap_or(u64::MAX) > max_bytes {
            return Err(FetchError::TooLong(max_bytes));
        }
    }
    Ok((response.headers().clone(), body))
}
