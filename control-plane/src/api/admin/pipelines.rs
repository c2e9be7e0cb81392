//! `GET /api/v3/pipelines`.

use axum::Json;
use axum::extract::State;
use russet_protocol::admin::{Page, Pipeline};
use russet_protocol::ids::PipelineId;

use super::lists::Wanted;
use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::api::reach::Access;
use crate::api::refs::PipelineRef;
use crate::state::App;
use crate::store::pipeline_pages::{OPEN_PIPELINES, Place, read_page};
use crate::store::{pipelines, projects};
use crate::traces::trace_of_pipeline;
use crate::waits::Explainer;

/// Pipelines, by the time of submission, a page at a time. A page may have fewer than `limit`, or
/// none, and still name a next one: a filter is applied to a part of the list at a time.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/pipelines", tag = "admin", operation_id = "list_pipelines",
    params(("project" = Option<String>, Query, description = "Of this project"), ("branch" = Option<String>, Query, description = "Of this branch"), ("author" = Option<String>, Query, description = "Submitted by this one"), ("state" = Option<String>, Query, description = "In this state: `queued`, `running`, `on_hold` or an outcome"), ("since" = Option<u64>, Query, description = "From this time on, in milliseconds since 1970"), ("until" = Option<u64>, Query, description = "Before this time"), ("sort" = Option<String>, Query, description = "`newest` (the default) or `oldest` first"), ("limit" = Option<u32>, Query, description = "At most so many; 50 by default, 200 at most"), ("page-token" = Option<String>, Query, description = "The `next_page_token` of the page before")),
    responses((status = 200, description = "The page", body = russet_protocol::admin::Page<russet_protocol::admin::Pipeline>), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    access: Access,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page<Pipeline>>, ApiError> {
    let after = wanted.place(Place::parse)?;
    let (mut filter, limit) = wanted.into_filter(&OPEN_PIPELINES)?;
    let mut conn = app.store.read().await?;
    filter.within = projects::within(&mut conn, &access.reach()).await?;
    let page = read_page(&mut conn, &filter, after, limit).await?;
    let next_page_token = page.next.map(|place| place.to_string());
    Ok(Json(Page { items: page.items, next_page_token }))
}

#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/pipelines/{id}", tag = "admin", operation_id = "get_pipelines",
    params(("id" = String, Path, description = "The pipeline")),
    responses((status = 200, description = "The pipeline", body = russet_protocol::admin::Pipeline), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    access: Access,
    PipelineRef(id): PipelineRef,
) -> Result<Json<Pipeline>, ApiError> {
    let mut conn = app.store.read().await?;
    let found = pipelines::get(&mut conn, &id).await?;
    let mut pipeline = found.ok_or_else(|| no_such_pipeline(&id))?;
    note_trace(&app, &mut pipeline);
    let mut explainer = Explainer::new(access.sight());
    for job in pipeline.workflows.iter_mut().flat_map(|workflow| &mut workflow.jobs) {
        explainer.explain_wait(&app, &mut conn, job).await?;
    }
    Ok(Json(pipeline))
}

/// Notes the id of the trace of a pipeline, where one is made.
pub(super) fn note_trace(app: &App, pipeline: &mut Pipeline) {
    if app.store.has_traces() && pipeline.trace_id.is_none() {
        pipeline.trace_id = Some(trace_of_pipeline(pipeline.id.as_str()).to_string());
    }
}

pub(super) fn no_such_pipeline(id: &PipelineId) -> ApiError {
    ApiError::NotFound(format!("there is no pipeline `{id}`"))
}
