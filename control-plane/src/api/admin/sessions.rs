//! `/api/v3/me/sessions` and `/api/v3/users/{name}/sessions`: sessions of people in browsers, one by one.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json as JsonAnswer};
use russet_protocol::admin::Items;
use russet_protocol::ids::UserId;
use russet_protocol::people::{ChangePassword, SessionItem};
use serde::Deserialize;

use super::people::own_account;
use super::users::find_user;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::{Path, Query};
use crate::api::{Caller, ClientAddress};
use crate::audit;
use crate::credentials::TokenHash;
use crate::sign_in::{SignInError, change_password};
use crate::state::App;
use crate::store::user_sessions;

async fn list_sessions(
    app: &App,
    user: &UserId,
    current: Option<TokenHash>,
) -> Result<JsonAnswer<Items<SessionItem>>, ApiError> {
    let mut conn = app.store.read().await?;
    let all = user_sessions::list(&mut conn, user, current.as_ref(), app.now_s()).await?;
    Ok(JsonAnswer(Items { items: all.into_iter().map(|(_, item)| item).collect() }))
}

async fn end_session(app: &App, user: &UserId, wanted: &str) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let all = user_sessions::list(&mut tx, user, None, app.now_s()).await?;
    let found = all.into_iter().find(|(_, item)| item.id == wanted);
    let (id, item) =
        found.ok_or_else(|| ApiError::NotFound("there is no such session".to_owned()))?;
    audit::note_before(&item);
    user_sessions::end(&mut tx, &id, user).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the caller's sessions in browsers, the newest first.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/me/sessions", tag = "people", operation_id = "list_own_sessions",
    responses((status = 200, description = "The sessions", body = russet_protocol::admin::Items<russet_protocol::people::SessionItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list_own(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<JsonAnswer<Items<SessionItem>>, ApiError> {
    let person = own_account(&caller)?;
    list_sessions(&app, &person.id, caller.session_id()).await
}

/// Lists the sessions of an account in browsers, the newest first.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/users/{name}/sessions", tag = "people", operation_id = "list_user_sessions",
    params(("name" = String, Path, description = "Name of the account")),
    responses((status = 200, description = "The sessions", body = russet_protocol::admin::Items<russet_protocol::people::SessionItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<JsonAnswer<Items<SessionItem>>, ApiError> {
    let user = find_user(&mut app.store.read().await?, &name).await?;
    list_sessions(&app, &user.id, caller.session_id()).await
}

/// Ends a session of the caller.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/me/sessions/{id}", tag = "people", operation_id = "end_own_session",
    params(("id" = String, Path, description = "Id of the session")),
    responses((status = 204, description = "It has ended")),
    security(("admin_token" = []))
))]
pub(super) async fn end_own(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let person = own_account(&caller)?;
    end_session(&app, &person.id, &id).await
}

/// Ends a session of an account.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/users/{name}/sessions/{id}", tag = "people", operation_id = "end_user_session",
    params(("name" = String, Path, description = "Name of the account"), ("id" = String, Path, description = "Id of the session")),
    responses((status = 204, description = "It has ended")),
    security(("admin_token" = []))
))]
pub(super) async fn end(
    State(app): State<App>,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let user = find_user(&mut app.store.read().await?, &name).await?;
    end_session(&app, &user.id, &id).await
}

/// Sessions that are meant.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Kept {
    /// Keep the session of the call itself.
    #[serde(default)]
    keep_current: bool,
}

/// Ends the caller's sessions in browsers: all, or all others. What the account has allowed to command
/// lines that have not fetched their tokens is taken back.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/me/sessions", tag = "people", operation_id = "end_own_sessions",
    params(("keep_current" = Option<bool>, Query, description = "Keep the session of the call itself")),
    responses((status = 204, description = "They have ended")),
    security(("admin_token" = []))
))]
pub(super) async fn end_all_own(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(Kept { keep_current }): Query<Kept>,
) -> Result<StatusCode, ApiError> {
    let person = own_account(&caller)?;
    let mut tx = app.store.write().await?;
    let kept = caller.session_id().filter(|_| keep_current);
    let ended = user_sessions::end_all(&mut tx, &person.id, kept.as_ref()).await?;
    audit::note_after(&serde_json::json!({"sessions_ended": ended}));
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes the caller's password. All other sessions of the account end.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/me/password", tag = "people", operation_id = "change_own_password",
    request_body = russet_protocol::people::ChangePassword,
    responses((status = 204, description = "Changed"), (status = 400, description = "The present password is wrong, or the new one is refused", body = russet_protocol::problem::Problem), (status = 409, description = "The account has no password", body = russet_protocol::problem::Problem), (status = 429, description = "Too many attempts failed", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn change_own_password(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(address): Extension<ClientAddress>,
    Json(change): Json<ChangePassword, SMALL>,
) -> Result<StatusCode, ApiError> {
    let person = own_account(&caller)?;
    change_password(&app, person, caller.session_id(), address.0, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Self::Bad("the present password is wrong".to_owned()),
            SignInError::TooMany(wait_s) => Self::Slowed(wait_s),
            SignInError::Refused(words) => Self::Bad(words),
            error @ SignInError::NoPassword => Self::Conflict(error.to_string()),
            error @ SignInError::Link => Self::Bad(error.to_string()),
            SignInError::Store(error) => error.into(),
            error @ SignInError::Password(_) => Self::internal(error),
        }
    }
}
