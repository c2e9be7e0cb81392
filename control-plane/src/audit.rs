//! The audit log: every change that somebody makes, written with the change.
//!
//! The door of the API (`api/access.rs`) puts an event at hand for each call that may change
//! something. The first transaction that the call commits takes the event along (`WriteTx::commit`),
//! so the one is not there without the other; what commits in a task of its own is noted by the door
//! afterwards. A handler adds what was before and after, and cannot leave the event out.
//!
//! Threat: a log of changes with secrets in it. Only what a handler names as before and after is
//! written, beside names of paths: no body, no query.

use std::net::IpAddr;

use russet_protocol::ids::AllocationId;
use russet_protocol::people::AuditItem;

use crate::contention;
pub(crate) use crate::pending_event::{
    note_after, note_before, note_namespace, note_who, with_event,
};
use crate::state::App;
use crate::store::{StoreError, audit_events};

/// Makes the event of a change that somebody makes by some means, from an address: an operation, as its
/// method and path, on the target.
pub(crate) fn new_event(
    app: &App,
    (who, means): (&str, &str),
    address: Option<IpAddr>,
    operation: &str,
    target: &str,
) -> AuditItem {
    AuditItem {
        id: AllocationId::generate().to_string(),
        at_ms: app.now_ms(),
        who: who.to_owned(),
        means: means.to_owned(),
        address: address.map(|address| address.to_string()).unwrap_or_default(),
        operation: operation.to_owned(),
        target: target.to_owned(),
        namespace: None,
        before: None,
        after: None,
    }
}

/// Writes an event by itself.
pub(crate) async fn write_event(app: &App, event: &AuditItem) {
    if let Err(error) = contention::retry(|| insert(app, event)).await {
        let error = russet_text::error_chain(&error);
        tracing::error!(
            error,
            who = event.who,
            operation = event.operation,
            target = event.target,
            "cannot write a change into the audit log"
        );
    }
}

async fn insert(app: &App, event: &AuditItem) -> Result<(), StoreError> {
    let mut tx = app.store.write().await?;
    audit_events::insert(&mut tx, event).await?;
    tx.commit().await
}
