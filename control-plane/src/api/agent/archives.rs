//! `PUT /api/v3/task/archives`, and sending archives back.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use russet_protocol::storage::Uploaded;

use crate::api::bearer::TaskCaller;
use crate::api::body;
use crate::api::direct::redirect_to_store;
use crate::api::error::ApiError;
use crate::api::range::Wanted;
use crate::archives::archive_object;
use crate::objects::{Written, unique_name};
use crate::state::App;
use crate::store::Held;
use crate::store::archives::Stored;

/// The largest archive, in bytes: 64 GiB.
const SIZE_LIMIT: u64 = 64 << 30;

/// Stores an archive that no row names yet.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/task/archives", tag = "agent", operation_id = "put_archive",
    request_body(content = Vec<u8>, content_type = "application/zstd"),
    responses((status = 200, description = "What was stored", body = russet_protocol::storage::Uploaded), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn put(
    State(app): State<App>,
    caller: TaskCaller,
    body: Body,
) -> Result<Json<Uploaded>, ApiError> {
    caller.check(None)?;
    app.check_room_for_objects()?;
    let stream = body::stream(body, app.gate.limits.body_timeout);
    let name = unique_name();
    let object = archive_object(&caller.held.task, &name);
    let Written { size, blake3 } =
        app.objects.put_stream(&object, stream, SIZE_LIMIT, None).await?;
    // What a server counted is stamped, so that no task can say something else of it later.
    let stamp = app.sealer.stamp(STAMPED, &[&object, &blake3]);
    Ok(Json(Uploaded { upload: format!("{name}-{stamp}"), size, blake3 }))
}

/// Purpose of the stamps on uploads.
const STAMPED: &str = "russet: the hash of an archive that a server has received";

/// Bytes of the name of an upload.
const MAX_UPLOAD_NAME: usize = 128;

/// The object of an upload that is to be named. It must have arrived, as large as the caller says,
/// and with the hash that the server computed.
///
/// Threat: a task that names another hash would have every job that restores its cache refuse it.
pub(super) async fn archive_arrived(
    app: &App,
    held: &Held,
    archive: &Uploaded,
) -> Result<String, ApiError> {
    let wrong = |what: &str| ApiError::Bad(format!("archive: {what}"));
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if archive.upload.len() > MAX_UPLOAD_NAME || !is_word(&archive.upload) {
        return Err(wrong("`upload` is not what an upload answers"));
    }
    if archive.blake3.len() != 64 || !archive.blake3.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong("`blake3` is not a hash"));
    }
    let gone = || ApiError::Gone("the archive is not there any more; send it again".to_owned());
    let (name, stamp) = archive.upload.rsplit_once('-').ok_or_else(gone)?;
    let object = archive_object(&held.task, name);
    match app.objects.size(&object).await? {
        Some(_) if app.sealer.stamp(STAMPED, &[&object, &archive.blake3]) != stamp => {
            Err(wrong("it has another hash"))
        }
        Some(size) if size == archive.size => Ok(object),
        Some(_) => Err(wrong("it has another size")),
        // The server was restarted in between, which deletes what nobody named.
        None => Err(gone()),
    }
}

/// Answers an archive that was found, from an offset on where the caller asks for that, or a redirect
/// to it. `what` it is of, for people.
pub(super) async fn answer_archive(
    app: &App,
    headers: &HeaderMap,
    found: Option<Stored>,
    what: &str,
) -> Result<Response, ApiError> {
    let none = || ApiError::NotFound(format!("there is no such {what}"));
    let Stored { object, size } = found.ok_or_else(none)?;
    if let Some(redirect) = redirect_to_store(app, headers, &object).await? {
        return Ok(redirect);
    }
    let wanted = Wanted::of(headers, size)?;
    let body = Body::from_stream(app.objects.stream(&object, wanted.start).await?);
    wanted.answer("application/zstd", body)
}
