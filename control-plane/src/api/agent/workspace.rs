//! Layers of the workspace of a workflow.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use russet_protocol::ids::{JobId, WorkflowId};
use russet_protocol::storage::{PersistRequest, Workspace};
use serde_json::{Value, json};

use super::archives;
use crate::api::bearer::TaskCaller;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::keeping::delete_objects;
use crate::layers;
use crate::state::App;
use crate::store::{Conn, jobs, workspaces};
use crate::task_steps::mark_used;

async fn workflow_of(conn: &mut Conn, job: &JobId) -> Result<WorkflowId, ApiError> {
    let workflow = jobs::surroundings(conn, job).await?.info.workflow_id;
    workflow.ok_or_else(|| ApiError::NotFound("the job is of no workflow".to_owned()))
}

/// Names an archive as a layer of the workspace.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/task/workspace", tag = "agent", operation_id = "persist_to_workspace",
    request_body = russet_protocol::storage::PersistRequest,
    responses((status = 200, description = "Stored", body = serde_json::Value), (status = 410, description = "The archive has to be sent again", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn persist(
    State(app): State<App>,
    caller: TaskCaller,
    Json(request): Json<PersistRequest, SMALL>,
) -> Result<JsonAnswer<Value>, ApiError> {
    caller.check(Some(&request.allocation))?;
    let object = archives::archive_arrived(&app, &caller.held, &request.archive).await?;
    let expires_ms = app.clock.wall_ms().saturating_add(app.storage.workspace_retention_ms);
    let mut tx = app.store.write().await?;
    let held = caller.lock(&mut tx, Some(&request.allocation)).await?;
    let workflow = workflow_of(&mut tx, &held.job).await?;
    let archive = &request.archive;
    let gone = workspaces::insert(&mut tx, &held, &workflow, archive, &object, expires_ms).await?;
    mark_used(&app, &mut tx, &held).await?;
    tx.commit().await?;
    delete_objects(&app, gone).await;
    Ok(JsonAnswer(json!({})))
}

/// The layers of all jobs that the caller's job comes after.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/task/workspace", tag = "agent", operation_id = "workspace",
    responses((status = 200, description = "The layers, in their order", body = russet_protocol::storage::Workspace), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn layers(
    State(app): State<App>,
    caller: TaskCaller,
) -> Result<JsonAnswer<Workspace>, ApiError> {
    caller.check(None)?;
    let mut conn = app.store.read().await?;
    let workflow = workflow_of(&mut conn, &caller.held.job).await?;
    let graph = workspaces::workflow_graph(&mut conn, &workflow).await?;
    let stored = workspaces::of_workflow(&mut conn, &workflow, app.clock.wall_ms()).await?;
    Ok(JsonAnswer(Workspace { layers: layers::visible_layers(&graph, &caller.held.job, stored) }))
}

/// The archive of a layer, from an offset on with `Range: bytes=N-`.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/task/workspace/{id}/archive", tag = "agent", operation_id = "get_layer",
    params(("id" = String, Path, description = "Id of the layer")),
    responses((status = 200, description = "A tar archive compressed with zstd", body = Vec<u8>, content_type = "application/zstd"), (status = 206, description = "The rest of it", body = Vec<u8>, content_type = "application/zstd"), (status = 307, description = "Where the store has it, for callers that send `russet-direct: true`"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn download_layer(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    caller: TaskCaller,
) -> Result<Response, ApiError> {
    caller.check(None)?;
    let found = {
        let mut conn = app.store.read().await?;
        let workflow = workflow_of(&mut conn, &caller.held.job).await?;
        workspaces::find_archive(&mut conn, &workflow, &id).await?
    };
    archives::answer_archive(&app, &headers, found, "layer").await
}
