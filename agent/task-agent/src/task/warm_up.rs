//! Starting a service of the host before the first step, one slot after the other.
//!
//! It is made for CoreSimulator: when several users start it at the same moment it can hang for
//! all of them (fastlane #14528). A lock of the whole machine is held while it starts. Any slot's
//! user can take that lock, and a job could keep it; so nobody waits for it without end, and a
//! task whose wait was in vain goes on without.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::WarmUp;
use russet_protocol::task::WARM_UP_STEP;

use super::command::{self, Spec};
use super::context::{Context, StepEnd};

/// Between two looks at the lock.
const PAUSE: Duration = Duration::from_millis(100);

/// Does it, and shows it. The task goes on whatever comes of it: its steps may not need it.
pub(crate) async fn warm_up(context: &Context) {
    let Some(wanted) = &context.assignment.warm_up else { return };
    let detail = wanted.command.join(" ");
    context.step_started(WARM_UP_STEP, "Simulators", false, Some(detail));
    let end = match context.spool.log(WARM_UP_STEP) {
        Ok(log) => {
            let lock = acquire_lock(context, wanted).await;
            match &lock {
                Ok((_, waited)) if *waited >= PAUSE => {
                    context.say(
                        &log,
                        &format!(
                            "waited {} for another slot",
                            russet_text::format_duration(*waited)
                        ),
                    );
                }
                Ok(_) => {}
                Err(why) => context.say(&log, &format!("goes on without the lock: {why}")),
            }
            let end = command::run(context, command_spec(context, wanted), &log).await;
            drop(lock);
            if let Some(message) = &end.message {
                context.say(&log, message);
            }
            end
        }
        Err(error) => StepEnd::failed(format!("could not keep its output: {error}")),
    };
    context.step_finished(WARM_UP_STEP, &end);
    if end.outcome != Outcome::Success {
        tracing::warn!(message = end.message, "simulators could not be started ahead of the steps");
    }
}

fn command_spec(context: &Context, wanted: &WarmUp) -> Spec {
    Spec {
        words: wanted.command.iter().map(Into::into).collect(),
        variables: context.variables.clone(),
        directory: context.work.clone(),
        silence: None,
        longest: Some(Duration::from_millis(wanted.timeout_ms)),
        job_is_over: None,
    }
}

/// Takes the lock, and says how long that took.
async fn acquire_lock(
    context: &Context,
    wanted: &WarmUp,
) -> Result<(Flock<std::fs::File>, Duration), String> {
    let began = context.clock.now();
    let until = began.after(Duration::from_millis(wanted.timeout_ms));
    loop {
        if let Some(lock) = try_lock(&wanted.lock)? {
            return Ok((lock, context.clock.now().since(began)));
        }
        if context.clock.now() >= until {
            let waited = russet_text::format_duration(Duration::from_millis(wanted.timeout_ms));
            return Err(format!("another slot has held it for {waited}"));
        }
        tokio::select! {
            () = context.clock.sleep(PAUSE) => {}
            () = context.stop.requested() => return Err("the task was stopped".to_owned()),
        }
    }
}

/// The file is root's and its directory too, so reading is all that is allowed, and enough.
fn try_lock(path: &Path) -> Result<Option<Flock<std::fs::File>>, String> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| format!("could not open {}: {error}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(format!("could not lock {}: {error}", path.display())),
    }
}
