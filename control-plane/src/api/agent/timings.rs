//! `GET /api/v3/task/test-timings`.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use russet_protocol::ids::JobId;
use russet_protocol::storage::Timings;

use crate::api::bearer::TaskCaller;
use crate::api::error::ApiError;
use crate::state::App;
use crate::store::{Conn, StoreError, job_timings, jobs, test_results};
use crate::timings::{failed_tests, mean_timings};

/// Number of earlier jobs that times are averaged over.
const MAX_JOBS: u32 = 10;

/// Times of tests in recent jobs of the same name of the project.
///
/// They are fixed for the whole job when the first of its tasks asks. Each task computes all parts
/// of a split by itself, so with other times than its siblings it would leave tests out that
/// nobody else runs, or run some that another one has.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/task/test-timings", tag = "agent", operation_id = "test_timings",
    responses((status = 200, description = "Seconds by file, class and name; the same for all tasks of the job", body = russet_protocol::storage::Timings), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn timings(
    State(app): State<App>,
    caller: TaskCaller,
) -> Result<impl IntoResponse, ApiError> {
    caller.check(None)?;
    let job = &caller.held.job;
    let fixed = {
        let mut conn = app.store.read().await?;
        job_timings::of_job(&mut conn, job).await?
    };
    let text = match fixed {
        Some(fixed) => fixed,
        None => fix_timings(&app, &caller).await?,
    };
    Ok(([(CONTENT_TYPE, "application/json")], text))
}

/// Fixes the timings of the caller's job. Of tasks that ask at the same time the first one wins.
async fn fix_timings(app: &App, caller: &TaskCaller) -> Result<String, ApiError> {
    let job = &caller.held.job;
    let computed = {
        let mut conn = app.store.read().await?;
        recent_timings(&mut conn, job).await
    };
    // Results that cannot be read are no reason for tasks to disagree: all split by name then.
    let mut computed = computed.unwrap_or_else(|error| {
        tracing::warn!(job.id = %job, %error, "the times of earlier tests cannot be read");
        Timings::default()
    });
    // Without these the task must not go on, since it would run other tests than it is to.
    computed.failed = {
        let mut conn = app.store.read().await?;
        match jobs::failed_tests_of(&mut conn, job).await? {
            Some(of) => Some(failed_tests(&test_results::of_job(&mut conn, &of).await?)),
            None => None,
        }
    };
    let mut tx = app.store.write().await?;
    caller.lock(&mut tx, None).await?;
    let fixed = job_timings::fix_timings(&mut tx, job, &computed).await?;
    tx.commit().await?;
    Ok(fixed)
}

async fn recent_timings(conn: &mut Conn, job: &JobId) -> Result<Timings, StoreError> {
    let info = jobs::surroundings(conn, job).await?.info;
    let jobs = test_results::latest_jobs(conn, &info.project, &info.name, MAX_JOBS).await?;
    let mut results = Vec::with_capacity(jobs.len());
    for job in &jobs {
        results.push(test_results::of_job(conn, job).await?);
    }
    Ok(mean_timings(&results))
}
