//! `/api/v2/workflow`.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use russet_protocol::admin::{Pipeline, Workflow};
use russet_protocol::ids::WorkflowId;
use serde_json::Value;

use super::{forms, pipelines};
use crate::api::error::ApiError;
use crate::api::refs::WorkflowRef;
use crate::slugs::slug_of;
use crate::state::App;
use crate::store::pipelines::Cause;
use crate::store::{Conn, jobs as stored, runs};

/// A workflow of a pipeline that was read with its cause.
#[derive(Debug)]
pub(in crate::api::clients) struct InPipeline {
    pub(in crate::api::clients) workflow: Workflow,
    pub(in crate::api::clients) pipeline: Pipeline,
    pub(in crate::api::clients) cause: Cause,
}

/// Reads a workflow with its pipeline, which has it with all its jobs.
pub(in crate::api::clients) async fn read(
    conn: &mut Conn,
    id: &WorkflowId,
) -> Result<InPipeline, ApiError> {
    let unknown = || ApiError::NotFound("there is no such workflow".to_owned());
    let run = runs::get(conn, id).await?.ok_or_else(unknown)?;
    let (pipeline, cause) = pipelines::read(conn, &run.pipeline).await?;
    let found = pipeline.workflows.iter().find(|of| of.id == *id).cloned();
    Ok(InPipeline { workflow: found.ok_or_else(unknown)?, pipeline, cause })
}

/// Returns a workflow.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/workflow/{id}", tag = "clients", operation_id = "get_workflow_v2",
    params(("id" = String, Path, description = "The workflow")),
    responses((status = 200, description = "The workflow", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    WorkflowRef(id): WorkflowRef,
) -> Result<Json<Value>, ApiError> {
    let of = read(&mut app.store.read().await?, &id).await?;
    Ok(Json(forms::workflow(&of.workflow, &of.pipeline, &of.cause)))
}

/// Lists the jobs of a workflow, on one page.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/workflow/{id}/job", tag = "clients", operation_id = "list_workflow_jobs_v2",
    params(("id" = String, Path, description = "The workflow")),
    responses((status = 200, description = "The jobs", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn jobs(
    State(app): State<App>,
    WorkflowRef(id): WorkflowRef,
) -> Result<Json<Value>, ApiError> {
    let mut conn = app.store.read().await?;
    let InPipeline { workflow, pipeline, cause } = read(&mut conn, &id).await?;
    let heads = stored::job_heads(&mut conn, &id).await?;
    let heads: HashMap<_, _> = heads.iter().map(|head| (head.id.as_str(), head)).collect();
    let slug = slug_of(&pipeline.project, cause.repository_url.as_deref());
    let all = &workflow.jobs;
    let show = |job| forms::workflow_job(job, heads.get(job.id.as_str()).copied(), all, &slug);
    let items: Vec<Value> = all.iter().map(show).collect();
    Ok(Json(forms::page(&items, None)))
}
