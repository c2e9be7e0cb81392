//! `/api/v3/projects/{project}/notifications`: who hears that workflows and jobs of a project ended.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::admin::Items;
use russet_protocol::alerts::{TargetKind, TestedTarget};
use russet_protocol::ids::MessageId;
use russet_protocol::notifications::{
    MadeNotifyTarget, NewNotifyTarget, NotifyEvent, NotifyTargetItem,
};
use russet_protocol::secret::Secret;

use super::alerts::{check_address, check_name};
use super::keeping::require_project;
use super::people::check_person;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::audit;
use crate::notify::ping_body;
use crate::outbox::{self, SEAL_NAME, Sealed, seal_owner_of_project};
use crate::state::App;
use crate::store::notify_targets;
use crate::store::notify_targets::StoredNotifyTarget;

/// Most targets of a project: each end of a workflow or job writes to all of them.
const MAX_TARGETS: usize = 20;

/// Longest signing secret, in bytes.
const MAX_SECRET_BYTES: usize = 1_000;

/// Lists the targets of a project, without the secrets in their addresses.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/projects/{project}/notifications", tag = "admin", operation_id = "list_notifications",
    params(("project" = String, Path, description = "The project; its slash is written %2F")),
    responses((status = 200, description = "The targets, by name", body = russet_protocol::admin::Items<russet_protocol::notifications::NotifyTargetItem>), (status = 404, description = "The caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<JsonAnswer<Items<NotifyTargetItem>>, ApiError> {
    let mut conn = app.store.read().await?;
    Ok(JsonAnswer(Items { items: notify_targets::of_project(&mut conn, &project).await? }))
}

/// Adds a target. The answer is the only place where a secret that was made is shown.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/projects/{project}/notifications", tag = "admin", operation_id = "add_notification",
    params(("project" = String, Path, description = "The project; its slash is written %2F")),
    request_body = russet_protocol::notifications::NewNotifyTarget,
    responses((status = 201, description = "The target", body = russet_protocol::notifications::MadeNotifyTarget), (status = 400, description = "The name, the address or the secret is refused", body = russet_protocol::problem::Problem), (status = 404, description = "There is no such project", body = russet_protocol::problem::Problem), (status = 409, description = "The project has a target of this name, or too many", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn add(
    State(app): State<App>,
    Path(project): Path<String>,
    Json(new): Json<NewNotifyTarget, SMALL>,
) -> Result<(StatusCode, JsonAnswer<MadeNotifyTarget>), ApiError> {
    check_name(&new.name)?;
    let shown = check_address(&app, new.kind, &new.address)?;
    let author = new.author.as_deref().map(check_person).transpose()?;
    check_secret(&new)?;
    let made = match (new.kind, &new.signing_secret) {
        (TargetKind::Webhook, None) => Some(outbox::new_plain_secret()?),
        _ => None,
    };
    let mut events = new.events;
    events.dedup();
    let item = NotifyTargetItem {
        id: MessageId::generate().to_string(),
        name: new.name,
        kind: new.kind,
        address: shown,
        events: if events.is_empty() { vec![NotifyEvent::WorkflowCompleted] } else { events },
        on: new.on,
        author,
        created_ms: app.now_ms(),
        waiting: 0,
        delivered_ms: None,
        failure: None,
    };
    let signing_secret = made.clone().or(new.signing_secret);
    let secret = Sealed { address: new.address, signing_secret };
    let secret = serde_json::to_string(&secret).map_err(ApiError::internal)?;
    let owner = seal_owner_of_project(&item.id);
    let sealed = app.sealer.seal(owner, SEAL_NAME, &Secret::new(secret))?;
    audit::note_after(&item);
    let stored = StoredNotifyTarget { item, sealed };
    insert_target(&app, &project, &stored).await?;
    let (target, signing_secret) = (stored.item, made);
    tracing::info!(project, target = target.name, "audit: notification target added");
    Ok((StatusCode::CREATED, JsonAnswer(MadeNotifyTarget { target, signing_secret })))
}

fn check_secret(new: &NewNotifyTarget) -> Result<(), ApiError> {
    let Some(secret) = &new.signing_secret else { return Ok(()) };
    if new.kind != TargetKind::Webhook {
        return Err(ApiError::Bad("only messages to a webhook are signed".to_owned()));
    }
    if secret.expose().is_empty() || secret.expose().len() > MAX_SECRET_BYTES {
        let message = format!("the signing secret has 1 to {MAX_SECRET_BYTES} bytes");
        return Err(ApiError::Bad(message));
    }
    Ok(())
}

async fn insert_target(
    app: &App,
    project: &str,
    stored: &StoredNotifyTarget,
) -> Result<(), ApiError> {
    let mut tx = app.store.write().await?;
    require_project(&mut tx, project).await?;
    if notify_targets::of_project(&mut tx, project).await?.len() >= MAX_TARGETS {
        let message = format!("the project has {MAX_TARGETS} targets; remove one first");
        return Err(ApiError::Conflict(message));
    }
    if !notify_targets::insert(&mut tx, project, stored).await? {
        let name = &stored.item.name;
        let message = format!("the project has a target `{name}` already; remove it first");
        return Err(ApiError::Conflict(message));
    }
    Ok(tx.commit().await?)
}

/// Removes a target, with the messages that wait for it.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/projects/{project}/notifications/{name}", tag = "admin", operation_id = "remove_notification",
    params(("project" = String, Path, description = "The project; its slash is written %2F"), ("name" = String, Path, description = "The target")),
    responses((status = 204, description = "Removed"), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove(
    State(app): State<App>,
    Path((project, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let Some(target) = notify_targets::remove(&mut tx, &project, &name).await? else {
        return Err(unknown_target(&project, &name));
    };
    audit::note_before(&target);
    tx.commit().await?;
    tracing::info!(project, target = name, "audit: notification target removed");
    Ok(StatusCode::NO_CONTENT)
}

/// Sends CircleCI's test event, once and now.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/projects/{project}/notifications/{name}/test", tag = "admin", operation_id = "test_notification",
    params(("project" = String, Path, description = "The project; its slash is written %2F"), ("name" = String, Path, description = "The target")),
    responses((status = 200, description = "Whether the message was taken", body = russet_protocol::alerts::TestedTarget), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn test(
    State(app): State<App>,
    Path((project, name)): Path<(String, String)>,
) -> Result<JsonAnswer<TestedTarget>, ApiError> {
    let targets = notify_targets::of_project(&mut app.store.read().await?, &project).await?;
    let found = targets.into_iter().find(|target| target.name == name);
    let target = found.ok_or_else(|| unknown_target(&project, &name))?;
    let id = MessageId::generate();
    let body = ping_body(id.as_str(), &target.id, &name, app.clock.wall_ms()).to_string();
    audit::note_after(&serde_json::json!({"target": name, "message": "a test"}));
    let sent = outbox::send(&app, &target.id, id.as_str(), &body).await;
    Ok(JsonAnswer(TestedTarget { failure: sent.err().map(|error| error.to_string()) }))
}

fn unknown_target(project: &str, name: &str) -> ApiError {
    let (project, name) = (project.escape_debug(), name.escape_debug());
    ApiError::NotFound(format!("the project `{project}` has no target `{name}`"))
}
