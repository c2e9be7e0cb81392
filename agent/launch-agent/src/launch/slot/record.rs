//! The record of a slot's task: its journal, in memory and on disk, and what is never written down.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use russet_protocol::ids::{AllocationId, TaskId};
use russet_protocol::secret::Secret;

use crate::launch::admission::Granted;
use crate::launch::slot_dir::Journal;

/// The record of a slot's task.
#[derive(Debug, Default)]
pub(super) struct TaskRecord(Mutex<Entry>);

#[derive(Debug, Default)]
struct Entry {
    journal: Option<Journal>,
    /// Credentials of the claimed task, until its agent has them.
    granted: Granted,
    /// Set when the task agent said that it emptied its directories.
    has_emptied: bool,
}

/// The token and the claim of a running task, for calls to the control plane.
#[derive(Clone, Debug)]
pub(super) struct TaskClaim {
    pub(super) token: Secret,
    pub(super) allocation: AllocationId,
    /// Interval of heartbeats, where the server names one.
    pub(super) heartbeat: Option<Duration>,
}

impl TaskRecord {
    /// The journal of the task, if there is one.
    pub(super) fn journal(&self) -> Option<Journal> {
        self.with(|entry| entry.journal.clone())
    }

    /// The id of the task, as the status shows it.
    pub(super) fn task_id(&self) -> Option<TaskId> {
        self.with(|entry| entry.journal.as_ref()?.shown.id.clone())
    }

    /// The token and claim of the task.
    pub(super) fn claim(&self) -> Option<TaskClaim> {
        self.with(|entry| {
            entry.journal.as_ref().map(|journal| TaskClaim {
                token: journal.assignment.token.clone(),
                allocation: journal.allocation.clone(),
                heartbeat: journal.heartbeat_ms.map(Duration::from_millis),
            })
        })
    }

    /// Sets the journal of a task that was adopted or started.
    pub(super) fn set_journal(&self, journal: Journal) {
        self.with(|entry| entry.journal = Some(journal));
    }

    /// Sets the journal of a task that was just claimed, and its credentials.
    pub(super) fn set_claimed(&self, journal: Journal, granted: Granted) {
        self.with(|entry| {
            entry.journal = Some(journal);
            entry.granted = granted;
        });
    }

    /// Credentials of the claimed task. A start that fails is tried again with the same.
    pub(super) fn granted(&self) -> Granted {
        self.with(|entry| entry.granted.clone())
    }

    /// Forgets the credentials: the task agent has them.
    pub(super) fn forget_granted(&self) {
        self.with(|entry| entry.granted = Granted::default());
    }

    /// Notes the task agent's word that it emptied its directories, or that it said none.
    pub(super) fn set_emptied(&self, has_emptied: bool) {
        self.with(|entry| entry.has_emptied = has_emptied);
    }

    /// Takes the task agent's word that it emptied its directories.
    pub(super) fn take_emptied(&self) -> bool {
        self.with(|entry| std::mem::take(&mut entry.has_emptied))
    }

    /// Deletes the journal of a task. One that was claimed meanwhile keeps its own.
    pub(super) fn remove(&self, allocation: &AllocationId, slot: &OwnedFd) -> io::Result<()> {
        self.with(|entry| {
            if entry.journal.as_ref().is_some_and(|now| now.allocation == *allocation) {
                entry.journal = None;
                return Journal::remove(slot);
            }
            Ok(())
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Entry) -> T) -> T {
        // A panic while it was held cannot have left half a change: each is one assignment.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
