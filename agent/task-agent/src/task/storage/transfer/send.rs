//! Packing and sending.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use russet_protocol::storage::{ARCHIVES_PATH, Uploaded};

use super::{Failure, MOST_TRIES, Transfer, refused_by};
use crate::archive::{self, Packed, Root};
use crate::task::api::{self, ApiError};
use crate::task::storage::growing::{End, Growing, Writer};
use crate::task::storage::local::Draft;
use russet_platform::http;

/// A try may take this long, and longer for large archives: the slowest uplink that is waited for
/// has 100 kB/s. While it is still packed nobody knows how large it is going to be.
const SHORTEST_CALL: Duration = Duration::from_secs(120);
const SLOWEST_BYTES_PER_SECOND: u64 = 100_000;
const WHILE_PACKING: Duration = Duration::from_secs(6 * 3600);

/// Summary of a sent archive.
#[derive(Debug)]
pub(in crate::task::storage) struct Sent<'a> {
    pub(in crate::task::storage) packed: Packed,
    pub(in crate::task::storage) archive: Uploaded,
    growing: Arc<Growing>,
    draft: Draft<'a>,
}

impl Sent<'_> {
    /// The control plane has named it: it is worth keeping here.
    pub(in crate::task::storage) fn keep(self) {
        self.draft.keep(&self.archive.blake3);
    }
}

/// Packs and sends.
pub(in crate::task::storage) async fn send_archive(
    tools: Transfer<'_>,
    roots: Vec<Root>,
) -> Result<Sent<'_>, Failure> {
    let (draft, file) = tools.local.draft(tools.spool).map_err(|error| {
        Failure::Other(format!("could not make a file for the archive: {error}"))
    })?;
    let growing = Growing::new(file);
    let packing = tokio::task::spawn_blocking({
        let growing = Arc::clone(&growing);
        move || pack_roots(&roots, &growing)
    });
    let sent = tokio::select! {
        sent = upload_archive(tools, &growing) => sent,
        () = tools.stop.requested() => Err(Failure::Stopped),
    };
    if sent.is_err() {
        growing.end(End::Abandoned);
    }
    let packed = packing.await.map_err(|error| Failure::Other(error.to_string()));
    let archive = sent?;
    let packed = packed?.map_err(|error| Failure::Other(error.to_string()))?;
    Ok(Sent { packed, archive, growing, draft })
}

/// Sends once more what a server that was restarted meanwhile no longer has.
pub(in crate::task::storage) async fn send_again(
    tools: Transfer<'_>,
    sent: &mut Sent<'_>,
) -> Result<(), Failure> {
    sent.archive = tokio::select! {
        archive = upload_archive(tools, &sent.growing) => archive?,
        () = tools.stop.requested() => return Err(Failure::Stopped),
    };
    Ok(())
}

fn pack_roots(roots: &[Root], growing: &Arc<Growing>) -> io::Result<Packed> {
    let mut writer = Writer::new(growing);
    let packed = archive::compress(&mut writer, |out| archive::pack(roots, out));
    match &packed {
        Ok(_) => writer.whole(),
        Err(error) => growing.end(End::Failed(error.to_string())),
    }
    packed
}

async fn upload_archive(tools: Transfer<'_>, growing: &Arc<Growing>) -> Result<Uploaded, Failure> {
    const CALL: &str = "store the archive";
    let mut backoff = http::backoff(Duration::from_millis(100), Duration::from_secs(5));
    let mut last = String::new();
    for _ in 0..MOST_TRIES {
        let request = tools.api.request(Method::PUT, ARCHIVES_PATH).body(growing.body());
        let limit = match growing.ended() {
            None => WHILE_PACKING,
            Some(_) => {
                let seconds = growing.written() / SLOWEST_BYTES_PER_SECOND;
                SHORTEST_CALL.max(Duration::from_secs(seconds))
            }
        };
        let answer = request.timeout(limit).send().await;
        if let Some(End::Failed(why)) = growing.ended() {
            return Err(Failure::Other(why));
        }
        let asked = match answer {
            Ok(response) if response.status() == StatusCode::OK => {
                let uploaded = response.json::<Uploaded>().await;
                let whole = growing.wait().await;
                match uploaded {
                    Ok(uploaded) if End::Whole(uploaded.blake3.clone()) == whole => {
                        return Ok(uploaded);
                    }
                    Ok(_) => last = "it arrived damaged".to_owned(),
                    Err(error) => last = api::describe(&error),
                }
                None
            }
            Ok(response) if http::is_transient(response.status()) => {
                let asked = http::retry_after(response.headers());
                last = response.status().to_string();
                asked
            }
            Ok(response) => return Err(refused_by(CALL, response).await),
            Err(error) => {
                last = api::describe(&error);
                None
            }
        };
        // What is still packed is not begun anew for every hiccup: the rest of it first.
        if let End::Failed(why) = growing.wait().await {
            return Err(Failure::Other(why));
        }
        tools.api.pause(CALL, &mut backoff, asked, last.clone()).await.map_err(Failure::from)?;
    }
    Err(Failure::from(ApiError::GaveUp { call: CALL, last }))
}
