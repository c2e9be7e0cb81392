//! `/api/v3/projects/{project}/settings`.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::project_settings::ProjectSettings;

use super::keeping::require_project;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::audit;
use crate::state::App;
use crate::store::{git_connections, project_settings};

/// Longest name of a branch, in bytes.
const MAX_BRANCH_BYTES: usize = 255;

/// The settings of a project; one that has set none has those that a project has at first.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/projects/{project}/settings", tag = "admin", operation_id = "get_project_settings",
    params(("project" = String, Path, description = "The project; its slash is written %2F")),
    responses((status = 200, description = "The settings", body = russet_protocol::project_settings::ProjectSettings), (status = 404, description = "The caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<JsonAnswer<ProjectSettings>, ApiError> {
    let mut conn = app.store.read().await?;
    Ok(JsonAnswer(project_settings::get(&mut conn, &project).await?.settings))
}

/// Sets all settings of a project.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/projects/{project}/settings", tag = "admin", operation_id = "put_project_settings",
    params(("project" = String, Path, description = "The project; its slash is written %2F")),
    request_body = russet_protocol::project_settings::ProjectSettings,
    responses((status = 204, description = "Set"), (status = 400, description = "The name of the branch is refused", body = russet_protocol::problem::Problem), (status = 404, description = "There is no such project", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn put(
    State(app): State<App>,
    Path(project): Path<String>,
    Json(settings): Json<ProjectSettings, SMALL>,
) -> Result<StatusCode, ApiError> {
    let branch = &settings.default_branch;
    if branch.is_empty() || branch.len() > MAX_BRANCH_BYTES || branch.chars().any(char::is_control)
    {
        let message = format!("default_branch: 1 to {MAX_BRANCH_BYTES} characters are needed");
        return Err(ApiError::Bad(message));
    }
    let mut tx = app.store.write().await?;
    // One that is connected may have had no pipeline yet.
    if git_connections::get(&mut tx, &project).await?.is_none() {
        require_project(&mut tx, &project).await?;
    }
    audit::note_before(&project_settings::get(&mut tx, &project).await?.settings);
    audit::note_after(&settings);
    project_settings::put(&mut tx, &project, &settings, app.clock.wall_ms()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
