//! `/api/v2/project/{slug}`.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::forms;
use crate::api::error::ApiError;
use crate::api::refs::SlugRef;
use crate::state::App;
use crate::store::{git_connections, names, pipelines};

/// Returns a project, with the repository that it is connected to, or else that of its latest
/// pipeline.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/project/{host}/{owner}/{name}", tag = "clients", operation_id = "get_project_v2",
    params(("host" = String, Path, description = "The host's short name: `gh`, `bb`, `gl`, or `circleci` for any other"), ("owner" = String, Path, description = "The owner, which is the namespace here"), ("name" = String, Path, description = "The repository")),
    responses((status = 200, description = "The project", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    SlugRef(project): SlugRef,
) -> Result<Json<Value>, ApiError> {
    let mut conn = app.store.read().await?;
    if let Some(of) = git_connections::get(&mut conn, &project).await? {
        let (url, branch) = (of.item.url, of.item.default_branch);
        return Ok(Json(forms::project(&project, Some(&url), branch.as_deref())));
    }
    let latest = names::latest_of_project(&mut conn, &project).await?;
    let causes = pipelines::causes(&mut conn, latest.iter().map(|id| id.as_str())).await?;
    let url = causes.into_values().next().and_then(|cause| cause.repository_url);
    Ok(Json(forms::project(&project, url.as_deref(), None)))
}
