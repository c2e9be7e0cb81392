//! Two heartbeats for a running task: a ping to its agent, and a word to the control plane.
//!
//! The launch agent sends its own because a busy task cannot starve it, and says how long the
//! task agent has been silent, so that it does not keep alive what is dead.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::launch::server::Answer;
use crate::launch::slot::info::SlotInfo;
use crate::launch::slot::meter::TaskMeter;
use crate::launch::slot::record::{TaskClaim, TaskRecord};
use crate::launch::sockets::TaskAgentChannel;
use crate::metrics::{Failure, Heartbeat};
use crate::state::slot::Input;

/// Interval where the server names none.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// Shortest interval that a server may name.
const MIN_INTERVAL: Duration = Duration::from_millis(50);

/// Number of pings without an answer after which a task agent is dead, or stopped. They are
/// counted, not timed: after a system sleep nobody has answered for hours, and all is well.
const MAX_UNANSWERED: u32 = 3;

/// The heartbeats of a slot's task.
#[derive(Debug, Default)]
pub(in crate::launch::slot) struct Heartbeats(Mutex<Option<tokio::task::AbortHandle>>);

impl Heartbeats {
    /// Begins to send them for the task of the record.
    pub(super) fn begin(
        &self,
        info: &Arc<SlotInfo>,
        record: &TaskRecord,
        meter: &Arc<TaskMeter>,
        channel: &Arc<TaskAgentChannel>,
    ) {
        let Some(claim) = record.claim() else { return };
        let (info, meter, channel) = (Arc::clone(info), Arc::clone(meter), Arc::clone(channel));
        let sending = tokio::spawn(send_heartbeats(info, claim, meter, channel)).abort_handle();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sending);
    }

    /// Ends them.
    pub(in crate::launch::slot) fn stop(&self) {
        if let Some(sending) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            sending.abort();
        }
    }
}

/// Runs until it is aborted, with the end of the task.
async fn send_heartbeats(
    info: Arc<SlotInfo>,
    claim: TaskClaim,
    meter: Arc<TaskMeter>,
    channel: Arc<TaskAgentChannel>,
) {
    let interval = claim.heartbeat.unwrap_or(DEFAULT_INTERVAL).max(MIN_INTERVAL);
    let mut canceled = false;
    loop {
        info.shared.clock.sleep(interval).await;
        let unanswered = channel.ping();
        if unanswered == MAX_UNANSWERED {
            info.shared.metrics.failed(Failure::Silent);
        }
        if unanswered >= MAX_UNANSWERED {
            info.send(Input::Silent);
        }
        // A server that names no interval has no such call.
        if claim.heartbeat.is_none() {
            continue;
        }
        let silent = channel.silent_for();
        match info.shared.api.heartbeat(&claim.token, &claim.allocation, silent).await {
            Answer::Done(answer) => {
                info.shared.metrics.heartbeat(Heartbeat::Arrived);
                if let (Some(pause), Some(class)) = (&answer.pause, &info.class)
                    && *pause != info.shared.sink.board.known_pause(&class.label)
                {
                    info.shared.orders_wanted.notify_one();
                }
                if let Some(reason) = answer.cancel
                    && !canceled
                {
                    canceled = true;
                    info.send(Input::CancelAsked(reason));
                }
            }
            Answer::Gone(status) => {
                tracing::warn!(
                    slot = info.number,
                    allocation = %claim.allocation,
                    "the control plane gave the task to somebody else or ended it ({status}); \
                     it is stopped here"
                );
                info.shared.metrics.heartbeat(Heartbeat::Gone);
                meter.note_stale();
                info.send(Input::Stale);
                return;
            }
            Answer::Refused(reason) | Answer::Failed(reason) => {
                info.shared.metrics.heartbeat(Heartbeat::Failed);
                tracing::debug!(slot = info.number, reason, "a heartbeat did not arrive");
            }
        }
    }
}
