//! The audit log: every change that somebody makes, written with the change.
//!
//! The door of the API (`api/access.rs`) puts an event at hand for each call that may change
//! something. The first transaction that the call commits takes the event along (`WriteTx::commit`),
//! so the one is not there without the other; what commits in a task of its own is noted by the door
//! afterwards. A handler adds what was before and after, and cannot leave the event out.
//!
//! Threat: a log of changes with secrets in it. Only what a handler names as before and after is
//! written, beside names of paths: no body, no query.

use std::sync::{Arc, Mutex, PoisonError};

use russet_protocol::people::AuditItem;
use serde::Serialize;

use crate::contention;
use crate::state::App;
use crate::store::{StoreError, audit_events};

tokio::task_local! {
    static CURRENT: Pending;
}

/// Event of the call that is being made, until it is written.
#[derive(Clone, Debug)]
pub(crate) struct Pending(Arc<Mutex<Option<AuditItem>>>);

impl Pending {
    fn with<T>(&self, f: impl FnOnce(&mut Option<AuditItem>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the event, to write it.
    pub(crate) fn take(&self) -> Option<AuditItem> {
        self.with(Option::take)
    }

    /// Puts the event back: it was not written.
    pub(crate) fn put_back(&self, event: AuditItem) {
        self.with(|pending| *pending = Some(event));
    }
}

/// Returns the event of the call that is being made, if it is one of a person and may change
/// something.
pub(crate) fn current() -> Option<Pending> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Makes a call with an event at hand. Returns its answer, and what is left to write.
pub(crate) async fn with_event<T>(event: AuditItem, call: impl Future<Output = T>) -> (T, Pending) {
    let pending = Pending(Arc::new(Mutex::new(Some(event))));
    let answer = CURRENT.scope(pending.clone(), call).await;
    (answer, pending)
}

/// Says what was there before the change. It must hold no secret.
pub(crate) fn note_before(value: &impl Serialize) {
    if let Some(pending) = current() {
        let value = serde_json::to_value(value).ok();
        pending.with(|event| event.iter_mut().for_each(|event| event.before = value.clone()));
    }
}

/// Says what is there after the change. It must hold no secret.
pub(crate) fn note_after(value: &impl Serialize) {
    if let Some(pending) = current() {
        let value = serde_json::to_value(value).ok();
        pending.with(|event| event.iter_mut().for_each(|event| event.after = value.clone()));
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
