//! Notifications: who hears that a workflow or job of a project ended, and in which words. Pure: the
//! transaction that ends it puts them into the outbox (`store/completions.rs`).

mod decide;
mod event;
mod text;

pub(crate) use decide::{Previous, counts_for_change, is_wanted};
pub(crate) use event::{CompletedEvent, Facts, JobFacts, PING, ping_body, trigger_type};
pub(crate) use text::{body, ping_text, subject};
