//! Storing files for people.

mod collect;
mod send;

use std::sync::Arc;

use futures_util::StreamExt as _;

use self::collect::Found;
use super::context::{Context, StepEnd};
use super::environment;
use super::spool::StepLog;

/// Files that are sent at the same time: many small ones would otherwise take a round trip each.
const AT_ONCE: usize = 4;

/// Runs a `store_artifacts` step.
pub(crate) async fn store(
    context: &Arc<Context>,
    log: &Arc<StepLog>,
    path: &str,
    destination: Option<&str>,
) -> StepEnd {
    let home = &context.assignment.dirs.home;
    let root = environment::resolve(path, home, &context.work);
    let prefix = match collect::name_prefix(&root, destination, &context.work, home) {
        Ok(prefix) => prefix,
        Err(message) => return fail_step(context, log, message),
    };
    let Found { mut files, notes } = match collect::find_files(&root, &prefix) {
        Ok(found) => found,
        Err(message) => return fail_step(context, log, message),
    };
    collect::mask_names(&mut files, &context.masks);
    for note in &notes {
        context.say(log, &format!("note: {note}"));
    }
    if files.is_empty() {
        context.say(log, &format!("No artifacts at {}", root.display()));
        return StepEnd::success();
    }
    context.say(log, &format!("Uploading {} from {}", counted_files(files.len()), root.display()));
    let mut sending = futures_util::stream::iter(files)
        .map(|file| async move {
            let far = |far| context.say(log, &format!("  {}: {far} …", file.name));
            let sent = send::send_file(&context.api, &file, far).await;
            (file, sent)
        })
        .buffered(AT_ONCE);
    let mut end = StepEnd::success();
    while let Some((file, sent)) = sending.next().await {
        match sent {
            Ok(sent) => {
                context.say(log, &format!("  {} ({} bytes)", file.name, sent.size));
                if let Some(note) = sent.note {
                    context.say(log, &format!("note: {}: {note}", file.name));
                }
            }
            Err(send::SendError::Api(error)) => {
                context.say(log, &format!("error: {}: {error}", file.name));
                end = context.call_failed(&error);
            }
            Err(send::SendError::File(why)) => {
                context.say(log, &format!("error: {}: {why}", file.name));
                end = StepEnd::failed(format!("{} could not be stored: {why}", file.name));
            }
        }
    }
    end
}

fn fail_step(context: &Context, log: &StepLog, message: String) -> StepEnd {
    context.say(log, &format!("error: {message}"));
    StepEnd::failed(message)
}

fn counted_files(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}
