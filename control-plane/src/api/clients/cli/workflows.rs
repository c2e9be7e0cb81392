//! Workflows, for CircleCI's command line.

use axum::Json;
use axum::extract::State;
use russet_protocol::ids::PipelineId;
use serde::Deserialize;
use serde_json::Value;

use super::{forms, visible};
use crate::api::clients::v2::{read_pipeline, read_workflow};
use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::api::reach::Access;
use crate::api::refs::WorkflowRef;
use crate::state::App;

#[derive(Debug, Deserialize)]
pub(super) struct OfRun {
    #[serde(rename = "filter[run_id]")]
    run: PipelineId,
}

/// Lists the workflows of a run.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/circleci/workflows", tag = "clients", operation_id = "list_run_workflows",
    params(("filter[run_id]" = String, Query, description = "The pipeline")),
    responses((status = 200, description = "The workflows", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn of_run(
    State(app): State<App>,
    access: Access,
    Query(of): Query<OfRun>,
) -> Result<Json<Value>, ApiError> {
    let found = read_pipeline(&mut app.store.read().await?, &of.run).await;
    let (pipeline, _) = visible(found, &access)?;
    let all = pipeline.workflows.iter();
    let all: Vec<Value> = all.map(|of| forms::workflow(of, &pipeline)).collect();
    Ok(Json(forms::list(&all, None)))
}

/// Returns a workflow.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/circleci/workflows/{id}", tag = "clients", operation_id = "get_run_workflow",
    params(("id" = String, Path, description = "The workflow")),
    responses((status = 200, description = "The workflow", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    WorkflowRef(id): WorkflowRef,
) -> Result<Json<Value>, ApiError> {
    let of = read_workflow(&mut app.store.read().await?, &id).await?;
    Ok(Json(forms::one(forms::workflow(&of.workflow, &of.pipeline))))
}
