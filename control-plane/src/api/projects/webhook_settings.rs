//! `/api/v3/projects/{project}/webhook`: the secret of a project's webhook.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::secret::Secret;
use russet_protocol::webhooks::{
    GITHUB_EVENTS, GITHUB_WEBHOOK_PATH, MAX_SECRET_BYTES, MIN_SECRET_BYTES, WebhookSetup,
    WebhookWish,
};

use super::connections::not_connected;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::audit;
use crate::outbox::new_plain_secret;
use crate::projects::{SealedRemote, open_sealed, seal_remote};
use crate::state::App;
use crate::store::WriteTx;
use crate::store::git_connections::{self, StoredConnection};

/// Takes webhooks of the project's repository from now on.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/projects/{project}/webhook", tag = "admin", operation_id = "put_webhook",
    params(("project" = String, Path, description = "The project")),
    request_body = russet_protocol::webhooks::WebhookWish,
    responses((status = 200, description = "How the host has to be set up; with the secret where it was made now", body = russet_protocol::webhooks::WebhookSetup), (status = 400, description = "The secret is refused", body = russet_protocol::problem::Problem), (status = 404, description = "It is not connected, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn put(
    State(app): State<App>,
    Path(project): Path<String>,
    Json(wish): Json<WebhookWish, SMALL>,
) -> Result<JsonAnswer<WebhookSetup>, ApiError> {
    if let Some(secret) = &wish.secret {
        check_secret(secret)?;
    }
    let mut tx = app.store.write().await?;
    let (of, sealed) = find(&app, &mut tx, &project).await?;
    audit::note_before(&of.item);
    let stays = sealed.webhook_secret.is_some() && !wish.rotate && wish.secret.is_none();
    let made = match (&wish.secret, stays) {
        (None, false) => Some(new_plain_secret()?),
        _ => None,
    };
    if !stays {
        let webhook_secret = made.clone().or(wish.secret);
        let sealed = SealedRemote { webhook_secret, ..sealed };
        set(&app, &mut tx, &of, sealed, Some(app.clock.wall_ms())).await?;
    }
    audit::note_after(&serde_json::json!({"project": project, "webhook": true, "changed": !stays}));
    tx.commit().await?;
    tracing::info!(project, changed = !stays, "audit: webhook set up");
    Ok(JsonAnswer(WebhookSetup {
        url: app.public_url.as_ref().map(|origin| format!("{origin}{GITHUB_WEBHOOK_PATH}")),
        path: GITHUB_WEBHOOK_PATH.to_owned(),
        events: GITHUB_EVENTS.map(str::to_owned).to_vec(),
        secret: made,
    }))
}

fn check_secret(secret: &Secret) -> Result<(), ApiError> {
    let text = secret.expose();
    let is_good = (MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&text.len())
        && !text.chars().any(char::is_control);
    let range = format!("{MIN_SECRET_BYTES} to {MAX_SECRET_BYTES}");
    let bad = || ApiError::Bad(format!("secret: one line of {range} bytes is needed"));
    is_good.then_some(()).ok_or_else(bad)
}

/// Takes no webhooks of the project's repository any more.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/projects/{project}/webhook", tag = "admin", operation_id = "delete_webhook",
    params(("project" = String, Path, description = "The project")),
    responses((status = 204, description = "None are taken"), (status = 404, description = "It is not connected, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let (of, sealed) = find(&app, &mut tx, &project).await?;
    audit::note_before(&of.item);
    let sealed = SealedRemote { webhook_secret: None, ..sealed };
    set(&app, &mut tx, &of, sealed, None).await?;
    tx.commit().await?;
    tracing::info!(project, "audit: webhook turned off");
    Ok(StatusCode::NO_CONTENT)
}

async fn find(
    app: &App,
    tx: &mut WriteTx,
    project: &str,
) -> Result<(StoredConnection, SealedRemote), ApiError> {
    let of = git_connections::lock(tx, project).await?.ok_or_else(|| not_connected(project))?;
    let sealed = open_sealed(&app.sealer, &of).map_err(ApiError::internal)?;
    Ok((of, sealed))
}

async fn set(
    app: &App,
    tx: &mut WriteTx,
    of: &StoredConnection,
    sealed: SealedRemote,
    webhook_ms: Option<i64>,
) -> Result<(), ApiError> {
    let project = of.item.project.as_str();
    let sealed = seal_remote(&app.sealer, project, &sealed).map_err(ApiError::internal)?;
    git_connections::set_webhook(tx, project, &sealed, webhook_ms).await?;
    Ok(())
}
