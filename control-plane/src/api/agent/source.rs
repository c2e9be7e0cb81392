//! `GET /api/v3/task/source`.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::api::bearer::TaskCaller;
use crate::api::error::ApiError;
use crate::sources;
use crate::state::App;
use crate::store::jobs;

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
    let stream = app.objects.stream(&sources::object(&id), 0).await?;
    Ok(([(CONTENT_TYPE, "application/zstd")], Body::from_stream(stream)).into_response())
}
