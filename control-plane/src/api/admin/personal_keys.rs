//! `/api/v3/me/ssh-keys`: public keys of the caller, with which they reach tasks by SSH.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json as JsonAnswer};
use russet_protocol::admin::Items;
use russet_protocol::ids::PersonalKeyId;
use russet_protocol::ssh::{NewPersonalKey, PersonalKeyItem};

use super::people::own_account;
use crate::api::Caller;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::audit;
use crate::public_key::read_public;
use crate::state::App;
use crate::store::{user_ssh_keys, users};
use crate::text::rfc3339;

/// The most keys of an account.
const MAX_KEYS: u64 = 20;

/// The most characters of a name.
const MAX_NAME_CHARS: usize = 100;

/// Lists the public keys of the caller.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/me/ssh-keys", tag = "people", operation_id = "list_own_ssh_keys",
    responses((status = 200, description = "The keys", body = russet_protocol::admin::Items<russet_protocol::ssh::PersonalKeyItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list_own(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<JsonAnswer<Items<PersonalKeyItem>>, ApiError> {
    let person = own_account(&caller)?;
    let items = user_ssh_keys::list(&mut app.store.read().await?, &person.id).await?;
    Ok(JsonAnswer(Items { items }))
}

/// Keeps a public key of the caller, for reruns with SSH that they ask for from now on.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/me/ssh-keys", tag = "people", operation_id = "add_own_ssh_key",
    request_body = russet_protocol::ssh::NewPersonalKey,
    responses((status = 201, description = "The key", body = russet_protocol::ssh::PersonalKeyItem), (status = 400, description = "It is no key, or too weak", body = russet_protocol::problem::Problem), (status = 409, description = "It is kept already", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn add_own(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Json(new): Json<NewPersonalKey, SMALL>,
) -> Result<(StatusCode, JsonAnswer<PersonalKeyItem>), ApiError> {
    let person = own_account(&caller)?;
    let read = read_public(&new.key).map_err(|error| ApiError::Bad(format!("key: {error}")))?;
    let name = russet_text::one_line_within(new.name.trim(), MAX_NAME_CHARS);
    let now_ms = app.clock.wall_ms();
    let item = PersonalKeyItem {
        id: PersonalKeyId::generate(),
        name: if name.is_empty() { read.comment } else { name },
        key: read.line,
        fingerprint: read.fingerprint,
        created_at: rfc3339(now_ms),
    };
    audit::note_after(&item);
    let mut tx = app.store.write().await?;
    // Somebody may have removed the account meanwhile.
    if users::get(&mut tx, &person.id).await?.is_none() {
        return Err(ApiError::NotFound(format!("there is no account `{}`", person.name)));
    }
    if user_ssh_keys::count(&mut tx, &person.id).await? >= MAX_KEYS {
        let message = format!("`{}` has {MAX_KEYS} keys already; remove some first", person.name);
        return Err(ApiError::Conflict(message));
    }
    if !user_ssh_keys::insert(&mut tx, &person.id, &item, now_ms).await? {
        return Err(ApiError::Conflict(format!("the key {} is kept already", item.fingerprint)));
    }
    tx.commit().await?;
    Ok((StatusCode::CREATED, JsonAnswer(item)))
}

/// Removes a public key of the caller. Tasks that it may log in to already stay open to it.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/me/ssh-keys/{id}", tag = "people", operation_id = "remove_own_ssh_key",
    params(("id" = String, Path, description = "Id of the key")),
    responses((status = 204, description = "Removed"), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove_own(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<PersonalKeyId>,
) -> Result<StatusCode, ApiError> {
    let person = own_account(&caller)?;
    let mut tx = app.store.write().await?;
    let keys = user_ssh_keys::list(&mut tx, &person.id).await?;
    keys.iter().filter(|item| item.id == id).for_each(audit::note_before);
    if !user_ssh_keys::remove(&mut tx, &person.id, &id).await? {
        return Err(ApiError::NotFound("there is no such key".to_owned()));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
