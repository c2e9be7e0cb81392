//! `POST /api/v3/pipelines/{id}/cancel` and `POST /api/v3/jobs/{id}/cancel`.

use axum::Json;
use axum::extract::State;
use russet_protocol::admin::{Job, Pipeline};
use russet_protocol::ids::{JobId, PipelineId};

use super::jobs::{find, no_such_job};
use super::pipelines::no_such_pipeline;
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::lifecycle::{cancel_job, cancel_pipeline};
use crate::state::App;
use crate::store::{jobs, pipelines};

/// Cancels all of a pipeline that has not ended. What a runner holds ends when the runner says so.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/pipelines/{id}/cancel", tag = "admin", operation_id = "pipeline_cancel",
    params(("id" = String, Path, description = "The pipeline")),
    responses((status = 200, description = "The pipeline", body = russet_protocol::admin::Pipeline), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn pipeline(
    State(app): State<App>,
    Path(id): Path<PipelineId>,
) -> Result<Json<Pipeline>, ApiError> {
    let mut tx = app.store.write().await?;
    if !pipelines::exists(&mut tx, &id).await? {
        return Err(no_such_pipeline(&id));
    }
    cancel_pipeline(&mut tx, &id, app.clock.wall_ms()).await?;
    tx.commit().await?;
    let mut conn = app.store.read().await?;
    pipelines::get(&mut conn, &id).await?.map(Json).ok_or_else(|| no_such_pipeline(&id))
}

/// Cancels a job that has not ended.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/jobs/{id}/cancel", tag = "admin", operation_id = "job_cancel",
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, description = "The job", body = russet_protocol::admin::Job), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn job(
    State(app): State<App>,
    Path(id): Path<JobId>,
) -> Result<Json<Job>, ApiError> {
    let mut tx = app.store.write().await?;
    let row = find(&mut tx, &id).await?;
    cancel_job(&mut tx, &row, app.clock.wall_ms()).await?;
    tx.commit().await?;
    let mut conn = app.store.read().await?;
    jobs::get(&mut conn, &id).await?.map(|row| Json(row.job)).ok_or_else(|| no_such_job(&id))
}
