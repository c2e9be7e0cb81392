//! `/api/v3/orbs`: orbs for the configurations of all projects.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_pipeline::Orbs;
use russet_protocol::admin::{Items, Orb, OrbItem, PutOrb};
use russet_protocol::problem::Problem;

use crate::api::body::Json;
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::audit;
use crate::state::App;
use crate::store::orbs;

/// Namespace, name and version.
type Place = (String, String, String);

/// All orbs by name.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/orbs", tag = "admin", operation_id = "list_orbs",
    responses((status = 200, description = "All of them by name and version", body = russet_protocol::admin::Items<russet_protocol::admin::OrbItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list(State(app): State<App>) -> Result<JsonAnswer<Items<OrbItem>>, ApiError> {
    let items = orbs::list(&mut app.store.read().await?).await?;
    Ok(JsonAnswer(Items { items }))
}

/// An orb with its source.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/orbs/{namespace}/{name}/{version}", tag = "admin", operation_id = "get_orb",
    params(("namespace" = String, Path, description = "Before the slash"), ("name" = String, Path, description = "Behind it"), ("version" = String, Path, description = "Such as 1.2.3")),
    responses((status = 200, description = "The orb", body = russet_protocol::admin::Orb), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    Path((namespace, name, version)): Path<Place>,
) -> Result<JsonAnswer<Orb>, ApiError> {
    let name = format!("{namespace}/{name}");
    let source = orbs::source(&mut app.store.read().await?, &name, &version).await?;
    let source = source.ok_or_else(|| no_such_orb(&name, &version))?;
    Ok(JsonAnswer(Orb { name, version, source }))
}

/// Adds an orb, whose source has to be one.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/orbs/{namespace}/{name}/{version}", tag = "admin", operation_id = "put_orb",
    params(("namespace" = String, Path, description = "Before the slash"), ("name" = String, Path, description = "Behind it"), ("version" = String, Path, description = "1.2.3, or dev:name")),
    request_body = russet_protocol::admin::PutOrb,
    responses((status = 204, description = "It is there"), (status = 409, description = "This version is there with another source", body = russet_protocol::problem::Problem), (status = 422, description = "It is no orb", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn put(
    State(app): State<App>,
    Path((namespace, name, version)): Path<Place>,
    Json(body): Json<PutOrb>,
) -> Result<StatusCode, ApiError> {
    let orb = Orb { name: format!("{namespace}/{name}"), version, source: body.source };
    if !russet_pipeline::is_orb_name(&orb.name) || !russet_pipeline::is_orb_version(&orb.version) {
        let Orb { name, version, .. } = &orb;
        return Err(ApiError::Bad(format!(
            "`{name}@{version}` names no orb: it is namespace/name@1.2.3, or @dev:name"
        )));
    }
    let orb = checked(orb).await?;
    let mut tx = app.store.write().await?;
    let known = orbs::source(&mut tx, &orb.name, &orb.version).await?;
    let was_there = known.is_some();
    let is_other = known.is_some_and(|source| source != orb.source);
    // Configurations pin versions, and mean the same by them tomorrow.
    if is_other && !orb.version.starts_with("dev:") {
        let Orb { name, version, .. } = &orb;
        return Err(ApiError::Conflict(format!(
            "`{name}@{version}` is there with another source; give this one another version, or \
             remove that one first"
        )));
    }
    if was_there {
        audit::note_before(&serde_json::json!({"orb": orb.name, "version": orb.version}));
    }
    audit::note_after(&serde_json::json!({"orb": orb.name, "version": orb.version}));
    orbs::put(&mut tx, &orb, app.clock.wall_ms()).await?;
    tx.commit().await?;
    tracing::info!(orb = orb.name, version = orb.version, "an orb was added");
    Ok(StatusCode::NO_CONTENT)
}

/// Lets the compiler look at an orb, on another thread.
async fn checked(orb: Orb) -> Result<Orb, ApiError> {
    let work = move || {
        let Orb { name, version, source } = &orb;
        let found = russet_pipeline::check_orb(name, version, source, &Orbs(None));
        (found, orb)
    };
    let (found, orb) = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::Internal(error.into()))?;
    found.map_err(|errors| {
        ApiError::Unprocessable(Problem {
            message: format!("`{}@{}` is no orb", orb.name, orb.version),
            hint: None,
            diagnostics: errors.0.iter().map(ToString::to_string).collect(),
        })
    })?;
    Ok(orb)
}

/// Removes an orb.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/orbs/{namespace}/{name}/{version}", tag = "admin", operation_id = "remove_orb",
    params(("namespace" = String, Path, description = "Before the slash"), ("name" = String, Path, description = "Behind it"), ("version" = String, Path, description = "Such as 1.2.3")),
    responses((status = 204, description = "It is gone"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove(
    State(app): State<App>,
    Path((namespace, name, version)): Path<Place>,
) -> Result<StatusCode, ApiError> {
    let name = format!("{namespace}/{name}");
    let mut tx = app.store.write().await?;
    audit::note_before(&serde_json::json!({"orb": name, "version": version}));
    if !orbs::remove(&mut tx, &name, &version).await? {
        return Err(no_such_orb(&name, &version));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn no_such_orb(name: &str, version: &str) -> ApiError {
    ApiError::NotFound(format!("there is no orb `{name}@{version}`"))
}
