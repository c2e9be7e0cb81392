//! Jobs of `/api/v2/project`, by their numbers.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use russet_protocol::ids::JobId;
use serde_json::Value;

use super::pipelines::Numbered;
use super::{forms, workflows};
use crate::api::clients::{artifact_url, origin_of};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::api::refs::SlugRef;
use crate::state::App;
use crate::store::{Conn, artifacts as stored_artifacts, jobs, names, test_results};

async fn find(conn: &mut Conn, project: &str, number: u64) -> Result<JobId, ApiError> {
    let found = names::job_by_number(conn, project, number).await?;
    found.ok_or_else(|| {
        ApiError::NotFound(format!("there is no job {number} in `{}`", project.escape_debug()))
    })
}

/// Returns a job with its details.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/project/{host}/{owner}/{name}/job/{number}", tag = "clients", operation_id = "get_job_v2",
    params(("host" = String, Path, description = "The host's short name: `gh`, `bb`, `gl`, or `circleci` for any other"), ("owner" = String, Path, description = "The owner, which is the namespace here"), ("name" = String, Path, description = "The repository"), ("number" = u64, Path, description = "`CIRCLE_BUILD_NUM`")),
    responses((status = 200, description = "The job", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    SlugRef(project): SlugRef,
    Path(of): Path<Numbered>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let mut conn = app.store.read().await?;
    let id = find(&mut conn, &project, of.number).await?;
    let unknown = || ApiError::NotFound("there is no such job".to_owned());
    let row = jobs::get(&mut conn, &id).await?.ok_or_else(unknown)?;
    let of = workflows::read(&mut conn, &row.workflow).await?;
    let heads = jobs::job_heads(&mut conn, &row.workflow).await?;
    let head = heads.iter().find(|head| head.id == id);
    let around = forms::Around {
        project: &project,
        cause: &of.cause,
        pipeline: &of.pipeline,
        workflow: &of.workflow,
        contexts: head.map(|head| head.contexts.as_slice()).unwrap_or_default(),
        origin: &origin_of(&app, &headers),
    };
    Ok(Json(forms::job_details(&row.job, &around)))
}

/// Lists the artifacts of a job, on one page. They are fetched with the same token.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/project/{host}/{owner}/{name}/{number}/artifacts", tag = "clients", operation_id = "list_job_artifacts_v2",
    params(("host" = String, Path, description = "The host's short name: `gh`, `bb`, `gl`, or `circleci` for any other"), ("owner" = String, Path, description = "The owner, which is the namespace here"), ("name" = String, Path, description = "The repository"), ("number" = u64, Path, description = "`CIRCLE_BUILD_NUM`")),
    responses((status = 200, description = "The artifacts", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn artifacts(
    State(app): State<App>,
    SlugRef(project): SlugRef,
    Path(of): Path<Numbered>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let mut conn = app.store.read().await?;
    let id = find(&mut conn, &project, of.number).await?;
    let origin = origin_of(&app, &headers);
    let url = |path: &str| artifact_url(&origin, &id, path);
    let all = stored_artifacts::of_job(&mut conn, &id).await?;
    let items: Vec<Value> =
        all.iter().map(|of| forms::artifact(&of.item, &url(&of.item.path))).collect();
    Ok(Json(forms::page(&items, None)))
}

/// Lists the results of a job's tests, on one page.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/project/{host}/{owner}/{name}/{number}/tests", tag = "clients", operation_id = "list_job_tests_v2",
    params(("host" = String, Path, description = "The host's short name: `gh`, `bb`, `gl`, or `circleci` for any other"), ("owner" = String, Path, description = "The owner, which is the namespace here"), ("name" = String, Path, description = "The repository"), ("number" = u64, Path, description = "`CIRCLE_BUILD_NUM`")),
    responses((status = 200, description = "The results", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn tests(
    State(app): State<App>,
    SlugRef(project): SlugRef,
    Path(of): Path<Numbered>,
) -> Result<Json<Value>, ApiError> {
    let mut conn = app.store.read().await?;
    let id = find(&mut conn, &project, of.number).await?;
    let items: Vec<Value> =
        test_results::of_job(&mut conn, &id).await?.iter().map(forms::test).collect();
    Ok(Json(forms::page(&items, None)))
}
