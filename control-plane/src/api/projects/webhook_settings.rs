//! `/api/v3/projects/{project}/webhook`: the secret of a project's webhook.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::projects::HostKind;
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
use crate::hosts::{HostAccess, HostError, put_hook};
use crate::outbox::new_plain_secret;
use crate::projects::{SealedRemote, open_host, open_sealed, seal_remote};
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
    let url = app.public_url.as_ref().map(|origin| format!("{origin}{GITHUB_WEBHOOK_PATH}"));
    let host = match wish.create {
        true => Some(find_host(&app, &of, url.as_deref())?),
        false => None,
    };
    let stays = sealed.webhook_secret.is_some() && !wish.rotate && wish.secret.is_none();
    let made = match (&wish.secret, stays) {
        (None, false) => Some(new_plain_secret()?),
        _ => None,
    };
    let webhook_secret = made.clone().or(wish.secret).or_else(|| sealed.webhook_secret.clone());
    if !stays {
        let webhook_secret = webhook_secret.clone();
        let sealed = SealedRemote { webhook_secret, ..sealed };
        set(&app, &mut tx, &of, sealed, Some(app.clock.wall_ms())).await?;
    }
    audit::note_after(&serde_json::json!({"project": project, "webhook": true, "changed": !stays}));
    tx.commit().await?;
    tracing::info!(project, changed = !stays, "audit: webhook set up");
    // The host may call back before it answers, so the secret is known here first.
    if let (Some((access, url)), Some(secret)) = (&host, &webhook_secret) {
        put_hook(&app.hosts, access, url, secret).await.map_err(|error| not_made(&error))?;
    }
    Ok(JsonAnswer(WebhookSetup {
        is_made: host.is_some(),
        url,
        path: GITHUB_WEBHOOK_PATH.to_owned(),
        events: GITHUB_EVENTS.map(str::to_owned).to_vec(),
        // The host has it, and nobody has to enter it.
        secret: made.filter(|_| host.is_none()),
    }))
}

/// Returns the access to the API of a repository's host, and the address that it is to call.
fn find_host(
    app: &App,
    of: &StoredConnection,
    url: Option<&str>,
) -> Result<(HostAccess, String), ApiError> {
    let bad = |message: &str| ApiError::Bad(format!("the webhook cannot be made: {message}"));
    let no_url = "this server does not know its own address; russet server --public-url says it";
    let url = url.ok_or_else(|| bad(no_url))?;
    if of.item.host_kind != HostKind::Github {
        return Err(bad(
            "the project is not connected to GitHub's API; without --create it says what to enter",
        ));
    }
    let access = open_host(app, of).map_err(ApiError::internal)?;
    let access = access.ok_or_else(|| {
        bad("that takes a token or a GitHub App; russet project add with --git-token-file gives one")
    })?;
    Ok((access, url.to_owned()))
}

/// The host did not make the webhook. Its secret is set here all the same, and the same call goes on.
fn not_made(error: &HostError) -> ApiError {
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    ApiError::Bad(format!("the host did not make the webhook: {error}{hint}. Then call it again"))
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
