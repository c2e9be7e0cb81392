//! Putting the project's source into a directory.

mod extract;
mod git;
mod locks;
mod snapshot;

use std::sync::Arc;

use russet_protocol::task::{CheckoutMethod, Source};

use super::context::{Context, StepEnd};
use super::spool::StepLog;
use super::{command, environment, job};

/// Runs a `checkout` step into `path`, as the configuration writes it.
pub(crate) async fn check_out(
    context: &Arc<Context>,
    log: &Arc<StepLog>,
    path: Option<&str>,
    method: CheckoutMethod,
) -> StepEnd {
    let home = &context.assignment.dirs.home;
    let target = environment::resolve(path.unwrap_or("."), home, &context.work);
    let done = match job::make_directory(&target) {
        Ok(()) => match &context.config.source {
            Some(Source::Snapshot { id }) => tokio::select! {
                done = snapshot::checkout_snapshot(context, log, id, &target) => done,
                () = context.stop.requested() => return command::stopped(context),
            },
            Some(Source::Git { url, revision, branch, tag }) => {
                let names = git::Names { branch: branch.as_deref(), tag: tag.as_deref() };
                let wanted = git::Wanted { url, revision, names, method };
                git::checkout_git(context, log, wanted, &target).await
            }
            None => Err("this task has no source to check out\nhint: the pipeline was submitted \
                         without a snapshot or a repository"
                .to_owned()),
        },
        Err(message) => Err(message),
    };
    match done {
        Ok(()) => StepEnd::success(),
        Err(_) if context.stop.is_set() => command::stopped(context),
        Err(message) => {
            context.say(log, &format!("error: {message}"));
            StepEnd::failed(message)
        }
    }
}
