//! `PUT /api/v3/sources/{id}`: uploads a source snapshot, as a whole or in chunks.
//!
//! A snapshot in chunks is a row of zstd frames, whose bytes one behind the other are the snapshot.
//! Those that an earlier snapshot had are here already: so the history of a project is stored once,
//! however often it is submitted. The caller says which frames there are, sends those that are
//! missing, and says it again. The hash of the whole is checked by the agent that unpacks it; each
//! chunk is stored under the hash that this server counted.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::TryStreamExt as _;
use russet_protocol::ids::SourceId;
use russet_protocol::keeping::{Chunk, MissingChunks, SourceChunks};
use russet_protocol::runner::StoredObject;

use crate::api::body;
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::audit;
use crate::sources as names;
use crate::state::App;
use crate::store::{StoreError, sources};

/// The largest snapshot, in bytes: 8 GiB.
const SIZE_LIMIT: u64 = 8 << 30;

/// Most chunks of a snapshot.
const MAX_CHUNKS: usize = 65_536;

/// The largest chunk, in bytes.
const MAX_CHUNK_BYTES: usize = 8 << 20;

/// Chunks that one transaction notes.
const CHUNKS_PER_COMMIT: usize = 64;

fn check_id(id: &str) -> Result<(), ApiError> {
    if names::is_id(id) {
        return Ok(());
    }
    let message = "the name of a source or a chunk is the BLAKE3 hash of its bytes, in hexadecimal";
    Err(ApiError::Bad(message.to_owned()))
}

/// Stores a snapshot under its hash, which the bytes must have.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/sources/{id}", tag = "admin", operation_id = "put_sources",
    params(("id" = String, Path, description = "BLAKE3 of the bytes, in hexadecimal")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "What was stored", body = russet_protocol::runner::StoredObject), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn put(
    State(app): State<App>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<StoredObject>, ApiError> {
    check_id(&id)?;
    app.check_room_for_objects()?;
    let id = SourceId::from(id);
    let stream = body::stream(body, app.gate.limits.body_timeout);
    let (object, hash) = (names::new_object(&id), Some(id.as_str()));
    let written = app.objects.put_stream(&object, stream, SIZE_LIMIT, hash).await?;
    let mut tx = app.store.write().await?;
    let now_ms = app.clock.wall_ms();
    audit::note_after(&serde_json::json!({"source": id, "size": written.size}));
    let is_new = sources::insert(&mut tx, &id, written.size, &object, now_ms).await?;
    tx.commit().await?;
    if !is_new {
        app.objects.delete(&object).await;
    }
    Ok(Json(StoredObject { size: written.size, blake3: written.blake3 }))
}

/// Stores a snapshot that is in chunks, if all of them are here; else says which are not.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/sources/{id}/chunks", tag = "admin", operation_id = "put_source_chunks",
    params(("id" = String, Path, description = "BLAKE3 of all chunks one behind the other, in hexadecimal")),
    request_body = russet_protocol::keeping::SourceChunks,
    responses((status = 200, description = "The chunks that have to be sent first; none: the snapshot is stored", body = russet_protocol::keeping::MissingChunks), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn put_source_chunks(
    State(app): State<App>,
    Path(id): Path<String>,
    body::Json(source): body::Json<SourceChunks>,
) -> Result<Json<MissingChunks>, ApiError> {
    check_id(&id)?;
    if source.chunks.is_empty() || source.chunks.len() > MAX_CHUNKS {
        return Err(ApiError::Bad(format!("chunks: 1 to {MAX_CHUNKS} are needed")));
    }
    for chunk in &source.chunks {
        check_id(&chunk.id)?;
    }
    let id = SourceId::from(id);
    let chunks = source.chunks.len();
    audit::note_after(&serde_json::json!({"source": id, "chunks": chunks}));
    let missing = {
        let mut conn = app.store.read().await?;
        sources::missing(&mut conn, &source.chunks).await?
    };
    if !missing.is_empty() {
        return Ok(Json(MissingChunks { missing }));
    }
    match store_chunked(&app, &id, &source.chunks).await {
        // One was removed since it was looked for: the caller sends it.
        Err(error) if error.is_conflict() => {
            let mut conn = app.store.read().await?;
            let missing = sources::missing(&mut conn, &source.chunks).await?;
            if missing.is_empty() {
                return Err(error.into());
            }
            Ok(Json(MissingChunks { missing }))
        }
        done => {
            done?;
            Ok(Json(MissingChunks::default()))
        }
    }
}

async fn store_chunked(app: &App, id: &SourceId, chunks: &[Chunk]) -> Result<(), StoreError> {
    let size = chunks.iter().fold(0_u64, |sum, chunk| sum.saturating_add(chunk.size));
    let mut tx = app.store.write().await?;
    if sources::insert(&mut tx, id, size, "", app.clock.wall_ms()).await? {
        for (position, chunk) in chunks.iter().enumerate() {
            sources::add_chunk(&mut tx, id, position, &chunk.id).await?;
        }
    }
    tx.commit().await
}

/// Stores chunks, each with its length before it, as 4 bytes, the highest first.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/chunks", tag = "admin", operation_id = "put_chunks",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204, description = "All are stored"), (status = 400, description = "A chunk is too large, or the body ends in the middle of one", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn put_chunks(State(app): State<App>, body: Body) -> Result<StatusCode, ApiError> {
    app.check_room_for_objects()?;
    let mut stream = body::stream(body, app.gate.limits.body_timeout);
    let mut buffer: Vec<u8> = Vec::new();
    let mut written = Vec::new();
    loop {
        while let Some(length) = next_length(&buffer)? {
            if buffer.len() < 4 + length {
                break;
            }
            let rest = buffer.split_off(4 + length);
            let bytes = std::mem::replace(&mut buffer, rest).split_off(4);
            written.push(write_chunk(&app, bytes).await?);
            if written.len() >= CHUNKS_PER_COMMIT {
                note_chunks(&app, std::mem::take(&mut written)).await?;
            }
        }
        match stream.try_next().await.map_err(|_| ApiError::Bad("the body broke off".to_owned()))? {
            Some(bytes) => buffer.extend_from_slice(&bytes),
            None if buffer.is_empty() => break,
            None => return Err(ApiError::Bad("the body ends in the middle of a chunk".to_owned())),
        }
    }
    note_chunks(&app, written).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the length of the chunk at the beginning of a buffer, where it is known already.
fn next_length(buffer: &[u8]) -> Result<Option<usize>, ApiError> {
    let Some(first) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*first)).unwrap_or(usize::MAX);
    if length == 0 || length > MAX_CHUNK_BYTES {
        return Err(ApiError::Bad(format!("a chunk has 1 to {MAX_CHUNK_BYTES} bytes")));
    }
    Ok(Some(length))
}

/// Writes a chunk, which no row names yet.
async fn write_chunk(app: &App, bytes: Vec<u8>) -> Result<(Chunk, String), ApiError> {
    let id = blake3::hash(&bytes).to_hex().to_string();
    let object = names::new_chunk_object(&id);
    let size = bytes.len() as u64;
    app.objects.put(&object, bytes.into()).await?;
    Ok((Chunk { id, size }, object))
}

/// Notes chunks that are written. Objects of those that came twice are deleted.
async fn note_chunks(app: &App, chunks: Vec<(Chunk, String)>) -> Result<(), ApiError> {
    let mut twice = Vec::new();
    let mut tx = app.store.write().await?;
    for (chunk, object) in chunks {
        if !sources::insert_chunk(&mut tx, &chunk, &object, app.clock.wall_ms()).await? {
            twice.push(object);
        }
    }
    tx.commit().await?;
    for object in &twice {
        app.objects.delete(object).await;
    }
    Ok(())
}
