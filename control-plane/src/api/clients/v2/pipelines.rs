//! `/api/v2/pipeline` and the pipelines of `/api/v2/project`.

use axum::extract::State;
use axum::{Extension, Json};
use russet_protocol::admin::Pipeline;
use russet_protocol::ids::PipelineId;
use serde::Deserialize;
use serde_json::Value;

use super::forms;
use crate::api::Caller;
use crate::api::clients::page_place;
use crate::api::error::ApiError;
use crate::api::params::{Path, Query};
use crate::api::reach::Access;
use crate::api::refs::{PipelineRef, SlugRef};
use crate::name_ids::ORGANIZATION;
use crate::state::App;
use crate::store::pipeline_pages::{Filter, read_page};
use crate::store::pipelines::Cause;
use crate::store::{Conn, names, pipelines, projects};

/// Length of a page, which is CircleCI's.
const PAGE_LENGTH: u32 = 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Wanted {
    org_slug: Option<String>,
    mine: Option<bool>,
    branch: Option<String>,
    page_token: Option<String>,
}

/// Lists pipelines of an organization, the newest first.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/pipeline", tag = "clients", operation_id = "list_pipelines_v2",
    params(("org-slug" = Option<String>, Query, description = "Of this owner, such as `gh/acme`; of all without"), ("mine" = Option<bool>, Query, description = "Only those that the caller submitted"), ("page-token" = Option<String>, Query, description = "The `next_page_token` of the page before")),
    responses((status = 200, description = "The pipelines", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    access: Access,
    Extension(caller): Extension<Caller>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    let mut conn = app.store.read().await?;
    let reach = access.reach();
    let mut within = projects::within(&mut conn, &reach).await?;
    let owner = wanted.org_slug.as_deref().and_then(|slug| slug.rsplit('/').next());
    if let Some(owner) = owner.filter(|owner| !owner.eq_ignore_ascii_case(ORGANIZATION)) {
        let is_wanted = |name: &str| forms::owner_name(name) == owner;
        within = Some(projects::names_of(&mut conn, &reach, is_wanted).await?);
    }
    let filter = Filter { within, ..Filter::default() };
    let filter = of_caller(filter, wanted.mine == Some(true), &caller);
    answer_page(&mut conn, filter, wanted.page_token.as_deref()).await
}

/// Lists the pipelines of a project, the newest first.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/project/{host}/{owner}/{name}/pipeline", tag = "clients", operation_id = "list_project_pipelines_v2",
    params(("host" = String, Path, description = "The host's short name: `gh`, `bb`, `gl`, or `circleci` for any other"), ("owner" = String, Path, description = "The owner, which is the namespace here"), ("name" = String, Path, description = "The repository"), ("branch" = Option<String>, Query, description = "Of this branch"), ("page-token" = Option<String>, Query, description = "The `next_page_token` of the page before")),
    responses((status = 200, description = "The pipelines", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn of_project(
    State(app): State<App>,
    SlugRef(project): SlugRef,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    let filter = Filter { project: Some(project), branch: wanted.branch, ..Filter::default() };
    let mut conn = app.store.read().await?;
    answer_page(&mut conn, filter, wanted.page_token.as_deref()).await
}

/// Lists the pipelines of a project that the caller submitted.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/project/{host}/{owner}/{name}/pipeline/mine", tag = "clients", operation_id = "list_own_project_pipelines_v2",
    params(("host" = String, Path, description = "The host's short name: `gh`, `bb`, `gl`, or `circleci` for any other"), ("owner" = String, Path, description = "The owner, which is the namespace here"), ("name" = String, Path, description = "The repository"), ("page-token" = Option<String>, Query, description = "The `next_page_token` of the page before")),
    responses((status = 200, description = "The pipelines", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn own_of_project(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    SlugRef(project): SlugRef,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    let filter = Filter { project: Some(project), ..Filter::default() };
    let filter = of_caller(filter, true, &caller);
    let mut conn = app.store.read().await?;
    answer_page(&mut conn, filter, wanted.page_token.as_deref()).await
}

/// Returns the filter, where it is wanted bounded to what the caller submitted. The admin token has
/// submitted nothing by name.
fn of_caller(filter: Filter, is_wanted: bool, caller: &Caller) -> Filter {
    let author = || Some(caller.proved_name().unwrap_or_default().to_owned());
    Filter { author: is_wanted.then(author).flatten(), ..filter }
}

async fn answer_page(
    conn: &mut Conn,
    filter: Filter,
    token: Option<&str>,
) -> Result<Json<Value>, ApiError> {
    let after = page_place("page-token", token)?;
    let page = read_page(conn, &filter, after, PAGE_LENGTH).await?;
    let causes = pipelines::causes(conn, page.items.iter().map(|of| of.id.as_str())).await?;
    let none = Cause::default();
    let cause = |of: &Pipeline| causes.get(of.id.as_str()).unwrap_or(&none);
    let items: Vec<Value> = page.items.iter().map(|of| forms::pipeline(of, cause(of))).collect();
    Ok(Json(forms::page(&items, page.next.map(|place| place.to_string()))))
}

/// Reads a pipeline with its cause.
pub(in crate::api::clients) async fn read(
    conn: &mut Conn,
    id: &PipelineId,
) -> Result<(Pipeline, Cause), ApiError> {
    let unknown = || ApiError::NotFound("there is no such pipeline".to_owned());
    let pipeline = pipelines::get(conn, id).await?.ok_or_else(unknown)?;
    let mut causes = pipelines::causes(conn, std::iter::once(id.as_str())).await?;
    Ok((pipeline, causes.remove(id.as_str()).unwrap_or_default()))
}

/// Returns a pipeline.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/pipeline/{id}", tag = "clients", operation_id = "get_pipeline_v2",
    params(("id" = String, Path, description = "The pipeline")),
    responses((status = 200, description = "The pipeline", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    PipelineRef(id): PipelineRef,
) -> Result<Json<Value>, ApiError> {
    let (pipeline, cause) = read(&mut app.store.read().await?, &id).await?;
    Ok(Json(forms::pipeline(&pipeline, &cause)))
}

/// Numbered pipeline or job in a path.
#[derive(Debug, Deserialize)]
pub(super) struct Numbered {
    pub(super) number: u64,
}

/// Returns the pipeline of a number.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/project/{host}/{owner}/{name}/pipeline/{number}", tag = "clients", operation_id = "get_project_pipeline_v2",
    params(("host" = String, Path, description = "The host's short name: `gh`, `bb`, `gl`, or `circleci` for any other"), ("owner" = String, Path, description = "The owner, which is the namespace here"), ("name" = String, Path, description = "The repository"), ("number" = u64, Path, description = "Its number within the project")),
    responses((status = 200, description = "The pipeline", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn by_number(
    State(app): State<App>,
    SlugRef(project): SlugRef,
    Path(of): Path<Numbered>,
) -> Result<Json<Value>, ApiError> {
    let mut conn = app.store.read().await?;
    let unknown = || ApiError::NotFound("there is no such pipeline".to_owned());
    let found = names::pipeline_by_number(&mut conn, &project, of.number).await?;
    let (pipeline, cause) = read(&mut conn, &found.ok_or_else(unknown)?).await?;
    Ok(Json(forms::pipeline(&pipeline, &cause)))
}

/// Lists the workflows of a pipeline, the newest run first, on one page.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/pipeline/{id}/workflow", tag = "clients", operation_id = "list_pipeline_workflows_v2",
    params(("id" = String, Path, description = "The pipeline")),
    responses((status = 200, description = "The workflows", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn workflows(
    State(app): State<App>,
    PipelineRef(id): PipelineRef,
) -> Result<Json<Value>, ApiError> {
    let (pipeline, cause) = read(&mut app.store.read().await?, &id).await?;
    let all = pipeline.workflows.iter().rev();
    let items: Vec<Value> = all.map(|of| forms::workflow(of, &pipeline, &cause)).collect();
    Ok(Json(forms::page(&items, None)))
}
