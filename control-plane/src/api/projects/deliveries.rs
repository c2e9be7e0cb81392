//! `/api/v3/projects/{project}/deliveries` and `…/triggers/{trigger}/approve`: what webhooks brought, and
//! commits of forks that wait for somebody.

use axum::extract::State;
use axum::{Extension, Json as JsonAnswer};
use russet_protocol::admin::Items;
use russet_protocol::projects::TriggerItem;
use russet_protocol::webhooks::{DeliveryItem, DeliveryResult};

use crate::api::Caller;
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::audit;
use crate::contention;
use crate::state::App;
use crate::store::{trigger_events, webhook_deliveries};
use crate::webhooks::{Delivered, note_delivery};

/// Lists the newest deliveries of a project.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/projects/{project}/deliveries", tag = "admin", operation_id = "list_deliveries",
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, description = "The newest deliveries, the last one first", body = russet_protocol::admin::Items<russet_protocol::webhooks::DeliveryItem>), (status = 404, description = "The caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<JsonAnswer<Items<DeliveryItem>>, ApiError> {
    let items = webhook_deliveries::newest(&mut app.store.read().await?, &project).await?;
    Ok(JsonAnswer(Items { items }))
}

/// Takes a delivery once more, as it came. What it caused already is not caused again.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/projects/{project}/deliveries/{delivery}/redeliver", tag = "admin", operation_id = "redeliver",
    params(("project" = String, Path, description = "The project"), ("delivery" = String, Path, description = "The delivery")),
    responses((status = 200, description = "What became of it", body = russet_protocol::webhooks::DeliveryResult), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 410, description = "Its payload was removed", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn redeliver(
    State(app): State<App>,
    Path((project, delivery)): Path<(String, String)>,
) -> Result<JsonAnswer<DeliveryResult>, ApiError> {
    let (item, payload) = {
        let mut conn = app.store.read().await?;
        let item = webhook_deliveries::get(&mut conn, &project, &delivery).await?;
        (item, webhook_deliveries::payload(&mut conn, &project, &delivery).await?)
    };
    let nothing =
        || ApiError::NotFound(format!("there is no delivery `{}`", delivery.escape_debug()));
    let item = item.ok_or_else(nothing)?;
    let gone =
        || ApiError::Gone("its payload is not kept any more; deliver it from the host".to_owned());
    let payload = zstd::decode_all(&*payload.ok_or_else(gone)?).map_err(ApiError::internal)?;
    audit::note_before(&item);
    let (id, event) = (item.id.as_str(), item.event.as_str());
    let of = Delivered { id, event, payload: &payload, is_repeated: true };
    let result = contention::retry(|| note_delivery(&app, &project, of)).await?;
    tracing::info!(project, delivery, outcome = result.outcome.as_str(), "audit: redelivered");
    Ok(JsonAnswer(result))
}

/// Lets a commit of a fork through that is held: this one, and no later one.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/projects/{project}/triggers/{trigger}/approve", tag = "admin", operation_id = "approve_trigger",
    params(("project" = String, Path, description = "The project"), ("trigger" = String, Path, description = "The trigger")),
    responses((status = 200, description = "The trigger, whose pipeline follows", body = russet_protocol::projects::TriggerItem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "It is not held", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn approve(
    State(app): State<App>,
    Path((project, trigger)): Path<(String, String)>,
    Extension(caller): Extension<Caller>,
) -> Result<JsonAnswer<TriggerItem>, ApiError> {
    let by = caller.proved_name().unwrap_or("admin");
    let nothing =
        || ApiError::NotFound(format!("there is no trigger `{}`", trigger.escape_debug()));
    let now_ms = app.clock.wall_ms();
    let mut tx = app.store.write().await?;
    let before = trigger_events::get(&mut tx, &project, &trigger).await?.ok_or_else(nothing)?;
    audit::note_before(&before);
    if !trigger_events::approve(&mut tx, &project, (&trigger, by), now_ms).await? {
        let state = before.state.as_str();
        return Err(ApiError::Conflict(format!("it is not held, but {state}")));
    }
    let after = trigger_events::get(&mut tx, &project, &trigger).await?.ok_or_else(nothing)?;
    audit::note_after(&after);
    tx.commit().await?;
    app.git.builds.notify_one();
    tracing::info!(project, trigger, revision = after.revision, by, "audit: fork approved");
    Ok(JsonAnswer(after))
}
