//! `/api/v3/limits`: most tasks at once of projects, namespaces and classes.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::admin::Items;
use russet_protocol::limits::{LimitItem, LimitScope, MAX_TASKS, SetLimit};
use russet_protocol::resource_class::ResourceClass;
use serde::Deserialize;

use super::people::By;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::api::reach::Access;
use crate::audit;
use crate::contention;
use crate::people::Reach;
use crate::room;
use crate::state::App;
use crate::store::task_limits::{self, Limit};
use crate::store::{Conn, StoreError, WriteTx};

/// Longest name, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// Limit in a path.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Which {
    scope: LimitScope,
    name: String,
}

/// Returns true for a limit that somebody may see.
fn is_visible(limit: &Limit, reach: &Reach) -> bool {
    match limit.scope {
        LimitScope::Namespace => reach.covers(Some(&limit.name)),
        LimitScope::Project | LimitScope::Class => reach.covers_name(&limit.name),
    }
}

async fn show(conn: &mut Conn, limit: Limit) -> Result<LimitItem, StoreError> {
    let used = task_limits::used(conn, limit.scope, &limit.name).await?;
    let waiting = task_limits::waiting(conn, limit.scope, &limit.name).await?;
    let Limit { scope, name, most, set_by, set_ms } = limit;
    Ok(LimitItem { scope, name, most, used, waiting, set_by, set_ms })
}

/// Lists the limits that the caller may see, with what is used of them.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/limits", tag = "admin", operation_id = "list_limits",
    responses((status = 200, description = "The limits", body = russet_protocol::admin::Items<russet_protocol::limits::LimitItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    access: Access,
) -> Result<JsonAnswer<Items<LimitItem>>, ApiError> {
    let reach = access.reach();
    let mut conn = app.store.read().await?;
    let mut items = Vec::new();
    for limit in task_limits::list(&mut conn).await? {
        if is_visible(&limit, &reach) {
            items.push(show(&mut conn, limit).await?);
        }
    }
    Ok(JsonAnswer(Items { items }))
}

/// Sets a limit. Tasks that are in line already stay there and count in it.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/limits/{scope}/{name}", tag = "admin", operation_id = "put_limit",
    params(("scope" = String, Path, description = "`project`, `namespace` or `class`"), ("name" = String, Path, description = "Its name; a slash is written %2F")),
    request_body = russet_protocol::limits::SetLimit,
    responses((status = 200, description = "The limit", body = russet_protocol::limits::LimitItem), (status = 400, description = "The name or the number is refused", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn put(
    State(app): State<App>,
    By(by): By,
    Path(which): Path<Which>,
    Json(wish): Json<SetLimit, SMALL>,
) -> Result<JsonAnswer<LimitItem>, ApiError> {
    check_name(&which)?;
    if !(1..=MAX_TASKS).contains(&wish.most) {
        return Err(ApiError::Bad(format!("most: 1 to {MAX_TASKS} tasks are allowed")));
    }
    let Which { scope, name } = which;
    let limit = Limit { scope, name, most: wish.most, set_by: by, set_ms: app.now_ms() };
    Ok(JsonAnswer(contention::retry(|| set(&app, &limit)).await?))
}

fn check_name(Which { scope, name }: &Which) -> Result<(), ApiError> {
    let is_text =
        !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control);
    let is_right = match scope {
        LimitScope::Project => is_text,
        LimitScope::Namespace => is_text && !name.contains('/'),
        LimitScope::Class => name.parse::<ResourceClass>().is_ok(),
    };
    if is_right {
        return Ok(());
    }
    Err(ApiError::Bad(format!("`{}` is no name of a {}", name.escape_debug(), scope.as_str())))
}

/// Notes for the audit log how a limit was, where there was one.
async fn note_before(tx: &mut WriteTx, scope: LimitScope, name: &str) -> Result<(), ApiError> {
    let all = task_limits::list(tx).await?;
    if let Some(before) = all.iter().find(|of| of.scope == scope && of.name == name) {
        audit::note_before(&SetLimit { most: before.most });
    }
    Ok(())
}

async fn set(app: &App, limit: &Limit) -> Result<LimitItem, ApiError> {
    let mut tx = app.store.write().await?;
    note_before(&mut tx, limit.scope, &limit.name).await?;
    audit::note_after(&SetLimit { most: limit.most });
    task_limits::put(&mut tx, limit).await?;
    room::give_room(&mut tx, app.clock.wall_ms()).await?;
    let item = show(&mut tx, limit.clone()).await?;
    tx.commit().await?;
    Ok(item)
}

/// Removes a limit. What waited for room in it alone stands in line from then on.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/limits/{scope}/{name}", tag = "admin", operation_id = "delete_limit",
    params(("scope" = String, Path, description = "`project`, `namespace` or `class`"), ("name" = String, Path, description = "Its name; a slash is written %2F")),
    responses((status = 204, description = "Removed"), (status = 404, description = "There is no such limit", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove(
    State(app): State<App>,
    Path(which): Path<Which>,
) -> Result<StatusCode, ApiError> {
    contention::retry(|| unset(&app, &which)).await
}

async fn unset(app: &App, Which { scope, name }: &Which) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    note_before(&mut tx, *scope, name).await?;
    if !task_limits::remove(&mut tx, *scope, name).await? {
        let (kind, name) = (scope.as_str(), name.escape_debug());
        return Err(ApiError::NotFound(format!("there is no limit of the {kind} `{name}`")));
    }
    room::give_room(&mut tx, app.clock.wall_ms()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
