//! A slot's share of the outside world: what the state machine's actions do.
//!
//! Each action runs by itself and answers with an input; which of them may run at the same time
//! is the state machine's business.

mod claim;
mod end;
mod start;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russet_protocol::ids::{AllocationId, TaskId};
use russet_protocol::secret::Secret;
use russet_protocol::supervise::{Assignment, SlotUser};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::claim::Presence;
use super::dirs::{self, SlotDir};
use super::journal::Journal;
use super::state::slot::Input;
use super::supervise::Link;
use super::{Event, Shared, grants, meter, spawn, state};
use crate::config::Class;
use russet_platform::clock::BootTime;
use russet_platform::{Process, users};

/// A slot.
#[derive(Debug)]
pub(in crate::launch) struct SlotIo {
    pub(in crate::launch) shared: Arc<Shared>,
    pub(in crate::launch) index: usize,
    pub(in crate::launch) number: u32,
    /// `None`: the slot is not configured any more.
    pub(in crate::launch) class: Option<Arc<Class>>,
    /// Last message about the class's token.
    pub(in crate::launch) token: Arc<Presence>,
    pub(in crate::launch) dir: SlotDir,
    pub(in crate::launch) lease: users::Lease,
    pub(in crate::launch) link: Arc<Link>,
    pub(in crate::launch) inputs: mpsc::UnboundedSender<state::Input>,
    task: Mutex<Task>,
}

/// Runtime state of the slot's current task.
#[derive(Debug, Default)]
pub(in crate::launch) struct Task {
    pub(in crate::launch) journal: Option<Journal>,
    process: Option<Arc<Process>>,
    heartbeat: Option<tokio::task::AbortHandle>,
    /// Waits for the end of an adopted task agent.
    watch: Option<tokio::task::AbortHandle>,
    /// A task agent that waits for the next assignment.
    spare: Option<spawn::Spawned>,
    /// The task agent said that it emptied its directories.
    emptied: bool,
    claim: Option<CancellationToken>,
    /// The task, until metrics have it.
    pub(in crate::launch) meter: Option<meter::Meter>,
    /// Credentials that the claimed task may have, until its agent gets them.
    granted: grants::Granted,
    /// Keeps caches from being trimmed under a running task.
    pub(in crate::launch) running: Option<tokio::sync::OwnedRwLockReadGuard<()>>,
}

/// Identity of a running task for calls.
#[derive(Clone, Debug)]
pub(in crate::launch) struct TaskClaim {
    pub(in crate::launch) token: Secret,
    pub(in crate::launch) allocation: AllocationId,
    pub(in crate::launch) heartbeat: Option<Duration>,
}

/// Parts of a slot.
#[derive(Debug)]
pub(in crate::launch) struct Parts {
    pub(in crate::launch) shared: Arc<Shared>,
    pub(in crate::launch) index: usize,
    pub(in crate::launch) number: u32,
    pub(in crate::launch) class: Option<Arc<Class>>,
    pub(in crate::launch) token: Arc<Presence>,
    pub(in crate::launch) dir: SlotDir,
    pub(in crate::launch) lease: users::Lease,
    pub(in crate::launch) link: Arc<Link>,
    pub(in crate::launch) inputs: mpsc::UnboundedSender<state::Input>,
}

impl SlotIo {
    /// A slot without a task.
    pub(in crate::launch) fn new(parts: Parts) -> Self {
        let Parts { shared, index, number, class, token, dir, lease, link, inputs } = parts;
        let task = Mutex::default();
        Self { shared, index, number, class, token, dir, lease, link, inputs, task }
    }

    /// Tells the state machine.
    pub(in crate::launch) fn input(&self, input: Input) {
        // Nobody listens any more when the launch agent ends.
        drop(self.inputs.send(state::Input::Slot(self.index, input)));
    }

    pub(in crate::launch) fn with<T>(&self, change: impl FnOnce(&mut Task) -> T) -> T {
        // A panic while it was held can not have left half a change: each is one assignment.
        change(&mut self.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(in crate::launch) fn journal(&self) -> Option<Journal> {
        self.with(|task| task.journal.clone())
    }

    /// The task in it, as the status calls it.
    pub(in crate::launch) fn task_id(&self) -> Option<TaskId> {
        self.with(|task| task.journal.as_ref()?.shown.id.clone())
    }

    /// Returns the identity of the running task for calls.
    pub(in crate::launch) fn claim_of_task(&self) -> Option<TaskClaim> {
        self.with(|task| {
            task.journal.as_ref().map(|journal| TaskClaim {
                token: journal.assignment.token.clone(),
                allocation: journal.allocation.clone(),
                heartbeat: journal.heartbeat_ms.map(Duration::from_millis),
            })
        })
    }

    /// Shows people the task of a journal.
    fn show(&self, journal: &Journal) {
        let Shared { sink, clock, .. } = &*self.shared;
        sink.outputs.begin(self.number);
        sink.board.begin(self.number, journal.shown.clone(), clock.wall_ms());
        sink.say(Event::Claimed { slot: self.number, job: journal.shown.job.clone() });
    }

    fn show_deadline(&self, deadline: BootTime) {
        let Shared { sink, clock, .. } = &*self.shared;
        let now_ms = clock.wall_ms();
        let left_ms = russet_platform::clock::millis(deadline.since(clock.now()));
        sink.board.deadline(self.number, now_ms.saturating_add(left_ms), now_ms);
    }

    pub(in crate::launch) async fn helper(
        &self,
        assignment: &Assignment,
    ) -> io::Result<(std::process::ExitStatus, String)> {
        let never = std::future::pending();
        spawn::helper(&self.shared.staged.exe, &self.dir.fd, assignment, never).await
    }

    /// As [`Self::helper`], for no longer than this.
    pub(in crate::launch) async fn helper_within(
        &self,
        assignment: &Assignment,
        longest: Duration,
    ) -> io::Result<(std::process::ExitStatus, String)> {
        let too_long = self.shared.clock.sleep(longest);
        spawn::helper(&self.shared.staged.exe, &self.dir.fd, assignment, too_long).await
    }

    /// The launch agent ends; the task agent does not.
    pub(in crate::launch) fn close(&self) {
        self.with(|task| {
            for background in [task.heartbeat.take(), task.watch.take()].into_iter().flatten() {
                background.abort();
            }
        });
    }

    /// The way that the slot's user has to go to reach the slot.
    pub(in crate::launch) fn obstacle(path: &Path, user: &SlotUser) -> Option<PathBuf> {
        dirs::obstacle(path, user)
    }
}
