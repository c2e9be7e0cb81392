//! Watching a task agent until it ends, also one that an earlier launch agent started.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::{Mode, ResultRecord, SlotUser, VERSION, exit as codes};

use super::handle::TaskAgentHandle;
use super::heartbeat::Heartbeats;
use super::launcher::TaskAgentLauncher;
use crate::board::Event;
use crate::crash_points::CrashPoint;
use crate::launch::process::{Traces, judge_exit, judge_result, shown_outcome, tail_of_log};
use crate::launch::slot::info::SlotInfo;
use crate::launch::slot::meter::TaskMeter;
use crate::launch::slot::record::TaskRecord;
use crate::launch::slot_dir::Journal;
use crate::launch::sockets::LastWords;
use crate::state::TaskEnd;
use crate::state::slot::{Exit, Input};
use russet_platform::Process;

/// Time that the first moments of a task have for themselves: the next task agent is started after
/// them.
const SPARE_DELAY: Duration = Duration::from_millis(5);

/// Watches the task agents of a slot.
#[derive(Debug)]
pub(in crate::launch::slot) struct TaskWatcher {
    pub(in crate::launch::slot) info: Arc<SlotInfo>,
    pub(in crate::launch::slot) record: Arc<TaskRecord>,
    pub(in crate::launch::slot) meter: Arc<TaskMeter>,
    pub(in crate::launch::slot) launcher: Arc<TaskAgentLauncher>,
    pub(in crate::launch::slot) agent: Arc<TaskAgentHandle>,
    pub(in crate::launch::slot) heartbeats: Arc<Heartbeats>,
}

impl TaskWatcher {
    /// Watches a task agent of this launch agent's. The next one is started meanwhile, once the
    /// task is under way.
    pub(in crate::launch::slot) async fn watch_child(&self, mut child: tokio::process::Child) {
        let early = tokio::select! {
            status = child.wait() => Some(status.ok()),
            () = self.info.shared.clock.sleep(SPARE_DELAY) => None,
        };
        self.launcher.start_spare();
        let status = match early {
            Some(status) => status,
            None => child.wait().await.ok(),
        };
        if status.is_some_and(|status| status.success()) {
            self.agent.channel.hear_out().await;
        }
        self.finish_task(status, "the task agent ended");
    }

    /// Watches a task agent that an earlier launch agent started.
    pub(super) async fn watch_adopted(&self, process: Arc<Process>) {
        if let Err(error) = process.ended().await {
            tracing::warn!(slot = self.info.number, %error, "cannot watch the task agent");
        }
        self.agent.channel.hear_out().await;
        let gone = "the task agent ended without a word after a restart of the launch agent";
        self.finish_task(None, gone);
    }

    /// The record that the task agent left, if it can be believed to be its own.
    pub(super) fn read_result(&self, user: Option<&SlotUser>) -> Option<ResultRecord> {
        self.info.dir.result(user.unwrap_or(self.info.user()))
    }

    /// Returns true unless it is known that no step of the task has begun. Programs of others leave
    /// no traces here.
    pub(super) fn has_begun(&self, journal: &Journal) -> bool {
        let user = journal.assignment.user.as_ref().unwrap_or(self.info.user());
        journal.assignment.mode == Mode::External || self.info.dir.has_begun(user)
    }

    fn finish_task(&self, status: Option<ExitStatus>, gone: &str) {
        CrashPoint::AgentEnded.pass();
        // Of one that was adopted it is not known.
        let has_stepped = status.is_none() || self.agent.channel.has_stepped();
        let words = self.agent.channel.end().filter(|words| is_believed(words, status));
        self.record.set_emptied(words.is_some());
        self.heartbeats.stop();
        self.agent.set_process(None);
        let Some(journal) = self.record.journal() else { return };
        let record = match words {
            Some(LastWords { outcome, message, left, .. }) => Some(ResultRecord {
                version: VERSION,
                allocation: journal.allocation.clone(),
                outcome,
                message,
                reported: true,
                left,
            }),
            None => self.read_result(journal.assignment.user.as_ref()),
        };
        if let Some(record) = record.as_ref().filter(|own| own.allocation == journal.allocation) {
            self.info.shared.left.add(&record.left);
        }
        // A task agent that reported says nothing that matters.
        let has_reported = status.is_some_and(|status| status.success());
        let said = if has_reported { String::new() } else { tail_of_log(&self.info.dir.fd) };
        let has_begun = record.is_some() || self.has_begun(&journal);
        let traces = Traces { status, record: record.as_ref(), has_begun, said: &said, gone };
        let exit = judge_exit(traces, &journal.allocation);
        let outcome = shown_outcome(&exit, record.as_ref());
        let message = record.as_ref().and_then(|record| record.message.as_deref());
        let end = TaskEnd {
            result: judge_result(&exit, outcome, message, has_stepped),
            project: journal.shown.project.clone(),
            took: self.meter.time_since_claim(&self.info),
        };
        self.info.send_end(end);
        self.report_end(&journal, exit, outcome);
    }

    fn report_end(&self, journal: &Journal, exit: Exit, outcome: Option<Outcome>) {
        let info = &*self.info;
        tracing::info!(
            slot = info.number,
            allocation = %journal.allocation,
            outcome = outcome.map(Outcome::as_str),
            "the task agent has ended"
        );
        self.meter.note_exit(info, &exit, outcome);
        let sink = &info.shared.sink;
        sink.outputs.ended(info.number, journal.shown.id.as_ref());
        if let Exit::Died(reason) | Exit::DiedEarly(_, reason) | Exit::NothingRan(reason) = &exit {
            sink.warn(format!("slot {}: {reason}", info.number));
        }
        sink.send(Event::Ended { slot: info.number, outcome });
        info.send(Input::Exited(exit));
    }
}

/// Decides if the last words on the channel are the task agent's own: they are only together with
/// its exit status. The exit of an adopted one was told to nobody here; its words are believed as
/// its record would be, which a job can write as well.
fn is_believed(words: &LastWords, status: Option<ExitStatus>) -> bool {
    words.emptied && status.is_none_or(|status| status.code() == Some(codes::REPORTED))
}
