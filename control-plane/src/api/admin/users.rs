//! `/api/v3/users` and `/api/v3/me`: accounts and their roles.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json as JsonAnswer};
use russet_protocol::admin::Items;
use russet_protocol::people::{Me, NewUser, Permission, SetRole, UserItem};

use super::claims::{check_namespace, claim_namespace};
use super::people::By;
use crate::api::Caller;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::audit;
use crate::people::{Rights, check_user_name};
use crate::state::App;
use crate::store::users::StoredUser;
use crate::store::{Conn, namespaces, user_sessions, user_tokens, users};

/// Finds an account by its name.
pub(super) async fn find_user(conn: &mut Conn, name: &str) -> Result<StoredUser, ApiError> {
    let found = users::find(conn, name).await?;
    found.ok_or_else(|| ApiError::NotFound(format!("there is no account `{name}`")))
}

/// Says who calls, and what the caller's token is limited to.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/me", tag = "people", operation_id = "get_me",
    responses((status = 200, description = "The caller", body = russet_protocol::people::Me)),
    security(("admin_token" = []))
))]
pub(super) async fn get_me(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<JsonAnswer<Me>, ApiError> {
    let user = match caller.person() {
        Some(person) => users::get(&mut app.store.read().await?, &person.id).await?,
        None => None,
    };
    let scopes = match caller.rights() {
        Some(Rights::Account { scopes, .. }) => scopes.iter().copied().collect(),
        _ => Permission::ALL.to_vec(),
    };
    Ok(JsonAnswer(Me { user: user.map(|user| user.item), scopes }))
}

/// Lists the accounts, by name.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/users", tag = "people", operation_id = "list_users",
    responses((status = 200, description = "The accounts", body = russet_protocol::admin::Items<russet_protocol::people::UserItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list(State(app): State<App>) -> Result<JsonAnswer<Items<UserItem>>, ApiError> {
    let all = users::list(&mut app.store.read().await?).await?;
    Ok(JsonAnswer(Items { items: all.into_iter().map(|user| user.item).collect() }))
}

/// Adds an account: a person, or a service account.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/users", tag = "people", operation_id = "add_user",
    request_body = russet_protocol::people::NewUser,
    responses((status = 201, description = "The account", body = russet_protocol::people::UserItem), (status = 400, description = "The name is refused", body = russet_protocol::problem::Problem), (status = 409, description = "There is an account of this name", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn add(
    State(app): State<App>,
    Json(new): Json<NewUser, SMALL>,
) -> Result<(StatusCode, JsonAnswer<UserItem>), ApiError> {
    check_user_name(&new.name).map_err(ApiError::Bad)?;
    let user = StoredUser::new(new.name, new.kind, new.role, app.now_ms());
    let mut tx = app.store.write().await?;
    audit::note_after(&user.item);
    if !users::insert(&mut tx, &user).await? {
        let message = format!("there is an account `{}` already", user.item.name);
        return Err(ApiError::Conflict(message));
    }
    tx.commit().await?;
    Ok((StatusCode::CREATED, JsonAnswer(user.item)))
}

/// Returns an account.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/users/{name}", tag = "people", operation_id = "get_user",
    params(("name" = String, Path, description = "Name of the account")),
    responses((status = 200, description = "The account", body = russet_protocol::people::UserItem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<JsonAnswer<UserItem>, ApiError> {
    let user = find_user(&mut app.store.read().await?, &name).await?;
    Ok(JsonAnswer(user.item))
}

/// Removes an account with its tokens and sessions. Calls that wait with one of them end.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/users/{name}", tag = "people", operation_id = "remove_user",
    params(("name" = String, Path, description = "Name of the account")),
    responses((status = 204, description = "Removed")),
    security(("admin_token" = []))
))]
pub(super) async fn remove(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let user = find_user(&mut tx, &name).await?;
    audit::note_before(&user.item);
    if let Some(owned) = namespaces::owned_by(&mut tx, &name).await?.first() {
        return Err(ApiError::Conflict(format!(
            "`{name}` owns the namespace `{owned}`; give it to another owner first: \
             `russet namespace set-owner`"
        )));
    }
    user_tokens::delete_all(&mut tx, &user.id).await?;
    users::remove(&mut tx, &user.id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives an account a role over the server or in a namespace, or takes it away.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/users/{name}/role", tag = "people", operation_id = "set_user_role",
    params(("name" = String, Path, description = "Name of the account")),
    request_body = russet_protocol::people::SetRole,
    responses((status = 200, description = "The account", body = russet_protocol::people::UserItem), (status = 400, description = "The namespace is refused", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn set_role(
    State(app): State<App>,
    Path(name): Path<String>,
    By(by): By,
    Json(request): Json<SetRole, SMALL>,
) -> Result<JsonAnswer<UserItem>, ApiError> {
    let mut tx = app.store.write().await?;
    let user = find_user(&mut tx, &name).await?;
    audit::note_before(&user.item);
    match &request.namespace {
        None => users::set_role(&mut tx, &user.id, request.role).await?,
        Some(namespace) => {
            check_namespace(namespace)?;
            audit::note_namespace(Some(namespace));
            claim_namespace(&app, &mut tx, namespace, &by).await?;
            users::set_namespace_role(&mut tx, &user.id, namespace, request.role).await?;
        }
    }
    let user = find_user(&mut tx, &name).await?;
    audit::note_after(&user.item);
    tx.commit().await?;
    Ok(JsonAnswer(user.item))
}

/// Ends all sessions of an account in browsers.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/users/{name}/sessions", tag = "people", operation_id = "end_user_sessions",
    params(("name" = String, Path, description = "Name of the account")),
    responses((status = 204, description = "They have ended")),
    security(("admin_token" = []))
))]
pub(super) async fn end_sessions(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let user = find_user(&mut tx, &name).await?;
    let ended = user_sessions::end_all(&mut tx, &user.id, None).await?;
    audit::note_after(&serde_json::json!({"sessions_ended": ended}));
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
