//! Downloading an archive into a file that grows.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::RANGE;
use reqwest::{Method, StatusCode};

use super::{Failure, MOST_TRIES, Transfer, Wanted, refused_by};
use crate::task::api::{self, ApiError};
use crate::task::storage::growing::{Growing, Writer};
use russet_platform::http;

/// A connection that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(60);

/// Downloads all of it, however often it is cut off.
pub(super) async fn download_archive(
    tools: Transfer<'_>,
    wanted: Wanted<'_>,
    growing: &Arc<Growing>,
) -> Result<(), Failure> {
    const CALL: &str = "get the archive";
    let mut writer = Writer::new(growing);
    let mut backoff = http::backoff(Duration::from_millis(100), Duration::from_secs(5));
    let mut vain = 0;
    loop {
        let before = growing.written();
        let (why, asked) = match download_once(tools, wanted, &mut writer).await {
            Ok(()) if growing.written() == wanted.size => {
                writer.whole();
                return Ok(());
            }
            Ok(()) => ("it broke off".to_owned(), None),
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
    Final(Failure),
}

async fn download_once(
    tools: Transfer<'_>,
    wanted: Wanted<'_>,
    writer: &mut Writer,
) -> Result<(), Broken> {
    let offset = writer.written();
    if offset == wanted.size {
        return Ok(());
    }
    let transient = |error: reqwest::Error| Broken::Transient(api::describe(&error), None);
    let mut request = tools.api.request(Method::GET, wanted.path);
    if offset > 0 {
        request = request.header(RANGE, format!("bytes={offset}-"));
    }
    let response = tokio::time::timeout(SILENCE, request.send())
        .await
        .map_err(|_| Broken::Transient("no answer for a minute".to_owned(), None))?
        .map_err(transient)?;
    let status = response.status();
    if http::is_transient(status) {
        return Err(Broken::Transient(status.to_string(), http::retry_after(response.headers())));
    }
    // A server that answers the whole where the rest was asked for.
    let mut skip = match status {
        StatusCode::PARTIAL_CONTENT => 0,
        StatusCode::OK => offset,
        _ => return Err(Broken::Final(refused_by("get the archive", response).await)),
    };
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
