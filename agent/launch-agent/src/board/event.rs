//! Events of the launch agent that a screen shows.

use russet_protocol::outcome::Outcome;

/// An event that a screen shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Claims are sent.
    Claiming {
        /// Number of slots.
        slots: u32,
    },
    /// The control plane cannot be reached.
    Offline {
        /// The reason.
        reason: String,
    },
    /// The control plane answers again.
    Online,
    /// A task was claimed.
    Claimed {
        /// Number of the slot.
        slot: u32,
        /// Name of the job, where the server says it.
        job: Option<String>,
    },
    /// The task agent has the task's config and begins.
    Started {
        /// Number of the slot.
        slot: u32,
        /// Name of the job.
        job: String,
        /// The project.
        project: String,
    },
    /// A task has ended.
    Ended {
        /// Number of the slot.
        slot: u32,
        /// Outcome, as far as this agent knows.
        outcome: Option<Outcome>,
    },
    /// Something that a person should read.
    Notice(String),
}
