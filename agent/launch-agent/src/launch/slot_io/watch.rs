//! Watching a task agent until it ends, also one that an earlier launch agent started.

use std::sync::Arc;
use std::time::Duration;

use russet_protocol::supervise::{ResultRecord, SlotUser, VERSION, exit as codes};

use super::SlotIo;
use crate::launch::journal::{self, Journal};
use crate::launch::state::slot::{Exit, Input};
use crate::launch::supervise::LastWords;
use crate::launch::{Event, exit, spawn};
use crate::metrics::Failure as Trouble;
use russet_platform::Process;
use russet_platform::clock::BootTime;

/// The first milliseconds of a task are its own: the next task agent is started after them.
const SPARE_DELAY: Duration = Duration::from_millis(5);

impl SlotIo {
    /// The next task agent is started meanwhile, once this task is under way.
    pub(super) async fn watch_child(&self, mut child: tokio::process::Child) {
        let early = tokio::select! {
            status = child.wait() => Some(status.ok()),
            () = self.shared.clock.sleep(SPARE_DELAY) => None,
        };
        self.start_spare();
        let status = match early {
            Some(status) => status,
            None => child.wait().await.ok(),
        };
        if status.is_some_and(|status| status.success()) {
            self.link.hear_out().await;
        }
        self.ended(status, "the task agent ended");
    }

    /// Goes on with a task agent that an earlier launch agent started.
    pub(in crate::launch) async fn watch_adopted(self: Arc<Self>, process: Arc<Process>) {
        if let Err(error) = process.ended().await {
            tracing::warn!(slot = self.number, %error, "can not watch the task agent");
        }
        self.link.hear_out().await;
        self.ended(None, "the task agent ended without a word after a restart of the launch agent");
    }

    /// Takes over what an earlier launch agent left, before anything else happens in the slot.
    pub(in crate::launch) fn adopt(self: &Arc<Self>, journal: Journal) -> Input {
        let found = journal.find(&self.shared.boot_id);
        let allocation = journal.allocation.clone();
        let deadline = journal.assignment.deadline.as_ref().map_or(0, |at| at.boot_ms);
        let user = journal.assignment.user.clone();
        self.show(&journal);
        let running = Arc::clone(&self.shared.tasks).try_read_owned().ok();
        self.meter_found();
        self.with(|task| {
            task.journal = Some(journal);
            task.running = running;
        });
        let gone = match found {
            journal::Found::Alive(process) => {
                let process = Arc::new(process);
                self.with(|task| task.process = Some(Arc::clone(&process)));
                self.link.begin(&allocation);
                self.begin_heartbeat();
                let watch = tokio::spawn(Arc::clone(self).watch_adopted(process)).abort_handle();
                self.with(|task| task.watch = Some(watch));
                self.shared.sink.outputs.adopt(self.number);
                tracing::info!(slot = self.number, %allocation, "adopted a running task");
                self.shared.metrics.adopted();
                self.show_deadline(BootTime(deadline));
                return Input::Adopted { deadline: BootTime(deadline) };
            }
            journal::Found::NeverStarted => {
                let reason = "the launch agent ended before the task was started".to_owned();
                return Input::Orphaned(Exit::NothingRan(reason));
            }
            journal::Found::Ended => "the task agent ended while no launch agent watched it",
            journal::Found::Rebooted => {
                self.shared.metrics.failed(Trouble::Rebooted);
                "the machine restarted"
            }
        };
        let record = self.record(user.as_ref());
        let said = spawn::agent_said(&self.dir.fd);
        let exit = exit::judge(None, record.as_ref(), &allocation, &said, gone);
        tracing::info!(slot = self.number, %allocation, "found a task of an earlier agent: {gone}");
        let outcome = exit::outcome(&exit, record.as_ref());
        self.meter_exit(&exit, outcome);
        self.shared.sink.say(Event::Ended { slot: self.number, outcome });
        Input::Orphaned(exit)
    }

    fn record(&self, user: Option<&SlotUser>) -> Option<ResultRecord> {
        self.dir.result(user.unwrap_or(&self.lease.user))
    }

    fn ended(&self, status: Option<std::process::ExitStatus>, gone: &str) {
        // What one says is the task agent's own word only together with its exit status. The exit
        // of an adopted one was told to nobody here; its words are believed as its record would
        // be, which a job can write as well.
        let words = self.link.end().filter(|words| {
            words.emptied && status.is_none_or(|status| status.code() == Some(codes::REPORTED))
        });
        let journal = self.with(|task| {
            task.emptied = words.is_some();
            if let Some(heartbeat) = task.heartbeat.take() {
                heartbeat.abort();
            }
            task.process = None;
            task.journal.clone()
        });
        let Some(journal) = journal else { return };
        let record = match words {
            Some(LastWords { outcome, left, .. }) => Some(ResultRecord {
                version: VERSION,
                allocation: journal.allocation.clone(),
                outcome,
                message: None,
                reported: true,
                left,
            }),
            None => self.record(journal.assignment.user.as_ref()),
        };
        if let Some(record) = record.as_ref().filter(|own| own.allocation == journal.allocation) {
            self.shared.left.add(&record.left);
        }
        // A task agent that reported says nothing that matters.
        let reported = status.is_some_and(|status| status.success());
        let said = if reported { String::new() } else { spawn::agent_said(&self.dir.fd) };
        let exit = exit::judge(status, record.as_ref(), &journal.allocation, &said, gone);
        let outcome = exit::outcome(&exit, record.as_ref());
        tracing::info!(
            slot = self.number,
            allocation = %journal.allocation,
            outcome = outcome.map(russet_protocol::outcome::Outcome::as_str),
            "the task agent has ended"
        );
        self.meter_exit(&exit, outcome);
        self.shared.sink.outputs.ended(self.number, journal.shown.id.as_ref());
        if let Exit::Died(reason) | Exit::NothingRan(reason) = &exit {
            self.shared.sink.warn(format!("slot {}: {reason}", self.number));
        }
        self.shared.sink.say(Event::Ended { slot: self.number, outcome });
        self.input(Input::Exited(exit));
    }

    /// Returns true if the task agent that ended last said that it emptied its directories; said
    /// once.
    pub(in crate::launch) fn take_emptied(&self) -> bool {
        self.with(|task| std::mem::take(&mut task.emptied))
    }
}
