//! Jobs, for CircleCI's command line.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use russet_protocol::ids::{JobId, WorkflowId};
use serde::Deserialize;
use serde_json::Value;

use super::forms::{self, Around};
use super::visible;
use crate::api::clients::v2::{InPipeline, read_pipeline, read_workflow, test_form};
use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::api::reach::Access;
use crate::api::refs::JobRef;
use crate::state::App;
use crate::store::{jobs as stored, steps, test_results};

#[derive(Debug, Deserialize)]
pub(super) struct OfWorkflow {
    #[serde(rename = "filter[workflow_id]")]
    workflow: WorkflowId,
}

/// Lists the jobs of a workflow.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/circleci/jobs", tag = "clients", operation_id = "list_run_jobs",
    params(("filter[workflow_id]" = String, Query, description = "The workflow")),
    responses((status = 200, description = "The jobs", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn of_workflow(
    State(app): State<App>,
    access: Access,
    Query(of): Query<OfWorkflow>,
) -> Result<Json<Value>, ApiError> {
    let mut conn = app.store.read().await?;
    let found = read_workflow(&mut conn, &of.workflow).await;
    let found = found.map(|InPipeline { workflow, pipeline, .. }| (pipeline, workflow));
    let (pipeline, workflow) = visible(found, &access)?;
    let heads = stored::job_heads(&mut conn, &of.workflow).await?;
    let around = Around {
        project: &pipeline.project,
        pipeline: pipeline.id.as_str(),
        workflow: of.workflow.as_str(),
    };
    let is_approval =
        |id: &JobId| heads.iter().any(|head| head.id == *id && head.kind.is_approval());
    let all = workflow.jobs.iter();
    let all: Vec<Value> =
        all.map(|of| forms::job(of, is_approval(&of.id), &around, None)).collect();
    Ok(Json(forms::list(&all, None)))
}

/// Returns a job with its steps.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/circleci/jobs/{id}", tag = "clients", operation_id = "get_run_job",
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, description = "The job", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    JobRef(id): JobRef,
) -> Result<Json<Value>, ApiError> {
    let mut conn = app.store.read().await?;
    let unknown = || ApiError::NotFound(format!("there is no job `{id}`"));
    let row = stored::get(&mut conn, &id).await?.ok_or_else(unknown)?;
    let (pipeline, _) = read_pipeline(&mut conn, &row.pipeline).await?;
    let is_approval = stored::is_approval(&mut conn, &id).await?;
    let steps: Vec<_> =
        steps::of_job(&mut conn, &id).await?.into_iter().map(|row| row.step).collect();
    let around = Around {
        project: &pipeline.project,
        pipeline: pipeline.id.as_str(),
        workflow: row.workflow.as_str(),
    };
    Ok(Json(forms::one(forms::job(&row.job, is_approval, &around, Some(&steps)))))
}

/// Lists the results of a job's tests, a line of JSON each.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/circleci/jobs/{id}/tests", tag = "clients", operation_id = "list_run_job_tests",
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, description = "The results", body = String, content_type = "application/jsonl"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn tests(
    State(app): State<App>,
    JobRef(id): JobRef,
) -> Result<impl IntoResponse, ApiError> {
    let all = test_results::of_job(&mut app.store.read().await?, &id).await?;
    let lines: String = all.iter().map(|of| format!("{}\n", test_form(of))).collect();
    Ok(([(CONTENT_TYPE, "application/jsonl")], lines))
}
