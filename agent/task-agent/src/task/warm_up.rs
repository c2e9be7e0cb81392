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

use super::owner_step::OwnerSteps;
use super::step_end::StepEnd;
use super::stop::StopSignal;
use crate::path_error::PathError;
use russet_platform::clock::Clock;

/// Between two looks at the lock.
const PAUSE: Duration = Duration::from_millis(100);

/// Reason why the lock was not taken.
#[derive(Debug, thiserror::Error)]
enum LockError {
    #[error(transparent)]
    File(#[from] PathError),
    #[error("another slot has held it for {}", russet_text::format_duration(*.0))]
    Held(Duration),
    #[error("the task was stopped")]
    Stopped,
}

/// Starts the service, and shows that as a step. The task goes on whatever comes of it: its steps
/// may not need it.
pub(crate) async fn warm_up(wanted: &WarmUp, steps: &OwnerSteps, clock: &Clock, stop: &StopSignal) {
    let journal = &steps.journal;
    let detail = wanted.command.join(" ");
    journal.step_started(WARM_UP_STEP, "Simulators", false, Some(detail));
    let end = match journal.open_output(WARM_UP_STEP) {
        Ok(output) => {
            let lock = acquire_lock(wanted, clock, stop).await;
            match &lock {
                Ok((_, waited)) if *waited >= PAUSE => {
                    let waited = russet_text::format_duration(*waited);
                    output.say(&format!("waited {waited} for another slot"));
                }
                Ok(_) => {}
                Err(why) => output.say(&format!("goes on without the lock: {why}")),
            }
            let words = wanted.command.iter().map(Into::into).collect();
            let timeout = Duration::from_millis(wanted.timeout_ms);
            let end = steps.run_command(words, timeout, &output).await;
            drop(lock);
            end
        }
        Err(error) => StepEnd::failed(format!("could not keep its output: {error}")),
    };
    journal.step_finished(WARM_UP_STEP, &end);
    if end.outcome != Outcome::Success {
        tracing::warn!(message = end.message, "simulators could not be started ahead of the steps");
    }
}

/// Takes the lock, and says how long that took.
async fn acquire_lock(
    wanted: &WarmUp,
    clock: &Clock,
    stop: &StopSignal,
) -> Result<(Flock<std::fs::File>, Duration), LockError> {
    let began = clock.now();
    let until = began.after(Duration::from_millis(wanted.timeout_ms));
    loop {
        if let Some(lock) = try_lock(&wanted.lock)? {
            return Ok((lock, clock.now().since(began)));
        }
        if clock.now() >= until {
            return Err(LockError::Held(Duration::from_millis(wanted.timeout_ms)));
        }
        tokio::select! {
            () = clock.sleep(PAUSE) => {}
            () = stop.requested() => return Err(LockError::Stopped),
        }
    }
}

/// The file is root's and its directory too, so reading is all that is allowed, and enough.
fn try_lock(path: &Path) -> Result<Option<Flock<std::fs::File>>, PathError> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(path)
        .map_err(PathError::when("open", path))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(PathError::when("lock", path)(error.into())),
    }
}
