//! `/api/v3/admin-links` and `/api/v3/users/{name}/link`: links with which somebody sets a password.
//!
//! Threat: a link in a log signs somebody else in. Its code stands behind `#`, which browsers send to
//! nobody, so it is in no log of a server or a proxy; it counts once, for an hour, and is stored as a
//! hash.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::ids::UserId;
use russet_protocol::people::{SignInLink, UserKind};
use russet_protocol::secret::Secret;

use super::users::find_user;
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::audit;
use crate::credentials::{TokenHash, TokenKind, new_token};
use crate::state::App;
use crate::store::user_sessions;

/// Time for which a link counts, in seconds.
const LINK_TIMEOUT_S: i64 = 3600;

/// Makes a link with which its holder becomes an administrator: for the owner of the server's machine.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/admin-links", tag = "people", operation_id = "create_admin_link",
    responses((status = 201, description = "The link, shown this once", body = russet_protocol::people::SignInLink)),
    security(("admin_token" = []))
))]
pub(super) async fn create_admin_link(
    State(app): State<App>,
) -> Result<(StatusCode, JsonAnswer<SignInLink>), ApiError> {
    make_link(&app, None).await
}

/// Makes a link with which a person sets a password. An earlier one counts no more.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/users/{name}/link", tag = "people", operation_id = "create_user_link",
    params(("name" = String, Path, description = "Name of the account")),
    responses((status = 201, description = "The link, shown this once", body = russet_protocol::people::SignInLink), (status = 409, description = "It is a service account", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn create_user_link(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<(StatusCode, JsonAnswer<SignInLink>), ApiError> {
    let user = find_user(&mut app.store.read().await?, &name).await?;
    if user.item.kind == UserKind::Service {
        return Err(ApiError::Conflict(format!(
            "`{name}` is a service account: it never signs in"
        )));
    }
    make_link(&app, Some(&user.id)).await
}

async fn make_link(
    app: &App,
    user: Option<&UserId>,
) -> Result<(StatusCode, JsonAnswer<SignInLink>), ApiError> {
    let code = new_token(TokenKind::Link)?;
    let now_s = app.now_s();
    let until_s = now_s + LINK_TIMEOUT_S;
    // The code is a secret.
    audit::note_after(&serde_json::json!({"link": "made, not shown", "until_s": until_s}));
    let mut tx = app.store.write().await?;
    let id = TokenHash::of(code.expose());
    user_sessions::add_link(&mut tx, &id, user, (now_s, until_s)).await?;
    tx.commit().await?;
    let place = format!("/link#{}", code.expose());
    let link = SignInLink {
        url: app.public_url.as_ref().map(|url| Secret::new(format!("{url}{place}"))),
        path: Secret::new(place),
        expires_ms: u64::try_from(until_s.saturating_mul(1000)).unwrap_or_default(),
    };
    Ok((StatusCode::CREATED, JsonAnswer(link)))
}
