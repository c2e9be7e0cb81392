//! `/api/v3/runner/token`: what launch agents claim with.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::admin::{Items, NewToken, TokenItem};
use russet_protocol::ids::TokenId;
use russet_protocol::resource_class::ResourceClass;
use serde::Deserialize;

use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::{Path, Query};
use crate::api::reach::Access;
use crate::audit;
use crate::credentials::{TokenHash, TokenKind, new_token};
use crate::state::App;
use crate::store::{classes, tokens};
use crate::text::rfc3339;

/// Shortest and longest life of a token that expires, in seconds: a second and ten years.
const MIN_LIFE_S: u64 = 1;
const MAX_LIFE_S: u64 = 10 * 365 * 86_400;

#[derive(Debug, Deserialize)]
pub(in crate::api) struct Filter {
    #[serde(rename = "resource-class")]
    resource_class: ResourceClass,
}

/// Lists the tokens of a class, without the tokens themselves.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/runner/token", tag = "admin", operation_id = "list_tokens",
    params(("resource-class" = String, Query, description = "The class")),
    responses((status = 200, description = "The tokens", body = russet_protocol::admin::Items<russet_protocol::admin::TokenItem>), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(in crate::api) async fn list(
    State(app): State<App>,
    Query(filter): Query<Filter>,
) -> Result<JsonAnswer<Items<TokenItem>>, ApiError> {
    let mut conn = app.store.read().await?;
    let items = tokens::list(&mut conn, &filter.resource_class).await?;
    Ok(JsonAnswer(Items { items }))
}

/// Makes a token. The answer is the only place where it is ever shown.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/runner/token", tag = "admin", operation_id = "create_tokens",
    request_body = russet_protocol::admin::NewToken,
    responses((status = 201, description = "The token, shown this once", body = russet_protocol::admin::TokenItem), (status = 400, description = "Its life is too short or too long", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(in crate::api) async fn create(
    State(app): State<App>,
    access: Access,
    Json(new): Json<NewToken, SMALL>,
) -> Result<(StatusCode, JsonAnswer<TokenItem>), ApiError> {
    let unknown =
        || ApiError::NotFound(format!("resource class not found: `{}`", new.resource_class));
    access.check_name(new.resource_class.as_str(), |_| unknown())?;
    let now_ms = app.clock.wall_ms();
    let expires_ms = new.expires_in_s.map(|seconds| end_of(seconds, now_ms)).transpose()?;
    let token = new_token(TokenKind::Class)?;
    let hash = TokenHash::of(token.expose());
    let id = TokenId::generate();
    let mut tx = app.store.write().await?;
    if !classes::exists(&mut tx, &new.resource_class).await? {
        return Err(unknown());
    }
    audit::note_after(
        &serde_json::json!({"id": id, "resource_class": new.resource_class, "nickname": new.nickname, "expires_ms": expires_ms}),
    );
    let row = tokens::NewRow {
        id: &id,
        class: &new.resource_class,
        nickname: &new.nickname,
        hash: &hash,
        created_ms: now_ms,
        expires_ms,
    };
    tokens::insert(&mut tx, &row).await?;
    tx.commit().await?;
    let item = TokenItem {
        id,
        resource_class: new.resource_class,
        nickname: new.nickname,
        created_at: rfc3339(now_ms),
        expires_at: expires_ms.map(rfc3339),
        last_used_at: None,
        token: Some(token),
    };
    Ok((StatusCode::CREATED, JsonAnswer(item)))
}

/// Returns the time at which a token that lasts for so many seconds ends, in milliseconds since 1970.
fn end_of(seconds: u64, now_ms: i64) -> Result<i64, ApiError> {
    if !(MIN_LIFE_S..=MAX_LIFE_S).contains(&seconds) {
        let words = format!("expires_in_s: {MIN_LIFE_S} to {MAX_LIFE_S} are allowed");
        return Err(ApiError::Bad(words));
    }
    let ms = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000);
    Ok(now_ms.saturating_add(ms))
}

/// Revokes a token: nothing is claimed with it any more, also not by a call that waits already.
/// Tasks that were claimed with it go on.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/runner/token/{id}", tag = "admin", operation_id = "revoke_tokens",
    params(("id" = String, Path, description = "The token")),
    responses((status = 204, description = "Revoked"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(in crate::api) async fn revoke(
    State(app): State<App>,
    Path(id): Path<TokenId>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let class = tokens::delete(&mut tx, &id).await?;
    let class = class.ok_or_else(|| ApiError::NotFound("there is no such token".to_owned()))?;
    audit::note_before(&serde_json::json!({"id": id, "resource_class": class}));
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
