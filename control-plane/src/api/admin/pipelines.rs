//! `GET /api/v3/pipelines`.

use axum::Json;
use axum::extract::State;
use russet_protocol::admin::{Items, Pipeline};
use russet_protocol::ids::PipelineId;
use serde::Deserialize;

use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::api::refs::PipelineRef;
use crate::state::App;
use crate::store::pipelines;
use crate::waits::Explainer;

/// Number of pipelines that are listed.
const LIST_LENGTH: u32 = 50;

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    project: Option<String>,
}

/// The latest pipelines, newest first.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/pipelines", tag = "admin", operation_id = "list_pipelines",
    params(("project" = Option<String>, Query, description = "Of this project")),
    responses((status = 200, description = "The latest, newest first", body = russet_protocol::admin::Items<russet_protocol::admin::Pipeline>), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    Query(filter): Query<Filter>,
) -> Result<Json<Items<Pipeline>>, ApiError> {
    let mut conn = app.store.read().await?;
    let items = pipelines::list(&mut conn, filter.project.as_deref(), LIST_LENGTH).await?;
    Ok(Json(Items { items }))
}

#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/pipelines/{id}", tag = "admin", operation_id = "get_pipelines",
    params(("id" = String, Path, description = "The pipeline")),
    responses((status = 200, description = "The pipeline", body = russet_protocol::admin::Pipeline), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    PipelineRef(id): PipelineRef,
) -> Result<Json<Pipeline>, ApiError> {
    let mut conn = app.store.read().await?;
    let found = pipelines::get(&mut conn, &id).await?;
    let mut pipeline = found.ok_or_else(|| no_such_pipeline(&id))?;
    let mut explainer = Explainer::default();
    for job in pipeline.workflows.iter_mut().flat_map(|workflow| &mut workflow.jobs) {
        explainer.explain_wait(&app, &mut conn, job).await?;
    }
    Ok(Json(pipeline))
}

pub(super) fn no_such_pipeline(id: &PipelineId) -> ApiError {
    ApiError::NotFound(format!("there is no pipeline `{id}`"))
}
