//! `GET /api/v3/jobs/{id}` and its test results.

use axum::Json;
use axum::extract::State;
use russet_protocol::admin::{Items, Job, TestItems};
use russet_protocol::ids::JobId;

use crate::api::error::ApiError;
use crate::api::reach::Access;
use crate::api::refs::JobRef;
use crate::state::App;
use crate::store::{Conn, jobs, steps, test_results};
use crate::waits::Explainer;

pub(super) fn no_such_job(id: &JobId) -> ApiError {
    ApiError::NotFound(format!("there is no job `{id}`"))
}

/// A job, without its steps.
pub(super) async fn find_job(conn: &mut Conn, id: &JobId) -> Result<jobs::JobRow, ApiError> {
    jobs::get(conn, id).await?.ok_or_else(|| no_such_job(id))
}

#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/jobs/{id}", tag = "admin", operation_id = "get_jobs",
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, description = "The job with its steps", body = russet_protocol::admin::Job), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    access: Access,
    JobRef(id): JobRef,
) -> Result<Json<Job>, ApiError> {
    let mut conn = app.store.read().await?;
    let mut job = find_job(&mut conn, &id).await?.job;
    Explainer::new(access.sight()).explain_wait(&app, &mut conn, &mut job).await?;
    job.steps = steps::of_job(&mut conn, &id).await?.into_iter().map(|row| row.step).collect();
    Ok(Json(job))
}

#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/jobs/{id}/tests", tag = "admin", operation_id = "tests_jobs",
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, description = "The results", body = russet_protocol::admin::Items<russet_protocol::runner::TestResult>), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn list_tests(
    State(app): State<App>,
    JobRef(id): JobRef,
) -> Result<Json<TestItems>, ApiError> {
    let mut conn = app.store.read().await?;
    find_job(&mut conn, &id).await?;
    let items = test_results::of_job(&mut conn, &id).await?;
    Ok(Json(Items { items }))
}
