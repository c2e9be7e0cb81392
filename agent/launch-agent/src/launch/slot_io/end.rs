//! Ending a task from outside.

use std::sync::Arc;
use std::time::Duration;

use russet_protocol::supervise::{Failure, FromLaunchAgent};

use super::SlotIo;
use russet_platform::Process;

/// Time that a task agent that was just started has to dial before a cancel comes as a signal.
const DIAL_TIME: Duration = Duration::from_secs(2);

impl SlotIo {
    /// Tells the task agent to end the task.
    pub(in crate::launch) async fn cancel(self: Arc<Self>, failure: Failure) {
        tracing::info!(slot = self.number, reason = failure.message, "canceling the task");
        let Failure { outcome, message: reason } = failure;
        if self.link.cancel(FromLaunchAgent::Cancel { outcome, reason }) {
            return;
        }
        // It is told when it dials. One that does not (or is none of ours) gets a signal.
        self.shared.clock.sleep(DIAL_TIME).await;
        if self.link.peer_pid().is_none() {
            self.signal(nix::sys::signal::Signal::SIGTERM);
        }
    }

    /// Kills the task agent, not asking it.
    pub(in crate::launch) fn kill(&self) {
        self.signal(nix::sys::signal::Signal::SIGKILL);
        // Behind a prefix (sudo), what was started here is not the task agent itself.
        if let Some(pid) = self.link.peer_pid()
            && let Ok(process) = Process::open(pid)
            && russet_platform::user_of(pid) == Some(self.lease.user.uid)
        {
            // It may be gone by now, which is what is wanted.
            drop(process.signal(nix::sys::signal::Signal::SIGKILL));
        }
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let Some(process) = self.with(|task| task.process.clone()) else { return };
        if let Err(error) = process.signal(signal) {
            tracing::debug!(slot = self.number, %error, "could not signal the task agent");
        }
    }
}
