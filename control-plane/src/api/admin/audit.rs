//! `/api/v3/audit`: changes that people made.

use axum::Json as JsonAnswer;
use axum::extract::State;
use russet_protocol::admin::Items;
use russet_protocol::people::AuditItem;
use serde::Deserialize;

use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::api::reach::Access;
use crate::people::events_within;
use crate::state::App;
use crate::store::audit_events::{self, Filter};

/// Events of a page where nothing else is asked for, and the most.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1000;

/// Events that are wanted.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    who: Option<String>,
    operation: Option<String>,
    target: Option<String>,
    namespace: Option<String>,
    #[serde(default)]
    since_ms: i64,
    until_ms: Option<i64>,
    before: Option<String>,
    limit: Option<u32>,
}

/// Lists changes that people made, the newest first. `before` goes on after an event.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/audit", tag = "people", operation_id = "list_audit",
    params(
        ("who" = Option<String>, Query, description = "Name of the one who made the change"),
        ("operation" = Option<String>, Query, description = "Part of method and path, such as `DELETE` or `/contexts`"),
        ("target" = Option<String>, Query, description = "Part of the path with its names"),
        ("namespace" = Option<String>, Query, description = "Only changes in this namespace"),
        ("since_ms" = Option<i64>, Query, description = "Only from then on, in milliseconds since 1970"),
        ("until_ms" = Option<i64>, Query, description = "Only before then"),
        ("before" = Option<String>, Query, description = "Id of the last event of the page before"),
        ("limit" = Option<u32>, Query, description = "Number of events, at most 1000; 100 unless given")
    ),
    responses((status = 200, description = "The changes", body = russet_protocol::admin::Items<russet_protocol::people::AuditItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    access: Access,
    Query(wanted): Query<Wanted>,
) -> Result<JsonAnswer<Items<AuditItem>>, ApiError> {
    let filter = Filter {
        who: wanted.who,
        operation: wanted.operation,
        target: wanted.target,
        within: events_within(access.reach(), wanted.namespace),
        since_ms: wanted.since_ms,
        until_ms: wanted.until_ms.unwrap_or(i64::MAX),
        before: wanted.before,
    };
    let limit = wanted.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let items = audit_events::list(&mut app.store.read().await?, &filter, limit).await?;
    Ok(JsonAnswer(Items { items }))
}
