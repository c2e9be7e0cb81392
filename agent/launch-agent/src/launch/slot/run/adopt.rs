//! Taking over the task that an earlier launch agent left in a slot.

use std::sync::{Arc, Mutex, PoisonError};

use russet_protocol::runner::UnclaimCause;

use super::start::show_deadline;
use super::watch::TaskWatcher;
use crate::board::Event;
use crate::launch::caches::CacheUse;
use crate::launch::process::{Traces, judge_exit, shown_outcome, tail_of_log};
use crate::launch::slot::claims::show_task;
use crate::launch::slot_dir::{Found, Journal};
use crate::metrics::Failure;
use crate::state::slot::{Exit, Input};
use russet_platform::Process;
use russet_platform::clock::BootTime;

/// Adopts tasks of an earlier launch agent.
#[derive(Debug)]
pub(in crate::launch::slot) struct TaskAdopter {
    watcher: Arc<TaskWatcher>,
    caches: Arc<CacheUse>,
    /// Waits for the end of an adopted task agent.
    waiting: Mutex<Option<tokio::task::AbortHandle>>,
}

impl TaskAdopter {
    pub(in crate::launch::slot) fn new(watcher: Arc<TaskWatcher>, caches: Arc<CacheUse>) -> Self {
        Self { watcher, caches, waiting: Mutex::default() }
    }

    /// Takes over the task of a journal, before anything else happens in the slot.
    pub(in crate::launch::slot) fn adopt(&self, journal: Journal) -> Input {
        let watcher = &self.watcher;
        let info = &*watcher.info;
        let found = journal.find_task_agent(&info.shared.boot_id);
        let is_rebooted = matches!(found, Found::Rebooted);
        show_task(info, &journal);
        self.caches.begin_now(&info.shared.caches);
        watcher.meter.note_found();
        watcher.record.set_journal(journal.clone());
        let gone = match found {
            Found::Alive(process) => return self.adopt_running(&journal, Arc::new(process)),
            Found::NeverStarted => {
                let reason = "the launch agent ended before the task was started".to_owned();
                return Input::Orphaned(Exit::DiedEarly(UnclaimCause::Interrupted, reason));
            }
            Found::Ended => "the task agent ended while no launch agent watched it",
            Found::Rebooted => {
                watcher.meter.note_fault(Failure::Rebooted);
                "the machine restarted"
            }
        };
        let allocation = &journal.allocation;
        let record = watcher.read_result(journal.assignment.user.as_ref());
        let said = tail_of_log(&info.dir.fd);
        // After a loss of power the spool may have less than there was.
        let has_begun = is_rebooted || watcher.has_begun(&journal);
        let traces = Traces { status: None, record: record.as_ref(), has_begun, said: &said, gone };
        let exit = judge_exit(traces, allocation);
        tracing::info!(slot = info.number, %allocation, "found a task of an earlier agent: {gone}");
        let outcome = shown_outcome(&exit, record.as_ref());
        watcher.meter.note_exit(info, &exit, outcome);
        info.shared.sink.send(Event::Ended { slot: info.number, outcome });
        Input::Orphaned(exit)
    }

    fn adopt_running(&self, journal: &Journal, process: Arc<Process>) -> Input {
        let watcher = &self.watcher;
        let info = &watcher.info;
        let allocation = &journal.allocation;
        let deadline = BootTime(journal.assignment.deadline.as_ref().map_or(0, |at| at.boot_ms));
        watcher.agent.set_process(Some(Arc::clone(&process)));
        watcher.agent.channel.begin(allocation);
        let channel = &watcher.agent.channel;
        watcher.heartbeats.begin(info, &watcher.record, &watcher.meter, channel);
        let watching = Arc::clone(watcher);
        let waiting = tokio::spawn(async move { watching.watch_adopted(process).await });
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(waiting.abort_handle());
        info.shared.sink.outputs.adopt(info.number);
        tracing::info!(slot = info.number, %allocation, "adopted a running task");
        info.shared.metrics.adopted();
        show_deadline(info, deadline);
        Input::Adopted { deadline }
    }

    /// Waits no longer for an adopted task agent.
    pub(in crate::launch::slot) fn stop(&self) {
        if let Some(waiting) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waiting.abort();
        }
    }
}
