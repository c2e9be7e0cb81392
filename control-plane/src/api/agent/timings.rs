//! `GET /api/v3/task/test-timings`.

use axum::Json;
use axum::extract::State;
use russet_protocol::storage::Timings;

use crate::api::bearer::TaskCaller;
use crate::api::error::ApiError;
use crate::state::App;
use crate::store::{jobs, test_results};
use crate::timings::mean;

/// How many earlier jobs are looked at.
const JOBS: u32 = 10;

/// How long tests took lately, in jobs of the same name of the project.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/task/test-timings", tag = "agent", operation_id = "test_timings",
    responses((status = 200, description = "Seconds, by file, class and name", body = russet_protocol::storage::Timings), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn timings(
    State(app): State<App>,
    caller: TaskCaller,
) -> Result<Json<Timings>, ApiError> {
    caller.check(None)?;
    let mut conn = app.store.read().await?;
    let info = jobs::surroundings(&mut conn, &caller.held.job).await?.info;
    let jobs = test_results::latest_jobs(&mut conn, &info.project, &info.name, JOBS).await?;
    let mut results = Vec::with_capacity(jobs.len());
    for job in &jobs {
        results.push(test_results::of_job(&mut conn, job).await?);
    }
    Ok(Json(mean(&results)))
}
