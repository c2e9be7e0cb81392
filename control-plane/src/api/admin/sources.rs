//! `PUT /api/v3/sources/{id}`: uploads a source snapshot.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use russet_protocol::ids::SourceId;
use russet_protocol::runner::StoredObject;

use crate::api::body;
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::sources as names;
use crate::state::App;
use crate::store::sources;

/// The largest snapshot, in bytes: 8 GiB.
const SIZE_LIMIT: u64 = 8 << 30;

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
    if !names::is_id(&id) {
        return Err(ApiError::Bad(
            "the name of a source is the BLAKE3 hash of its bytes, in hexadecimal".to_owned(),
        ));
    }
    if app.space.is_short() {
        return Err(ApiError::NoSpace);
    }
    let id = SourceId::from(id);
    let stream = body::stream(body, app.gate.limits.body_timeout);
    // Bytes with another hash do not replace those that are there.
    let (object, hash) = (names::object(&id), Some(id.as_str()));
    let written = app.objects.put_stream(&object, stream, SIZE_LIMIT, hash).await?;
    let mut tx = app.store.write().await?;
    sources::insert(&mut tx, &id, written.size, app.clock.wall_ms()).await?;
    tx.commit().await?;
    Ok(Json(StoredObject { size: written.size, blake3: written.blake3 }))
}
