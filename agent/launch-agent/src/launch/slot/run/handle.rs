//! Reaching the running task agent: to cancel its task, or to kill it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use russet_protocol::supervise::{Failure, FromLaunchAgent};

use crate::launch::slot::info::SlotInfo;
use crate::launch::sockets::TaskAgentChannel;
use russet_platform::Process;

/// Time that a task agent that was just started has to dial, before a cancel comes as a signal.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// The running task agent of a slot: its process, and the channel to it.
#[derive(Debug)]
pub(in crate::launch::slot) struct TaskAgentHandle {
    info: Arc<SlotInfo>,
    pub(super) channel: Arc<TaskAgentChannel>,
    process: Mutex<Option<Arc<Process>>>,
}

impl TaskAgentHandle {
    pub(in crate::launch::slot) fn new(
        info: Arc<SlotInfo>,
        channel: Arc<TaskAgentChannel>,
    ) -> Self {
        Self { info, channel, process: Mutex::default() }
    }

    /// Sets the process that runs, or that none does.
    pub(super) fn set_process(&self, process: Option<Arc<Process>>) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = process;
    }

    /// Tells the task agent to end the task.
    pub(in crate::launch::slot) async fn cancel(&self, failure: Failure) {
        let info = &self.info;
        tracing::info!(slot = info.number, reason = failure.message, "canceling the task");
        let Failure { outcome, message: reason } = failure;
        if self.channel.send_cancel(FromLaunchAgent::Cancel { outcome, reason }) {
            return;
        }
        // It is told when it dials. One that does not (or is none of ours) gets a signal.
        info.shared.clock.sleep(DIAL_TIMEOUT).await;
        if self.channel.peer_pid().is_none() {
            self.signal(Signal::SIGTERM);
        }
    }

    /// Kills the task agent, not asking it.
    pub(in crate::launch::slot) fn kill(&self) {
        self.signal(Signal::SIGKILL);
        // Behind a prefix (sudo), what was started here is not the task agent itself.
        if let Some(pid) = self.channel.peer_pid()
            && let Ok(process) = Process::open(pid)
            && russet_platform::user_of(pid) == Some(self.info.user().uid)
        {
            // It may be gone by now, which is what is wanted.
            drop(process.signal(Signal::SIGKILL));
        }
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(process) = process else { return };
        if let Err(error) = process.signal(signal) {
            tracing::debug!(slot = self.info.number, %error, "could not signal the task agent");
        }
    }
}
