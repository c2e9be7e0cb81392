//! `PATCH /api/v3/task/steps/{n}/output`.

use std::io::Read;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use russet_protocol::UPLOAD_OFFSET_HEADER;

use super::events::MAX_STEP;
use crate::api::bearer::TaskCaller;
use crate::api::body;
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::chunks::{Packed, Times};
use crate::listen::Standing;
use crate::objects::unique_name;
use crate::output_packer::{Span, is_due, pack_later, store_chunk};
use crate::state::App;
use crate::store::{output, steps};
use crate::task_steps::{ensure_step, mark_started};

/// The most that one append may be, in bytes before compression.
const APPEND_LIMIT: usize = 4 * 1024 * 1024;

/// From this many compressed bytes on, another thread decompresses, so that nobody waits.
const OFFLOAD_FROM: usize = 16 * 1024;

/// The largest window that a frame may ask memory for: 2 to the 23rd, eight megabytes.
const WINDOW_LOG_MAX: u32 = 23;

type Committed = (StatusCode, [(&'static str, String); 1]);

/// Appends to a step's output. An append that does not begin where the stored bytes end is
/// refused with that offset, a replay too: nothing is lost and nothing doubled.
#[cfg_attr(test, utoipa::path(
    patch, path = "/api/v3/task/steps/{step}/output", tag = "agent", operation_id = "append_output",
    params(("step" = u32, Path, description = "Number of the step"), ("upload-offset" = u64, Header, description = "Where the body begins, in bytes of the output"), ("content-encoding" = Option<String>, Header, description = "`zstd`, or none")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204, description = "Stored; `upload-offset` says up to where"), (status = 409, description = "It does not begin where the stored bytes end, which `upload-offset` says; or the allocation is stale", body = russet_protocol::problem::Problem), (status = 413, description = "More than 4 MiB before compression", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn append(
    State(app): State<App>,
    Path(number): Path<u32>,
    headers: HeaderMap,
    caller: TaskCaller,
    body: Body,
) -> Result<Committed, ApiError> {
    caller.check(None)?;
    let start = upload_offset(&headers)?;
    if number > MAX_STEP {
        return Err(ApiError::Bad(format!("step: {number} is above {MAX_STEP}")));
    }
    {
        let mut conn = app.store.read().await?;
        let step = steps::get(&mut conn, &caller.held.task, number).await?;
        let committed = step.map_or(0, |step| step.step.output_bytes);
        if committed != start {
            return Err(ApiError::Offset(committed));
        }
    }
    let room = app.gate.room(Some(Standing::Runner));
    let read = body::read(body, APPEND_LIMIT, room, app.gate.limits.body_timeout).await?;
    // Held until it is stored: what a frame becomes may be much more than came.
    let _turn = app.gate.decoders.acquire().await;
    let bytes = decode_body(&headers, read.bytes.clone()).await?;
    if bytes.is_empty() {
        return Ok(committed_answer(start));
    }
    let length = bytes.len() as u64;
    let times = Times::one(app.clock.wall_ms());
    let packed = Packed::of(bytes).await;
    let name = format!("output/{}/{number}/{start}-{}", caller.held.task, unique_name());
    let span = Span { start, length };
    let chunk = store_chunk(&app.objects, name, packed, span, times).await?;
    let stored = store_output(&app, &caller, number, &chunk).await;
    // After an error of our own the row may be there all the same, and then it names the object;
    // where it is not, the next start deletes what nothing names.
    let refused = matches!(&stored, Err(error) if !matches!(error, ApiError::Internal(_)));
    if let (true, Some(object)) = (refused, &chunk.object) {
        app.objects.delete(object).await;
    }
    let step = stored?;
    if is_due(start, length) {
        pack_later(&app, caller.held.clone(), step, number);
    }
    Ok(committed_answer(start + length))
}

/// Commits a chunk whose bytes are stored. Returns the key of its step.
async fn store_output(
    app: &App,
    caller: &TaskCaller,
    number: u32,
    chunk: &output::Chunk,
) -> Result<i64, ApiError> {
    let mut tx = app.store.write().await?;
    let held = caller.lock(&mut tx, None).await?;
    let now_ms = app.now_ms();
    let step = ensure_step(&mut tx, &held, number, now_ms).await?;
    if step.step.output_bytes != chunk.start {
        return Err(ApiError::Offset(step.step.output_bytes));
    }
    output::append(&mut tx, &step, chunk).await?;
    mark_started(app, &mut tx, &held, number).await?;
    tx.tally().took_output(chunk.length);
    tx.wake_pipeline(held.pipeline.as_str());
    tx.commit().await?;
    Ok(step.key)
}

fn committed_answer(offset: u64) -> Committed {
    (StatusCode::NO_CONTENT, [(UPLOAD_OFFSET_HEADER, offset.to_string())])
}

fn upload_offset(headers: &HeaderMap) -> Result<u64, ApiError> {
    headers
        .get(UPLOAD_OFFSET_HEADER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .ok_or_else(|| ApiError::Bad(format!("{UPLOAD_OFFSET_HEADER}: a number is needed")))
}

/// The bytes as they were before compression.
async fn decode_body(headers: &HeaderMap, bytes: Bytes) -> Result<Bytes, ApiError> {
    match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => Ok(bytes),
        Some(b"zstd") if bytes.len() < OFFLOAD_FROM => decompress(&bytes),
        Some(b"zstd") => tokio::task::spawn_blocking(move || decompress(&bytes))
            .await
            .map_err(|error| ApiError::Internal(Box::new(error)))?,
        Some(_) => Err(ApiError::Bad("content-encoding: zstd or none is taken".to_owned())),
    }
}

/// A few bytes can decompress to any number of them, so the limit is kept while they do, and the
/// size that the frame announces is not believed.
fn decompress(bytes: &[u8]) -> Result<Bytes, ApiError> {
    let broken = |error: std::io::Error| ApiError::Bad(format!("the body is not zstd: {error}"));
    let mut decoder = zstd::Decoder::with_buffer(bytes).map_err(broken)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(broken)?;
    let mut decoded = Vec::new();
    decoder.take(APPEND_LIMIT as u64 + 1).read_to_end(&mut decoded).map_err(broken)?;
    if decoded.len() > APPEND_LIMIT {
        return Err(ApiError::TooLarge(format!(
            "the body decompresses to more than {APPEND_LIMIT} bytes"
        )));
    }
    Ok(decoded.into())
}
