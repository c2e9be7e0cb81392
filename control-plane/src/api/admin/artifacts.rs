//! `GET /api/v3/jobs/{id}/artifacts[/{path}]`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use russet_protocol::admin::{ArtifactItem, Items};
use russet_protocol::outcome::Phase;
use serde::Deserialize;

use super::jobs::find_job;
use crate::api::direct::redirect_to_store;
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::api::range::Wanted;
use crate::api::refs::JobRef;
use crate::audit;
use crate::state::App;
use crate::store::{artifacts, locks, unnamed};

#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/jobs/{id}/artifacts", tag = "admin", operation_id = "list_artifacts",
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, description = "The artifacts", body = russet_protocol::admin::Items<russet_protocol::admin::ArtifactItem>), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    JobRef(id): JobRef,
) -> Result<Json<Items<ArtifactItem>>, ApiError> {
    let mut conn = app.store.read().await?;
    find_job(&mut conn, &id).await?;
    let items = artifacts::of_job(&mut conn, &id).await?;
    Ok(Json(Items { items: items.into_iter().map(|stored| stored.item).collect() }))
}

/// Path of an artifact within its job.
#[derive(Debug, Deserialize)]
pub(super) struct Inner {
    path: String,
}

/// An artifact's bytes. A job wrote them: a browser is told to save them, not to show them, so
/// that they are never taken for a page of this server.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/jobs/{id}/artifacts/{path}", tag = "admin", operation_id = "download_artifacts",
    params(("id" = String, Path, description = "The job"), ("path" = String, Path, description = "Path within the job"), ("Range" = Option<String>, Header, description = "`bytes=N-`: from this offset on")),
    responses((status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"), (status = 206, description = "The bytes from the offset on", body = Vec<u8>, content_type = "application/octet-stream"), (status = 307, description = "Where the store has it, for callers that send `russet-direct: true`"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn download(
    State(app): State<App>,
    JobRef(id): JobRef,
    Path(Inner { path }): Path<Inner>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let stored = {
        let mut conn = app.store.read().await?;
        artifacts::get(&mut conn, &id, &path).await?
    };
    let Some(stored) = stored else {
        return Err(ApiError::NotFound("there is no such artifact".to_owned()));
    };
    if let Some(redirect) = redirect_to_store(&app, &headers, &stored.object).await? {
        return Ok(redirect);
    }
    let wanted = Wanted::of(&headers, stored.item.size)?;
    let stream = app.objects.stream(&stored.object, wanted.start).await?;
    let mut response = wanted.answer("application/octet-stream", Body::from_stream(stream))?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// Deletes an artifact of a pipeline that has ended.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/jobs/{id}/artifacts/{path}", tag = "admin", operation_id = "delete_artifact",
    params(("id" = String, Path, description = "The job"), ("path" = String, Path, description = "Path within the job")),
    responses((status = 204, description = "Deleted"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The job has not ended", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove(
    State(app): State<App>,
    JobRef(id): JobRef,
    Path(Inner { path }): Path<Inner>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let pipeline = find_job(&mut tx, &id).await?.pipeline;
    locks::pipeline(&mut tx, &pipeline).await?;
    if find_job(&mut tx, &id).await?.job.phase != Phase::Ended {
        return Err(ApiError::Conflict("the job has not ended; cancel it first".to_owned()));
    }
    let Some(object) = artifacts::remove(&mut tx, &id, &path).await? else {
        return Err(ApiError::NotFound("there is no such artifact".to_owned()));
    };
    audit::note_before(&serde_json::json!({"job": id, "artifact": path}));
    unnamed::note(&mut tx, &object, app.clock.wall_ms()).await?;
    tx.commit().await?;
    app.keeper.notify_one();
    Ok(StatusCode::NO_CONTENT)
}
