//! A snapshot that was submitted with the pipeline, unpacked while it arrives.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::{Method, StatusCode};
use russet_protocol::ids::SourceId;
use tokio::sync::mpsc;

use super::extract::{self, Unpacked};
use crate::task::api::{self, Api, ApiError};
use crate::task::journal::StepOutput;
use russet_platform::http;

/// A connection that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(60);

/// Pieces between the network and the unpacking, which bounds memory.
const QUEUE: usize = 16;

/// Tries of a snapshot that arrives damaged. More would not help.
const MOST_TRIES: u32 = 5;

/// Reason why a snapshot was not unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("the snapshot is not the one that was submitted")]
    Damaged,
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Unpack(#[from] io::Error),
    #[error("unpacking failed: {0}")]
    Cut(tokio::task::JoinError),
}

/// Reason why a body ended early.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("{0}")]
    Broken(String),
    #[error("nothing arrived for a minute")]
    Silent,
}

/// Reason why a try did not succeed.
enum Failed {
    /// Another try may, after the pause that the server asks for, if it does.
    Transient(String, Option<Duration>),
    /// It arrived whole and is not what was submitted.
    Damaged,
    /// None will.
    Final(SnapshotError),
}

/// Fetches and unpacks the snapshot into `target`.
pub(super) async fn checkout_snapshot(
    api: &Api,
    output: &StepOutput,
    id: &SourceId,
    target: &Path,
) -> Result<(), SnapshotError> {
    let mut backoff = http::backoff(Duration::from_millis(100), Duration::from_secs(5));
    let mut damaged = 0;
    loop {
        match fetch_snapshot(api, id, target).await {
            Ok(unpacked) => {
                let Unpacked { files, bytes } = unpacked;
                let short: String = id.as_str().chars().take(12).collect();
                let target = target.display();
                let size = russet_text::format_size(bytes);
                output
                    .say(&format!("Snapshot {short}: {files} files, {size} unpacked, in {target}"));
                return Ok(());
            }
            Err(Failed::Final(error)) => return Err(error),
            Err(Failed::Damaged) => {
                damaged += 1;
                if damaged >= MOST_TRIES {
                    return Err(SnapshotError::Damaged);
                }
                output.say("the snapshot arrived damaged, trying again");
            }
            Err(Failed::Transient(why, asked)) => {
                output.say(&format!("the snapshot did not arrive ({why}), trying again"));
                api.pause("get the source", &mut backoff, asked, why).await?;
            }
        }
    }
}

async fn fetch_snapshot(api: &Api, id: &SourceId, target: &Path) -> Result<Unpacked, Failed> {
    let request = api.request(Method::GET, "/api/v3/task/source");
    let response =
        request.send().await.map_err(|error| Failed::Transient(api::describe(&error), None))?;
    let status = response.status();
    if http::is_transient(status) {
        let asked = http::retry_after(response.headers());
        return Err(Failed::Transient(status.to_string(), asked));
    }
    if status != StatusCode::OK {
        let error = ApiError::Refused {
            call: "get the source",
            status: status.as_u16(),
            message: response.text().await.unwrap_or_default(),
        };
        return Err(Failed::Final(error.into()));
    }
    let (pieces, queue) = mpsc::channel(QUEUE);
    let target = target.to_owned();
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut input = Pieces { queue, current: Bytes::new(), hash: blake3::Hasher::new() };
        let unpacked = extract::unpack_snapshot(&mut input, &target);
        (unpacked, input.hash.finalize())
    });
    let arrived = forward_body(response, pieces).await;
    let (unpacked, hash) =
        unpacking.await.map_err(|error| Failed::Final(SnapshotError::Cut(error)))?;
    arrived.map_err(|error| Failed::Transient(error.to_string(), None))?;
    // An archive that cannot be unpacked is not read to its end, so its hash says nothing.
    if unpacked.is_ok() && hash.to_hex().as_str() != id.as_str() {
        return Err(Failed::Damaged);
    }
    unpacked.map_err(|error| Failed::Final(SnapshotError::Unpack(error)))
}

/// Passes the body on, piece by piece.
async fn forward_body(
    response: reqwest::Response,
    pieces: mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), BodyError> {
    let mut stream = response.bytes_stream();
    loop {
        let error = match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(piece))) => {
                if pieces.send(Ok(piece)).await.is_err() {
                    // The unpacking has ended, and says why.
                    return Ok(());
                }
                continue;
            }
            Ok(Some(Err(error))) => BodyError::Broken(api::describe(&error)),
            Err(_) => BodyError::Silent,
        };
        drop(pieces.send(Err(io::Error::other(error.to_string()))).await);
        return Err(error);
    }
}

/// The body as something to read from, hashed on the way.
struct Pieces {
    queue: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
    hash: blake3::Hasher,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.queue.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
            self.hash.update(&self.current);
        }
        let count = self.current.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}
