//! Retention, pins, deletion and what holds the disk.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::ids::PipelineId;
use russet_protocol::keeping::{Retention, RetentionSettings, Usage};

use super::pipelines::no_such_pipeline;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::api::refs::PipelineRef;
use crate::audit;
use crate::keeping::delete_pipeline;
use crate::state::App;
use crate::store::retention::Stays;
use crate::store::{Conn, projects, retention, unnamed, usage};

/// The settings of retention: options of the server, settings of all projects, and of single ones.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/retention", tag = "admin", operation_id = "get_retention",
    responses((status = 200, description = "The settings", body = russet_protocol::keeping::RetentionSettings), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get_retention(
    State(app): State<App>,
) -> Result<JsonAnswer<RetentionSettings>, ApiError> {
    let mut projects = retention::settings(&mut app.store.read().await?).await?;
    let all = projects.remove("").unwrap_or_default();
    Ok(JsonAnswer(RetentionSettings { server: app.keeping.retention, all, projects }))
}

/// Sets the retention of all projects that have none of their own. What is beyond it goes at once.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/retention", tag = "admin", operation_id = "put_retention",
    request_body = russet_protocol::keeping::Retention,
    responses((status = 204, description = "Set"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn put_retention(
    State(app): State<App>,
    Json(settings): Json<Retention, SMALL>,
) -> Result<StatusCode, ApiError> {
    store_retention(&app, "", &settings).await
}

/// Sets the retention of a project. What is beyond it goes at once.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/projects/{project}/retention", tag = "admin", operation_id = "put_project_retention",
    params(("project" = String, Path, description = "The project")),
    request_body = russet_protocol::keeping::Retention,
    responses((status = 204, description = "Set"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn put_project_retention(
    State(app): State<App>,
    Path(project): Path<String>,
    Json(settings): Json<Retention, SMALL>,
) -> Result<StatusCode, ApiError> {
    require_project(&mut app.store.read().await?, &project).await?;
    store_retention(&app, &project, &settings).await
}

async fn store_retention(
    app: &App,
    project: &str,
    settings: &Retention,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let before = retention::settings(&mut tx).await?.remove(project);
    audit::note_before(&serde_json::json!({"project": project, "retention": before}));
    audit::note_after(&serde_json::json!({"project": project, "retention": settings}));
    retention::put(&mut tx, project, settings).await?;
    tx.commit().await?;
    app.keeper.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

/// Pins a pipeline: no retention deletes it or a part of it.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/pipelines/{id}/pin", tag = "admin", operation_id = "pin_pipeline",
    params(("id" = String, Path, description = "The pipeline")),
    responses((status = 204, description = "Pinned"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn pin_pipeline(
    State(app): State<App>,
    PipelineRef(id): PipelineRef,
) -> Result<StatusCode, ApiError> {
    set_pin(&app, &id, true).await
}

/// Unpins a pipeline.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/pipelines/{id}/pin", tag = "admin", operation_id = "unpin_pipeline",
    params(("id" = String, Path, description = "The pipeline")),
    responses((status = 204, description = "Unpinned"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn unpin_pipeline(
    State(app): State<App>,
    PipelineRef(id): PipelineRef,
) -> Result<StatusCode, ApiError> {
    set_pin(&app, &id, false).await
}

async fn set_pin(app: &App, id: &PipelineId, is_pinned: bool) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let was_pinned = retention::is_pinned(&mut tx, id).await?;
    audit::note_before(&serde_json::json!({"pipeline": id, "pinned": was_pinned}));
    audit::note_after(&serde_json::json!({"pipeline": id, "pinned": is_pinned}));
    if !retention::pin(&mut tx, id, is_pinned).await? {
        return Err(no_such_pipeline(id));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a pipeline with all that it has.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/pipelines/{id}", tag = "admin", operation_id = "delete_pipeline",
    params(("id" = String, Path, description = "The pipeline")),
    responses((status = 204, description = "Deleted: nobody sees it any more, and its room is given back soon"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "It has not ended, or is pinned", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove_pipeline(
    State(app): State<App>,
    PipelineRef(id): PipelineRef,
) -> Result<StatusCode, ApiError> {
    let project = projects::of_pipeline(&mut app.store.read().await?, &id).await?;
    audit::note_before(&serde_json::json!({"pipeline": id, "project": project}));
    match delete_pipeline(&app, &id).await? {
        None => {}
        Some(Stays::Unknown) => return Err(no_such_pipeline(&id)),
        Some(Stays::Running) => {
            let message = format!("the pipeline `{id}` has not ended; cancel it first");
            return Err(ApiError::Conflict(message));
        }
        Some(Stays::Pinned) => {
            let message = format!("the pipeline `{id}` is pinned; unpin it first");
            return Err(ApiError::Conflict(message));
        }
    }
    tracing::info!(pipeline.id = %id, "deleted");
    app.keeper.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a project: its pipelines, caches, variables, SSH keys and settings.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/projects/{project}", tag = "admin", operation_id = "delete_project",
    params(("project" = String, Path, description = "The project")),
    responses((status = 204, description = "Deleted: nobody sees it any more, and its room is given back soon"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "One of its pipelines has not ended, or is pinned; nothing was deleted", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove_project(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<StatusCode, ApiError> {
    let pipelines = {
        let mut conn = app.store.read().await?;
        require_project(&mut conn, &project).await?;
        let pipelines = projects::pipelines(&mut conn, &project).await?;
        // All of them are looked at first, so that a refusal changes nothing.
        for id in &pipelines {
            let (why, what) = match retention::obstacle(&mut conn, id).await? {
                Some(Stays::Running) => ("has not ended", "cancel"),
                Some(Stays::Pinned) => ("is pinned", "unpin"),
                Some(Stays::Unknown) | None => continue,
            };
            let message = format!("the pipeline `{id}` of the project {why}; {what} it first");
            return Err(ApiError::Conflict(message));
        }
        pipelines
    };
    let count = pipelines.len();
    audit::note_before(&serde_json::json!({"project": project, "pipelines": count}));
    for id in &pipelines {
        if let Some(Stays::Running | Stays::Pinned) = delete_pipeline(&app, id).await? {
            let message = format!("the pipeline `{id}` began to run or was pinned; try again");
            return Err(ApiError::Conflict(message));
        }
    }
    let mut tx = app.store.write().await?;
    projects::begin_deletion(&mut tx, &project, app.clock.wall_ms()).await?;
    tx.commit().await?;
    tracing::info!(project, pipelines = pipelines.len(), "deleted a project");
    app.keeper.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

/// Answers that there is no such project, where that is so.
pub(super) async fn require_project(conn: &mut Conn, project: &str) -> Result<(), ApiError> {
    if projects::exists(conn, project).await? {
        return Ok(());
    }
    Err(ApiError::NotFound(format!("there is no project `{}`", project.escape_debug())))
}

/// Says what holds the disk. It is counted while others work, so it is exact when nobody does.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/usage", tag = "admin", operation_id = "get_usage",
    responses((status = 200, description = "Bytes by project and kind", body = russet_protocol::keeping::Usage), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get_usage(State(app): State<App>) -> Result<JsonAnswer<Usage>, ApiError> {
    let (projects, sources, unnamed_objects) = {
        let mut conn = app.store.read().await?;
        let projects = usage::of_projects(&mut conn).await?;
        let sources = usage::of_sources(&mut conn).await?;
        (projects, sources, unnamed::count_noted(&mut conn).await?)
    };
    let (database, database_free) = app.store.size().await?;
    let of_project = |of: &russet_protocol::keeping::ProjectUsage| {
        of.output_packed + of.artifacts + of.caches + of.workspaces
    };
    let objects = projects.iter().map(of_project).sum::<u64>() + sources;
    Ok(JsonAnswer(Usage {
        projects,
        sources,
        objects,
        unnamed_objects,
        database,
        database_free,
        disk_free: app.space.free_bytes(),
    }))
}
