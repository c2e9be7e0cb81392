//! `/api/v3/alerts` and `/api/v3/alert-targets`: conditions that people hear of, and who hears.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::admin::Items;
use russet_protocol::alerts::{
    AlertChanges, AlertItem, AlertTargetItem, MadeAlertTarget, NewAlertTarget, TargetKind,
    TestedTarget,
};
use russet_protocol::ids::MessageId;
use russet_protocol::secret::Secret;

use crate::alerts::{TEST, message};
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::audit;
use crate::mail::is_address;
use crate::outbox::{self, AddressError, SEAL_NAME, Sealed, check_url, seal_owner};
use crate::state::App;
use crate::store::alert_targets::StoredTarget;
use crate::store::{alert_targets, alerts};

/// Longest name of a target, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Longest address of a target, in bytes.
const MAX_ADDRESS_BYTES: usize = 2_000;

/// Lists the alerts that are open, then the newest that ended.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/alerts", tag = "admin", operation_id = "list_alerts",
    responses((status = 200, description = "The alerts that are open, then the newest 100 that ended", body = russet_protocol::admin::Items<russet_protocol::alerts::AlertItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list(State(app): State<App>) -> Result<JsonAnswer<Items<AlertItem>>, ApiError> {
    let mut conn = app.store.read().await?;
    Ok(JsonAnswer(Items { items: alerts::list(&mut conn).await? }))
}

/// Lists the targets, without the secrets in their addresses.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/alert-targets", tag = "admin", operation_id = "list_alert_targets",
    responses((status = 200, description = "The targets", body = russet_protocol::admin::Items<russet_protocol::alerts::AlertTargetItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list_targets(
    State(app): State<App>,
) -> Result<JsonAnswer<Items<AlertTargetItem>>, ApiError> {
    let mut conn = app.store.read().await?;
    let targets = alert_targets::list(&mut conn).await?;
    Ok(JsonAnswer(Items { items: targets.into_iter().map(|target| target.item).collect() }))
}

/// Adds a target. The answer is the only place where the secret of a webhook is shown.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/alert-targets", tag = "admin", operation_id = "add_alert_target",
    request_body = russet_protocol::alerts::NewAlertTarget,
    responses((status = 201, description = "The target", body = russet_protocol::alerts::MadeAlertTarget), (status = 400, description = "The name or the address is refused", body = russet_protocol::problem::Problem), (status = 409, description = "There is a target of this name", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn add_target(
    State(app): State<App>,
    Json(new): Json<NewAlertTarget, SMALL>,
) -> Result<(StatusCode, JsonAnswer<MadeAlertTarget>), ApiError> {
    check_name(&new.name)?;
    let address = check_address(&app, new.kind, &new.address)?;
    let signing_secret = match new.kind {
        TargetKind::Webhook => Some(outbox::new_secret()?),
        TargetKind::Mail | TargetKind::Slack => None,
    };
    let secret = Sealed { address: new.address, signing_secret: signing_secret.clone() };
    let secret = serde_json::to_string(&secret).map_err(ApiError::internal)?;
    let sealed = app.sealer.seal(seal_owner(&new.name), SEAL_NAME, &Secret::new(secret))?;
    let item = AlertTargetItem {
        name: new.name,
        kind: new.kind,
        address,
        created_ms: app.now_ms(),
        waiting: 0,
        delivered_ms: None,
        failure: None,
    };
    audit::note_after(&item);
    let stored = StoredTarget { item, sealed };
    let mut tx = app.store.write().await?;
    if !alert_targets::insert(&mut tx, &stored).await? {
        let name = stored.item.name;
        return Err(ApiError::Conflict(format!(
            "there is a target `{name}` already; remove it first"
        )));
    }
    tx.commit().await?;
    tracing::info!(
        target = stored.item.name,
        address = stored.item.address,
        "audit: alert target added"
    );
    Ok((StatusCode::CREATED, JsonAnswer(MadeAlertTarget { target: stored.item, signing_secret })))
}

pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(is_plain) {
        return Err(ApiError::Bad(format!(
            "the name of a target is 1 to {MAX_NAME_BYTES} letters, digits, `-`, `_` and `.`"
        )));
    }
    Ok(())
}

/// Checks an address. Returns what people are shown of it.
pub(super) fn check_address(
    app: &App,
    kind: TargetKind,
    address: &Secret,
) -> Result<String, ApiError> {
    let address = address.expose();
    if address.len() > MAX_ADDRESS_BYTES {
        return Err(ApiError::Bad(format!("the address is longer than {MAX_ADDRESS_BYTES} bytes")));
    }
    let refused = |error: AddressError| ApiError::Bad(error.to_string());
    match kind {
        TargetKind::Webhook | TargetKind::Slack => check_url(address).map_err(refused),
        TargetKind::Mail if app.mail.is_none() => {
            Err(ApiError::Bad("this server sends no mail: start it with --mail-server".to_owned()))
        }
        TargetKind::Mail if is_address(address) => Ok(address.to_owned()),
        TargetKind::Mail => Err(refused(AddressError::NotMail)),
    }
}

/// Removes a target, with the messages that wait for it.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/alert-targets/{name}", tag = "admin", operation_id = "remove_alert_target",
    params(("name" = String, Path, description = "The target")),
    responses((status = 204, description = "Removed"), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove_target(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let before = alert_targets::get(&mut tx, &name).await?;
    before.iter().for_each(|target| audit::note_before(&target.item));
    if !alert_targets::remove(&mut tx, &name).await? {
        return Err(unknown_target(&name));
    }
    tx.commit().await?;
    tracing::info!(target = name, "audit: alert target removed");
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a test message, once and now.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/alert-targets/{name}/test", tag = "admin", operation_id = "test_alert_target",
    params(("name" = String, Path, description = "The target")),
    responses((status = 200, description = "Whether the message was taken", body = russet_protocol::alerts::TestedTarget), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn test_target(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<JsonAnswer<TestedTarget>, ApiError> {
    {
        let mut conn = app.store.read().await?;
        if alert_targets::get(&mut conn, &name).await?.is_none() {
            return Err(unknown_target(&name));
        }
    }
    let data = AlertChanges {
        server: app.public_url.as_deref().map(str::to_owned),
        ..AlertChanges::default()
    };
    let message = message(TEST, data, app.clock.wall_ms());
    let payload = serde_json::to_string(&message).map_err(ApiError::internal)?;
    let id = MessageId::generate();
    audit::note_after(&serde_json::json!({"target": name, "message": "a test"}));
    let sent = outbox::send(&app, &name, id.as_str(), &payload).await;
    Ok(JsonAnswer(TestedTarget { failure: sent.err().map(|error| error.to_string()) }))
}

fn unknown_target(name: &str) -> ApiError {
    ApiError::NotFound(format!("there is no alert target `{}`", name.escape_debug()))
}
