//! `/api/v3/me/tokens` and `/api/v3/users/{name}/tokens`: personal tokens.
//!
//! Threat: a token that leaked makes itself others that outlive it or do more. A token is made by one
//! that covers its scopes and does not end before it, is revoked with that one, and administrators make
//! tokens of service accounts alone, never of other people.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json as JsonAnswer};
use russet_protocol::admin::Items;
use russet_protocol::ids::{PersonalTokenId, UserId};
use russet_protocol::people::{NewPersonalToken, PersonalTokenItem, UserKind};

use super::people::own_account;
use super::users::find_user;
use crate::api::Caller;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::audit;
use crate::people::Denial;
use crate::personal_tokens::{NewTokenError, end_of_request, insert_token, normalize_request};
use crate::state::App;
use crate::store::user_tokens;

/// Lists the caller's personal tokens, without the tokens themselves.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/me/tokens", tag = "people", operation_id = "list_own_tokens",
    responses((status = 200, description = "The tokens", body = russet_protocol::admin::Items<russet_protocol::people::PersonalTokenItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list_own(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<JsonAnswer<Items<PersonalTokenItem>>, ApiError> {
    let person = own_account(&caller)?;
    let items = user_tokens::list(&mut app.store.read().await?, &person.id).await?;
    Ok(JsonAnswer(Items { items }))
}

/// Makes a personal token for the caller. The answer is the only place where it is ever shown.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/me/tokens", tag = "people", operation_id = "create_own_token",
    request_body = russet_protocol::people::NewPersonalToken,
    responses((status = 201, description = "The token, shown this once", body = russet_protocol::people::PersonalTokenItem), (status = 400, description = "The scopes or the end are refused", body = russet_protocol::problem::Problem), (status = 403, description = "The caller's token has less right than the new one", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn create_own(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Json(new): Json<NewPersonalToken, SMALL>,
) -> Result<(StatusCode, JsonAnswer<PersonalTokenItem>), ApiError> {
    let person = own_account(&caller)?;
    make_token(&app, &caller, (&person.id, &person.name), new).await
}

/// Revokes a personal token of the caller, and those that were made with it. Calls that wait with one
/// of them end.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/me/tokens/{id}", tag = "people", operation_id = "revoke_own_token",
    params(("id" = String, Path, description = "Id of the token")),
    responses((status = 204, description = "Revoked")),
    security(("admin_token" = []))
))]
pub(super) async fn revoke_own(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<PersonalTokenId>,
) -> Result<StatusCode, ApiError> {
    let person = own_account(&caller)?;
    revoke_token(&app, &person.id, &id).await
}

/// Lists the tokens of an account, without the tokens themselves.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/users/{name}/tokens", tag = "people", operation_id = "list_user_tokens",
    params(("name" = String, Path, description = "Name of the account")),
    responses((status = 200, description = "The tokens", body = russet_protocol::admin::Items<russet_protocol::people::PersonalTokenItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<JsonAnswer<Items<PersonalTokenItem>>, ApiError> {
    let mut conn = app.store.read().await?;
    let user = find_user(&mut conn, &name).await?;
    let items = user_tokens::list(&mut conn, &user.id).await?;
    Ok(JsonAnswer(Items { items }))
}

/// Makes a token for a service account. The answer is the only place where it is ever shown.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/users/{name}/tokens", tag = "people", operation_id = "create_user_token",
    params(("name" = String, Path, description = "Name of the account")),
    request_body = russet_protocol::people::NewPersonalToken,
    responses((status = 201, description = "The token, shown this once", body = russet_protocol::people::PersonalTokenItem), (status = 400, description = "The scopes or the end are refused", body = russet_protocol::problem::Problem), (status = 409, description = "It is the account of a person, who makes their tokens", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(new): Json<NewPersonalToken, SMALL>,
) -> Result<(StatusCode, JsonAnswer<PersonalTokenItem>), ApiError> {
    let user = find_user(&mut app.store.read().await?, &name).await?;
    if user.item.kind == UserKind::Person {
        let message = format!("`{name}` is a person, who alone makes tokens of their own");
        return Err(ApiError::Conflict(message));
    }
    make_token(&app, &caller, (&user.id, &user.item.name), new).await
}

/// Revokes a token of an account, and those that were made with it. Calls that wait with one of them
/// end.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/users/{name}/tokens/{id}", tag = "people", operation_id = "revoke_user_token",
    params(("name" = String, Path, description = "Name of the account"), ("id" = String, Path, description = "Id of the token")),
    responses((status = 204, description = "Revoked")),
    security(("admin_token" = []))
))]
pub(super) async fn revoke(
    State(app): State<App>,
    Path((name, id)): Path<(String, PersonalTokenId)>,
) -> Result<StatusCode, ApiError> {
    let user = find_user(&mut app.store.read().await?, &name).await?;
    revoke_token(&app, &user.id, &id).await
}

async fn make_token(
    app: &App,
    caller: &Caller,
    (user, name): (&UserId, &str),
    new: NewPersonalToken,
) -> Result<(StatusCode, JsonAnswer<PersonalTokenItem>), ApiError> {
    let now_ms = app.now_ms();
    let new = normalize_request(new)?;
    check_within_caller(caller, &new, end_of_request(&new, now_ms))?;
    let token = caller.person().and_then(|person| person.token.as_ref());
    let parent = token.map(|token| &token.id);
    let mut tx = app.store.write().await?;
    let item = insert_token(&mut tx, (user, name), new, parent, now_ms).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, JsonAnswer(item)))
}

impl From<NewTokenError> for ApiError {
    fn from(error: NewTokenError) -> Self {
        let words = error.to_string();
        match error {
            NewTokenError::NoScope => Self::Bad(words),
            NewTokenError::NoAccount(_) | NewTokenError::NoParent => Self::NotFound(words),
            NewTokenError::TooMany(_) => Self::Conflict(words),
            NewTokenError::Random(error) => error.into(),
            NewTokenError::Store(error) => error.into(),
        }
    }
}

/// Refuses a token that may do more or lasts longer than the one that makes it.
fn check_within_caller(
    caller: &Caller,
    new: &NewPersonalToken,
    expires_ms: Option<u64>,
) -> Result<(), ApiError> {
    let rights = caller.rights().ok_or(ApiError::Denied(Denial::Credential))?;
    for scope in &new.scopes {
        if !rights.covers(&[*scope]) {
            return Err(ApiError::Denied(Denial::Scope(*scope)));
        }
    }
    let token = caller.person().and_then(|person| person.token.as_ref());
    let end = token.and_then(|token| token.expires_ms).and_then(|end| u64::try_from(end).ok());
    match (end, expires_ms) {
        (Some(end), Some(expires_ms)) if expires_ms <= end => Ok(()),
        (None, _) => Ok(()),
        (Some(_), _) => Err(ApiError::Bad(
            "a token cannot make one that lasts longer than itself; give an earlier end".to_owned(),
        )),
    }
}

async fn revoke_token(
    app: &App,
    user: &UserId,
    id: &PersonalTokenId,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let tokens = user_tokens::list(&mut tx, user).await?;
    tokens.iter().filter(|item| item.id == *id).for_each(audit::note_before);
    let Some(others) = user_tokens::delete(&mut tx, user, id).await? else {
        return Err(ApiError::NotFound("there is no such token".to_owned()));
    };
    if others > 0 {
        audit::note_after(&serde_json::json!({"revoked_with_it": others}));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
