//! `GET /api/v3/jobs/{id}/ssh`: the ways into the tasks of a job, `POST …/extend` and `…/end`: how long they
//! are held.

use axum::Json as JsonAnswer;
use axum::extract::State;
use russet_protocol::admin::Items;
use russet_protocol::ids::JobId;
use russet_protocol::ssh::{ExtendHold, MAX_EXTENSION_MS, SshItem};

use super::people::By;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::refs::JobRef;
use crate::audit;
use crate::ssh_ways::{list_ways, phase_of};
use crate::state::App;
use crate::store::ssh_accesses::{self, Access};
use crate::store::task_ssh::{self, TaskSsh};
use crate::store::{Conn, WriteTx, locks};

/// Returns the access to the tasks of a job.
pub(super) async fn find_access(conn: &mut Conn, job: &JobId) -> Result<Access, ApiError> {
    ssh_accesses::of_job(conn, job).await?.ok_or_else(|| no_access(job))
}

fn no_access(job: &JobId) -> ApiError {
    ApiError::NotFound(format!(
        "the job {job} is not one that is reached by SSH; `russet job rerun --ssh {job}` makes one"
    ))
}

/// Lists the ways into the tasks of a job.
async fn find_ways(conn: &mut Conn, job: &JobId) -> Result<Vec<SshItem>, ApiError> {
    list_ways(conn, job).await?.ok_or_else(|| no_access(job))
}

/// The ways into the tasks of a job that runs with SSH.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/jobs/{id}/ssh", tag = "admin", operation_id = "get_job_ssh",
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, description = "One for each task", body = russet_protocol::admin::Items<russet_protocol::ssh::SshItem>), (status = 404, description = "It is not there, the caller may not see it, or it does not run with SSH", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    JobRef(id): JobRef,
) -> Result<JsonAnswer<Items<SshItem>>, ApiError> {
    let items = find_ways(&mut app.store.read().await?, &id).await?;
    Ok(JsonAnswer(Items { items }))
}

/// Adds time to the hold of a job's tasks, up to a day in all.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/jobs/{id}/ssh/extend", tag = "admin", operation_id = "extend_job_ssh",
    params(("id" = String, Path, description = "The job"), ("as" = Option<String>, Query, description = "The one who asks")),
    request_body = russet_protocol::ssh::ExtendHold,
    responses((status = 200, description = "One for each task", body = russet_protocol::admin::Items<russet_protocol::ssh::SshItem>), (status = 404, description = "It is not there, the caller may not see it, or it does not run with SSH", body = russet_protocol::problem::Problem), (status = 409, description = "No task of it is held now", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn extend(
    State(app): State<App>,
    JobRef(id): JobRef,
    By(by): By,
    Json(wish): Json<ExtendHold, SMALL>,
) -> Result<JsonAnswer<Items<SshItem>>, ApiError> {
    let mut tx = app.store.write().await?;
    let open = open_tasks(&mut tx, &id).await?;
    audit::note_after(&serde_json::json!({"job": id, "extended_by_ms": wish.by_ms, "by": by}));
    for task in &open {
        task_ssh::extend(&mut tx, &task.task, wish.by_ms, MAX_EXTENSION_MS).await?;
    }
    answer(&app, tx, &id).await
}

/// Ends the hold of a job's tasks. Each then reports the outcome of its steps.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/jobs/{id}/ssh/end", tag = "admin", operation_id = "end_job_ssh",
    params(("id" = String, Path, description = "The job"), ("as" = Option<String>, Query, description = "The one who asks")),
    responses((status = 200, description = "One for each task", body = russet_protocol::admin::Items<russet_protocol::ssh::SshItem>), (status = 404, description = "It is not there, the caller may not see it, or it does not run with SSH", body = russet_protocol::problem::Problem), (status = 409, description = "No task of it is held now", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn end(
    State(app): State<App>,
    JobRef(id): JobRef,
    By(by): By,
) -> Result<JsonAnswer<Items<SshItem>>, ApiError> {
    let mut tx = app.store.write().await?;
    let open = open_tasks(&mut tx, &id).await?;
    audit::note_after(&serde_json::json!({"job": id, "ended_by": by}));
    for task in &open {
        task_ssh::end(&mut tx, &task.task, &by).await?;
    }
    answer(&app, tx, &id).await
}

async fn answer(
    app: &App,
    mut tx: WriteTx,
    job: &JobId,
) -> Result<JsonAnswer<Items<SshItem>>, ApiError> {
    let items = find_ways(&mut tx, job).await?;
    tx.commit().await?;
    tracing::debug!(job.id = %job, server = app.server.id, "somebody decided about a hold");
    Ok(JsonAnswer(Items { items }))
}

/// Returns the tasks of a job whose agents have said that they can be reached. None ends before the end of the
/// transaction.
async fn open_tasks(tx: &mut WriteTx, job: &JobId) -> Result<Vec<TaskSsh>, ApiError> {
    find_access(tx, job).await?;
    for task in task_ssh::of_job(tx, job).await? {
        locks::task(tx, &task.task).await?;
    }
    let mut open = task_ssh::of_job(tx, job).await?;
    open.retain(|task| phase_of(task).is_reachable());
    if open.is_empty() {
        let message =
            format!("no task of the job {job} can be reached now; `russet job show {job}`");
        return Err(ApiError::Conflict(message));
    }
    Ok(open)
}
