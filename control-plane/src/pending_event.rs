//! The event of the audit log that waits for the change that a call makes (`audit.rs`).

use std::sync::{Arc, Mutex, PoisonError};

use russet_protocol::people::AuditItem;
use serde::Serialize;

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

/// Says who makes the change, where only the change itself finds that out.
pub(crate) fn note_who(name: &str) {
    if let Some(pending) = current() {
        pending.with(|event| event.iter_mut().for_each(|event| name.clone_into(&mut event.who)));
    }
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

/// Says in which namespace the change is; `None`: on the server.
pub(crate) fn note_namespace(namespace: Option<&str>) {
    if let Some(pending) = current() {
        pending.with(|event| {
            event.iter_mut().for_each(|event| event.namespace = namespace.map(str::to_owned));
        });
    }
}
