//! Two heartbeats for a running task: a ping to its agent, and a word to the control plane.
//!
//! The launch agent sends its own because a busy task can not starve it, and says how long the
//! task agent has been silent, so that it does not keep alive what is dead.

use std::sync::Arc;
use std::time::Duration;

use super::api::Answer;
use super::slot_io::SlotIo;
use super::state::slot::Input;
use crate::metrics::{Failure, Heartbeat};

/// The pause where the server names none.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// A task agent that leaves so many pings without an answer is dead, or stopped. They are
/// counted, not timed: after a system sleep nobody has answered for hours, and all is well.
const MAX_UNANSWERED: u32 = 3;

/// Runs until it is aborted, with the end of the task.
pub(super) async fn beat(slot: Arc<SlotIo>) {
    let Some(claim) = slot.claim_of_task() else { return };
    let interval = claim.heartbeat.unwrap_or(DEFAULT_INTERVAL).max(Duration::from_millis(50));
    let mut canceled = false;
    loop {
        slot.shared.clock.sleep(interval).await;
        let unanswered = slot.link.ping();
        if unanswered == MAX_UNANSWERED {
            slot.shared.metrics.failed(Failure::Silent);
        }
        if unanswered >= MAX_UNANSWERED {
            slot.input(Input::Silent);
        }
        // A server that names no interval has no such call.
        if claim.heartbeat.is_none() {
            continue;
        }
        let silent = slot.link.silent_for();
        match slot.shared.api.heartbeat(&claim.token, &claim.allocation, silent).await {
            Answer::Done(answer) => {
                slot.shared.metrics.heartbeat(Heartbeat::Arrived);
                if let Some(reason) = answer.cancel
                    && !canceled
                {
                    canceled = true;
                    slot.input(Input::CancelAsked(reason));
                }
            }
            Answer::Gone(status) => {
                tracing::warn!(
                    slot = slot.number,
                    allocation = %claim.allocation,
                    "the control plane gave the task to somebody else or ended it ({status}); \
                     it is stopped here"
                );
                slot.shared.metrics.heartbeat(Heartbeat::Gone);
                slot.note_stale();
                slot.input(Input::Stale);
                return;
            }
            Answer::Failed(reason) => {
                slot.shared.metrics.heartbeat(Heartbeat::Failed);
                tracing::debug!(slot = slot.number, reason, "a heartbeat did not arrive");
            }
        }
    }
}
