//! `GET /api/v3/pipelines`.

use axum::Json;
use axum::extract::State;
use russet_protocol::admin::{Items, Pipeline};
use russet_protocol::ids::PipelineId;
use serde::Deserialize;

use crate::api::error::ApiError;
use crate::api::params::{Path, Query};
use crate::state::App;
use crate::store::pipelines;

/// How many pipelines are listed.
const LIST_LENGTH: u32 = 50;

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    project: Option<String>,
}

/// The latest pipelines, newest first.
pub(super) async fn list(
    State(app): State<App>,
    Query(filter): Query<Filter>,
) -> Result<Json<Items<Pipeline>>, ApiError> {
    let mut conn = app.store.read().await?;
    let items = pipelines::list(&mut conn, filter.project.as_deref(), LIST_LENGTH).await?;
    Ok(Json(Items { items }))
}

pub(super) async fn get(
    State(app): State<App>,
    Path(id): Path<PipelineId>,
) -> Result<Json<Pipeline>, ApiError> {
    let mut conn = app.store.read().await?;
    let pipeline = pipelines::get(&mut conn, &id).await?;
    pipeline.map(Json).ok_or_else(|| no_such_pipeline(&id))
}

pub(super) fn no_such_pipeline(id: &PipelineId) -> ApiError {
    ApiError::NotFound(format!("there is no pipeline `{id}`"))
}
