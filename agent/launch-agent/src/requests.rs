//! Requests of people and other parts of the agent to the launch agent's state machine and to its
//! updates: plain values, without I/O.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use russet_protocol::ids::TaskId;
use russet_protocol::local::HoldOwner;
use tokio::sync::mpsc;

/// A request that the launch agent end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Claim nothing more, finish what runs.
    Drain,
    /// Cancel what runs.
    Cancel,
    /// Leave tasks running, for another launch agent to adopt.
    Leave,
}

/// A request to the state machine, from the local API, from health checks or from updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Hold all claims back for this reason; `None` lifts the hold.
    Hold(HoldSource, Option<String>),
    /// Hold the claims of a class back for this reason; `None` lifts the hold.
    HoldClass(HoldSource, usize, Option<String>),
    /// Try again what failed: a person says that it may work now.
    Retry,
    /// Cancel all running tasks.
    CancelTasks(String),
    /// A new version is staged, and this is how far the agent may go for it; `None` withdraws it.
    Update(Option<UpdateMode>),
    /// Cancel one task, if it still runs.
    CancelTask {
        /// Its id, as the status shows it.
        id: TaskId,
        /// The reason, for the task's log.
        reason: String,
    },
}

/// Extent of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpdateMode {
    /// It waits until no task runs.
    WhenIdle,
    /// It takes no more tasks until then.
    Drain,
}

/// A request about updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpdateAction {
    /// Check for an update now.
    Check,
    /// Check now, and install what is found as soon as no task runs.
    Install,
}

/// A numbered request about updates: the status says when the check of this number has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpdateRequest {
    /// The request.
    pub(crate) action: UpdateAction,
    /// Number of the check that answers it.
    pub(crate) number: u64,
}

/// The way of requests to whoever looks for updates. Numbers go on from those of before a restart.
#[derive(Clone, Debug)]
pub(crate) struct UpdateRequests {
    sender: mpsc::UnboundedSender<UpdateRequest>,
    last: Arc<AtomicU64>,
}

impl UpdateRequests {
    /// The way, and its end. `last` is the number of the last request of before.
    pub(crate) fn after(last: u64) -> (Self, mpsc::UnboundedReceiver<UpdateRequest>) {
        let (sender, requests) = mpsc::unbounded_channel();
        (Self { sender, last: Arc::new(AtomicU64::new(last)) }, requests)
    }

    /// Sends a request, and returns its number. `None`: nobody looks for updates any more.
    pub(crate) fn send(&self, action: UpdateAction) -> Option<u64> {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.sender.send(UpdateRequest { action, number }).ok().map(|()| number)
    }
}

/// The origin of a hold on claims, the most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HoldSource {
    /// A person drains the machine for maintenance.
    Drain,
    /// A person paused it.
    Pause,
    /// A person at the control plane paused it.
    Server,
    /// The installation came from another machine, and nobody has said that it is for this one.
    Machine,
    /// The machine is not well: no room on the disk, no memory.
    Health,
    /// The account whose session a class needs is not logged in at the screen.
    Session,
    /// The Xcode of a class is missing, half there, or cannot be used.
    Xcode,
    /// Tasks of a class failed one after the other for reasons of this machine.
    Failures,
    /// A version that an installer package brought waits for the tasks that run.
    Installer,
}

impl HoldSource {
    /// The word that people see.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Pause => "pause",
            Self::Server => "server",
            Self::Machine => "machine",
            Self::Installer => "installer",
            Self::Health => "health",
            Self::Session => "session",
            Self::Xcode => "xcode",
            Self::Failures => "failures",
        }
    }

    /// Returns who set it, and alone lifts it.
    pub(crate) fn owner(self) -> HoldOwner {
        match self {
            Self::Drain | Self::Pause => HoldOwner::Person,
            Self::Server => HoldOwner::Server,
            Self::Installer => HoldOwner::Installer,
            Self::Machine | Self::Health | Self::Session | Self::Xcode | Self::Failures => {
                HoldOwner::Health
            }
        }
    }
}
