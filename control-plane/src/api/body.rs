//! Bodies: how much is taken, in which time, and JSON whose errors say where they are.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use russet_protocol::admin::JSON_LIMIT;
use serde::de::DeserializeOwned;

use super::caller::Caller;
use super::error::ApiError;
use crate::lacks::Lack;
use crate::listen::Room;
use crate::state::App;

/// Bytes of a body that says a few things.
pub(super) const SMALL: usize = 16 * 1024;

/// Bytes of a body that has lists or longer texts.
pub(super) const MEDIUM: usize = 256 * 1024;

/// Bytes of a body with a value or up to a hundred keys, written with escapes.
pub(super) const LARGE: usize = 1024 * 1024;

/// Bytes a second that a body has to come with: less only costs memory for long.
const MIN_RATE: usize = 16 * 1024;

/// A body that was read, and the memory that it takes.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) bytes: Bytes,
    _room: Room,
}

/// Reads a whole body of at most `limit` bytes into `room`. It may pause for `timeout`, and has to
/// come with [`MIN_RATE`].
pub(super) async fn read(
    body: Body,
    limit: usize,
    mut room: Room,
    timeout: Duration,
) -> Result<Read, ApiError> {
    let too_large = || ApiError::TooLarge(format!("the body is larger than {limit} bytes"));
    // Announced by the caller, so that nothing is taken of what is refused in the end. It is not
    // believed further.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large());
    }
    let started = tokio::time::Instant::now();
    let mut stream = body.into_data_stream();
    let mut all: Vec<u8> = Vec::new();
    let mut only = None;
    loop {
        let length = only.as_ref().map_or(all.len(), Bytes::len);
        let rate = Duration::from_secs((length / MIN_RATE) as u64);
        let next = tokio::time::timeout_at(started + timeout + rate, stream.try_next());
        let next = next.await.map_err(|_| ApiError::Slow)?;
        let Some(bytes) = next.map_err(|_| ApiError::Bad("the body broke off".to_owned()))? else {
            break;
        };
        if length + bytes.len() > limit {
            return Err(too_large());
        }
        room.grow_to(length + bytes.len()).map_err(|_| ApiError::Busy(Lack::Bodies))?;
        match only.take() {
            // The usual case of a small body: no copy.
            None if all.is_empty() => only = Some(bytes),
            first => {
                all.extend_from_slice(&first.unwrap_or_default());
                all.extend_from_slice(&bytes);
            }
        }
    }
    Ok(Read { bytes: only.unwrap_or_else(|| all.into()), _room: room })
}

/// A stream may pause for so many times as long: its sender may still be making it.
const STREAM_PATIENCE: u32 = 4;

/// A body that is stored as it comes, and may pause for [`STREAM_PATIENCE`] times `timeout`.
pub(super) fn stream(
    body: Body,
    timeout: Duration,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Unpin {
    let pieces = stream::unfold(Some(body.into_data_stream()), move |stream| async move {
        let mut stream = stream?;
        match tokio::time::timeout(timeout * STREAM_PATIENCE, stream.next()).await {
            Ok(piece) => Some((piece?, Some(stream))),
            Err(elapsed) => Some((Err(axum::Error::new(elapsed)), None)),
        }
    });
    Box::pin(pieces)
}

/// JSON of at most `LIMIT` bytes, whatever the content type says. Unlike axum's own, its errors
/// name the field.
#[derive(Debug)]
pub(super) struct Json<T, const LIMIT: usize = JSON_LIMIT>(pub(super) T);

impl<T: DeserializeOwned, const LIMIT: usize> FromRequest<App> for Json<T, LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let room = Caller::room(app, request.extensions());
        let read = read(request.into_body(), LIMIT, room, app.gate.limits.body_timeout).await?;
        parse_json(&read.bytes).map(Self)
    }
}

/// The same where the body may be empty.
#[derive(Debug)]
pub(super) struct MaybeJson<T, const LIMIT: usize = JSON_LIMIT>(pub(super) Option<T>);

impl<T: DeserializeOwned, const LIMIT: usize> FromRequest<App> for MaybeJson<T, LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let room = Caller::room(app, request.extensions());
        let read = read(request.into_body(), LIMIT, room, app.gate.limits.body_timeout).await?;
        if read.bytes.is_empty() {
            return Ok(Self(None));
        }
        parse_json(&read.bytes).map(Some).map(Self)
    }
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        ApiError::Bad(format!("the body is not what this call takes: {path}: {}", error.inner()))
    })?;
    deserializer
        .end()
        .map_err(|error| ApiError::Bad(format!("there is more after the JSON: {error}")))?;
    Ok(value)
}
