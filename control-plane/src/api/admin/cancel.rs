//! Decisions of people: `POST /api/v3/pipelines/{id}/cancel`, `POST /api/v3/jobs/{id}/cancel`,
//! `…/approve` and `…/deny`.

use axum::Json;
use axum::extract::State;
use russet_protocol::admin::{Job, Pipeline};
use russet_protocol::ids::JobId;
use russet_protocol::outcome::{Outcome, Phase};

use super::jobs::{find_job, no_such_job};
use super::people::By;
use super::pipelines::no_such_pipeline;
use crate::api::error::ApiError;
use crate::api::refs::{JobRef, PipelineRef};
use crate::audit;
use crate::cancel::cancel_pipeline;
use crate::contention;
use crate::lifecycle::{cancel_job, decide_job};
use crate::state::App;
use crate::store::jobs::JobRow;
use crate::store::{WriteTx, jobs, locks, pipelines};

/// Cancels all of a pipeline that has not ended. What a runner holds ends when the runner says so.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/pipelines/{id}/cancel", tag = "admin", operation_id = "pipeline_cancel",
    params(("id" = String, Path, description = "The pipeline"), ("as" = Option<String>, Query, description = "The one who cancels it")),
    responses((status = 200, description = "The pipeline", body = russet_protocol::admin::Pipeline), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn cancel_pipeline_call(
    State(app): State<App>,
    PipelineRef(id): PipelineRef,
    By(by): By,
) -> Result<Json<Pipeline>, ApiError> {
    audit::note_after(&serde_json::json!({"pipeline": id, "canceled_by": by}));
    // In a task of its own: a caller who goes away leaves no pipeline half canceled.
    let canceling = {
        let (app, id) = (app.clone(), id.clone());
        tokio::spawn(async move { cancel_pipeline(&app, &id, &by).await })
    };
    if !canceling.await.map_err(|error| ApiError::Internal(error.into()))?? {
        return Err(no_such_pipeline(&id));
    }
    let mut conn = app.store.read().await?;
    pipelines::get(&mut conn, &id).await?.map(Json).ok_or_else(|| no_such_pipeline(&id))
}

/// Cancels a job that has not ended.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/jobs/{id}/cancel", tag = "admin", operation_id = "job_cancel",
    params(("id" = String, Path, description = "The job"), ("as" = Option<String>, Query, description = "The one who cancels it")),
    responses((status = 200, description = "The job", body = russet_protocol::admin::Job), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn cancel_job_call(
    State(app): State<App>,
    JobRef(id): JobRef,
    By(by): By,
) -> Result<Json<Job>, ApiError> {
    contention::retry(|| stop_one(&app, &id, &by)).await?;
    let mut conn = app.store.read().await?;
    jobs::get(&mut conn, &id).await?.map(|row| Json(row.job)).ok_or_else(|| no_such_job(&id))
}

async fn stop_one(app: &App, id: &JobId, by: &str) -> Result<(), ApiError> {
    let mut tx = app.store.write().await?;
    let row = lock_job(&mut tx, id).await?;
    note_state_before(&row.job);
    audit::note_after(&serde_json::json!({"job": id, "canceled_by": by}));
    cancel_job(&mut tx, &row, by, app.clock.wall_ms()).await?;
    Ok(tx.commit().await?)
}

/// Notes for the audit log how a job was before somebody decided.
fn note_state_before(job: &Job) {
    audit::note_before(&serde_json::json!({
        "job": job.id, "name": job.name, "phase": job.phase, "outcome": job.outcome,
    }));
}

/// Finds a job whose pipeline nobody else moves on until the end of the transaction.
async fn lock_job(tx: &mut WriteTx, id: &JobId) -> Result<JobRow, ApiError> {
    let found = find_job(tx, id).await?;
    locks::pipeline(tx, &found.pipeline).await?;
    locks::groups_of_pipeline(tx, &found.pipeline).await?;
    find_job(tx, id).await
}

/// Approves a job that waits for it. One that was approved already stays so.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/jobs/{id}/approve", tag = "admin", operation_id = "job_approve",
    params(("id" = String, Path, description = "The job"), ("as" = Option<String>, Query, description = "The one who decides")),
    responses((status = 200, description = "The job", body = russet_protocol::admin::Job), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "It does not wait for an approval", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn approve_job(
    State(app): State<App>,
    JobRef(id): JobRef,
    By(by): By,
) -> Result<Json<Job>, ApiError> {
    decide_approval(&app, &id, true, &by).await
}

/// Denies a job that waits for it: it is unauthorized, what requires it does not run unless it
/// wants just that, and nothing has failed.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/jobs/{id}/deny", tag = "admin", operation_id = "job_deny",
    params(("id" = String, Path, description = "The job"), ("as" = Option<String>, Query, description = "The one who decides")),
    responses((status = 200, description = "The job", body = russet_protocol::admin::Job), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "It does not wait for an approval", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn deny_job(
    State(app): State<App>,
    JobRef(id): JobRef,
    By(by): By,
) -> Result<Json<Job>, ApiError> {
    decide_approval(&app, &id, false, &by).await
}

async fn decide_approval(
    app: &App,
    id: &JobId,
    approved: bool,
    by: &str,
) -> Result<Json<Job>, ApiError> {
    contention::retry(|| decide_one(app, id, approved, by)).await?;
    let mut conn = app.store.read().await?;
    jobs::get(&mut conn, id).await?.map(|row| Json(row.job)).ok_or_else(|| no_such_job(id))
}

async fn decide_one(app: &App, id: &JobId, approved: bool, by: &str) -> Result<(), ApiError> {
    let mut tx = app.store.write().await?;
    let job = lock_job(&mut tx, id).await?.job;
    note_state_before(&job);
    let decision = if approved { "approved" } else { "denied" };
    audit::note_after(&serde_json::json!({"job": id, "decision": decision, "by": by}));
    let is_approval = jobs::is_approval(&mut tx, id).await?;
    let wanted = if approved { Outcome::Success } else { Outcome::Unauthorized };
    match job.phase {
        Phase::OnHold => decide_job(&mut tx, id, approved, by, app.clock.wall_ms()).await?,
        Phase::Ended if is_approval && job.outcome == Some(wanted) => {}
        Phase::Blocked if is_approval => {
            let message = format!("`{}` still waits for the jobs that it requires", job.name);
            return Err(ApiError::Conflict(message));
        }
        _ if is_approval => {
            return Err(ApiError::Conflict(format!("`{}` has ended already", job.name)));
        }
        _ => {
            let message = format!("`{}` runs steps, and waits for no approval", job.name);
            return Err(ApiError::Conflict(message));
        }
    }
    Ok(tx.commit().await?)
}
