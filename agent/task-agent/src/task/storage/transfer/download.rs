//! Downloading an archive into a file that grows.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::{LOCATION, RANGE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use russet_protocol::DIRECT_HEADER;

use super::{Failure, MOST_TRIES, Transfer, Wanted, refused_by};
use crate::task::api::{self, ApiError};
use crate::task::storage::growing::{Growing, Writer};
use russet_platform::http;

/// A connection that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(60);

/// Downloads all of it, however often it is cut off. With `may_go_elsewhere` from the store of objects,
/// where the control plane sends us there, until that fails once.
pub(super) async fn download_archive(
    tools: Transfer<'_>,
    wanted: Wanted<'_>,
    growing: &Arc<Growing>,
    mut may_go_elsewhere: bool,
) -> Result<(), Failure> {
    const CALL: &str = "get the archive";
    let mut writer = Writer::new(growing);
    let mut backoff = http::backoff(Duration::from_millis(100), Duration::from_secs(5));
    let mut vain = 0;
    loop {
        let before = growing.written();
        let tried = download_once(tools, wanted, &mut writer, may_go_elsewhere).await;
        let (why, asked) = match tried {
            Ok(()) if growing.written() == wanted.size => {
                writer.whole();
                return Ok(());
            }
            Ok(()) => ("it broke off".to_owned(), None),
            Err(Broken::Elsewhere(why)) => {
                tracing::info!(why, "the archive is fetched through the control plane");
                may_go_elsewhere = false;
                continue;
            }
            Err(Broken::Final(failure)) => return Err(failure),
            Err(Broken::Transient(why, asked)) => (why, asked),
        };
        if growing.ended().is_some() {
            // Nobody reads any more.
            return Ok(());
        }
        vain = if growing.written() > before { 0 } else { vain + 1 };
        if vain >= MOST_TRIES {
            return Err(Failure::from(ApiError::GaveUp { call: CALL, last: why }));
        }
        tools.api.pause(CALL, &mut backoff, asked, why).await.map_err(Failure::from)?;
    }
}

enum Broken {
    Transient(String, Option<Duration>),
    /// The store of objects, where the control plane sent us, does not serve.
    Elsewhere(String),
    Final(Failure),
}

async fn download_once(
    tools: Transfer<'_>,
    wanted: Wanted<'_>,
    writer: &mut Writer,
    may_go_elsewhere: bool,
) -> Result<(), Broken> {
    let offset = writer.written();
    if offset == wanted.size {
        return Ok(());
    }
    let transient = |error: reqwest::Error| Broken::Transient(api::describe(&error), None);
    let mut request = from_offset(tools.api.request(Method::GET, wanted.path), offset);
    if may_go_elsewhere {
        request = request.header(DIRECT_HEADER, "true");
    }
    let response = tokio::time::timeout(SILENCE, request.send())
        .await
        .map_err(|_| Broken::Transient("no answer for a minute".to_owned(), None))?
        .map_err(transient)?;
    let status = response.status();
    if status == StatusCode::TEMPORARY_REDIRECT && may_go_elsewhere {
        let response = ask_elsewhere(tools, &response, offset).await?;
        let elsewhere = |broken| match broken {
            Broken::Transient(why, _) => Broken::Elsewhere(why),
            other => other,
        };
        return receive(wanted, writer, response, offset).await.map_err(elsewhere);
    }
    if http::is_transient(status) {
        return Err(Broken::Transient(status.to_string(), http::retry_after(response.headers())));
    }
    if !matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        return Err(Broken::Final(refused_by("get the archive", response).await));
    }
    receive(wanted, writer, response, offset).await
}

fn from_offset(request: RequestBuilder, offset: u64) -> RequestBuilder {
    if offset > 0 { request.header(RANGE, format!("bytes={offset}-")) } else { request }
}

/// Asks the store of objects that an answer leads to, with nothing of ours but the URL.
async fn ask_elsewhere(
    tools: Transfer<'_>,
    redirect: &Response,
    offset: u64,
) -> Result<Response, Broken> {
    let url = redirect.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let url = url.ok_or_else(|| Broken::Elsewhere("a redirect leads nowhere".to_owned()))?;
    let request = from_offset(tools.api.elsewhere(url).map_err(Broken::Elsewhere)?, offset);
    let response = tokio::time::timeout(SILENCE, request.send())
        .await
        .map_err(|_| Broken::Elsewhere("the store of objects is silent".to_owned()))?
        // The URL gives a right to read.
        .map_err(|error| Broken::Elsewhere(api::describe(&error.without_url())))?;
    match response.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
        status => Err(Broken::Elsewhere(format!("the store of objects answered {status}"))),
    }
}

/// Writes what comes behind what is there.
async fn receive(
    wanted: Wanted<'_>,
    writer: &mut Writer,
    response: Response,
    offset: u64,
) -> Result<(), Broken> {
    let transient =
        |error: reqwest::Error| Broken::Transient(api::describe(&error.without_url()), None);
    // A server that answers the whole where the rest was asked for.
    let mut skip = if response.status() == StatusCode::OK { offset } else { 0 };
    let mut stream = response.bytes_stream();
    loop {
        let mut piece = match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(piece)) => piece.map_err(transient)?,
            Err(_) => {
                let why = "nothing arrived for a minute".to_owned();
                return Err(Broken::Transient(why, None));
            }
        };
        let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
        skip -= skipped as u64;
        drop(piece.split_to(skipped));
        if writer.written() + piece.len() as u64 > wanted.size {
            return Err(Broken::Final(Failure::Other("more arrives than was stored".to_owned())));
        }
        let mut out = &mut *writer;
        if let Err(error) = out.write_all(&piece) {
            let why = format!("could not write the archive to disk: {error}");
            return Err(Broken::Final(Failure::Other(why)));
        }
    }
}
