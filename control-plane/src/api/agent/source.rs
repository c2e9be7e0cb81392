//! `GET /api/v3/task/source`.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::api::bearer::TaskCaller;
use crate::api::error::ApiError;
use crate::objects::ObjectError;
use crate::state::App;
use crate::store::sources::Place;
use crate::store::{jobs, sources};

/// Chunks of a snapshot that are opened before they are sent.
const CHUNKS_AHEAD: usize = 4;

/// The snapshot that the pipeline was submitted with, as a zstd-compressed tar archive.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/task/source", tag = "agent", operation_id = "source_source",
    responses((status = 200, description = "The snapshot, a tar archive compressed with zstd", body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn source(
    State(app): State<App>,
    caller: TaskCaller,
) -> Result<Response, ApiError> {
    caller.check(None)?;
    let around = {
        let mut conn = app.store.read().await?;
        jobs::surroundings(&mut conn, &caller.held.job).await?
    };
    let Some(id) = around.source else {
        return Err(ApiError::NotFound("the pipeline was submitted without a source".to_owned()));
    };
    let place = sources::place(&mut app.store.read().await?, &id).await?;
    let body = match place {
        Some(Place::Whole(object)) => Body::from_stream(app.objects.stream(&object, 0).await?),
        Some(Place::Chunks(objects)) => {
            let objects_of_app = app.objects.clone();
            let chunks = stream::iter(objects).map(move |object| {
                let objects = objects_of_app.clone();
                async move { objects.stream(&object, 0).await }
            });
            // A few are opened ahead, since each may be on another machine.
            let bytes = chunks.buffered(CHUNKS_AHEAD).map(|opened| {
                opened
                    .map(|stream| stream.map_err(ObjectError::from))
                    .map_err(std::io::Error::other)
            });
            let bytes = bytes.map_ok(|stream| stream.map_err(std::io::Error::other)).try_flatten();
            Body::from_stream(bytes)
        }
        None => return Err(ApiError::NotFound("the source is not here any more".to_owned())),
    };
    Ok(([(CONTENT_TYPE, "application/zstd")], body).into_response())
}
