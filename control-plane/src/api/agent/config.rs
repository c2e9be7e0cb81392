//! `GET /api/v2/task/config`.

use axum::Json;
use axum::extract::State;
use russet_protocol::secret::Secret;
use russet_protocol::task::{EnvVar, Source, TaskConfig};

use crate::api::bearer::TaskCaller;
use crate::api::error::ApiError;
use crate::scheduler::leases;
use crate::state::App;
use crate::store::jobs;

/// What the task is to do.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/task/config", tag = "agent", operation_id = "config_config",
    responses((status = 200, description = "What the task is to do", body = russet_protocol::task::TaskConfig), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn config(
    State(app): State<App>,
    caller: TaskCaller,
) -> Result<Json<TaskConfig>, ApiError> {
    caller.check(None)?;
    let held = caller.held;
    let mut conn = app.store.read().await?;
    let spec = jobs::spec(&mut conn, &held.job).await?;
    let around = jobs::surroundings(&mut conn, &held.job).await?;
    let mut info = around.info;
    info.url = app.public_url.as_ref().map(|origin| format!("{origin}/jobs/{}", held.job));
    let git = match (&info.repository_url, &info.revision) {
        (Some(url), Some(revision)) => Some(Source::Git {
            url: url.clone(),
            revision: revision.clone(),
            branch: info.branch.clone(),
            tag: info.tag.clone(),
        }),
        _ => None,
    };
    Ok(Json(TaskConfig {
        version: TaskConfig::VERSION,
        task_id: held.task,
        allocation: held.allocation,
        job: info,
        max_run_time_ms: None,
        environment: spec
            .environment
            .into_iter()
            .map(|(name, value)| EnvVar { name, value: Secret::new(value), masked: false })
            .collect(),
        masks: Vec::new(),
        shell: spec.shell,
        working_directory: spec.working_directory,
        source: around.source.map(|id| Source::Snapshot { id }).or(git),
        steps: spec.steps,
        heartbeat_ms: leases::heartbeat_ms(app.lease_ms),
    }))
}
