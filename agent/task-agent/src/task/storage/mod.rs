//! Caches, workspaces and timings of tests.

mod cache;
mod growing;
mod key;
mod local;
mod paths;
mod timings;
mod transfer;
mod workspace;

use std::sync::Arc;

use russet_protocol::task::Action;

use self::transfer::{Failure, Fetched, Source};
use super::api::ApiError;
use super::command;
use super::context::{Context, StepEnd};
use super::spool::StepLog;
use crate::archive::Packed;
use russet_text::format_size as size;

pub(crate) use local::{Local, open as open_local};
pub(crate) use timings::provide_timings;

/// Runs a step of these. It sees to it itself that the task may be stopped.
pub(crate) async fn run_storage_step(
    context: &Arc<Context>,
    action: &Action,
    log: &Arc<StepLog>,
) -> StepEnd {
    match action {
        Action::SaveCache { key, paths, retention_ms } => {
            cache::save(context, log, key, paths, *retention_ms).await
        }
        Action::RestoreCache { keys } => cache::restore(context, log, keys).await,
        Action::PersistToWorkspace { root, paths } => {
            workspace::persist_files(context, log, root, paths).await
        }
        Action::AttachWorkspace { at } => workspace::attach_layers(context, log, at).await,
        _ => StepEnd::not_run(),
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Stale(_) => Self::Stale(error),
            error => Self::Other(error.to_string()),
        }
    }
}

fn end_failed(context: &Context, log: &StepLog, failure: Failure) -> StepEnd {
    match failure {
        Failure::Other(why) => {
            context.say(log, &format!("error: {why}"));
            StepEnd::failed(why)
        }
        Failure::Stopped => command::stopped(context),
        Failure::Stale(error) => context.call_failed(&error),
    }
}

fn say_packed(context: &Context, log: &StepLog, packed: &Packed, archive: u64) {
    for note in &packed.notes {
        context.say(log, &format!("note: {note}"));
    }
    let text = format!(
        "Uploaded {} entries of {}, {} compressed",
        packed.entries,
        size(packed.bytes),
        size(archive)
    );
    context.say(log, &text);
}

fn say_unpacked(context: &Context, log: &StepLog, fetched: &Fetched) {
    let (how, from) = match fetched.source {
        Source::Server => ("Unpacked", ""),
        Source::Copy => ("Unpacked", ", from the copy on this machine"),
        Source::Clones => ("Cloned", ", from the copy on this machine"),
    };
    let unpacked = &fetched.unpacked;
    let text = format!("{how} {} entries of {}{from}", unpacked.entries, size(unpacked.bytes));
    context.say(log, &text);
    if unpacked.lost_attributes > 0 {
        let count = unpacked.lost_attributes;
        let text =
            format!("note: {count} extended attributes could not be set on this file system");
        context.say(log, &text);
    }
}
