//! The launch agent: claims, starts, watches, cleans.
//!
//! Theory of operation. [`run`](mod@run) owns one state machine (`state`, pure) and feeds it inputs,
//! one at a time; the actions that come out are carried out by tasks of their own (`slot_io`,
//! `settle`), which answer with inputs again. So nothing that takes long holds up anything else,
//! and nothing is decided in two places. While there is no work the process waits in one long
//! poll per free slot and in nothing else: there are no periodic timers.
//!
//! As root it never reads what a project supplied, and deletes nothing below a slot's user:
//! helpers that run as that user do.

use std::path::PathBuf;
use std::sync::Arc;

use russet_protocol::exit_reason::AgentExit;

use crate::config::Config;
use russet_platform::clock::Clock;

mod api;
mod assignment;
mod awake;
pub(crate) mod board;
mod boot;
mod claim;
mod clean;
mod copies;
mod dirs;
mod exit;
mod external;
mod grants;
mod heartbeat;
mod history;
mod housekeeping;
mod journal;
mod meter;
mod oldest;
mod output;
mod policy;
mod prefix;
mod relay;
mod run;
mod session;
mod settle;
mod shutdown;
mod signals;
mod slot_io;
mod socket;
mod spawn;
mod stage;
mod start;
mod starts;
pub(crate) mod state;
mod supervise;
mod token;
mod trim;

pub use boot::bad_versions;
pub(crate) use boot::is_in_probation;
pub(crate) use dirs::Spool;
pub(crate) use housekeeping::Counters;
pub(crate) use output::{Reading, kept};
pub use run::run;

/// Options of running the launch agent; the owner's choices are in [`Config`].
#[derive(Debug)]
pub struct Options {
    /// Program that started it.
    pub host: Host,
    /// The `russet` executable: what tasks are run with.
    pub exe: PathBuf,
    /// Time.
    pub clock: Clock,
    /// Channel for events, for a terminal that shows them.
    pub on_event: Option<tokio::sync::mpsc::UnboundedSender<Event>>,
    /// Directory in which `russet-boot` is told this agent's progress.
    pub boot_state: Option<PathBuf>,
    /// Descriptor whose end means that the process that started this one is gone: a
    /// service leaves its tasks to the next agent, another host has them canceled.
    pub parent: Option<std::os::fd::OwnedFd>,
    /// Handles TERM, INT and HUP. Tests that run several launch agents in one process
    /// do without.
    pub signals: bool,
    /// Ends the launch agent as signals do, for whoever embeds it.
    pub stop: Option<tokio::sync::mpsc::UnboundedReceiver<Stop>>,
}

impl Options {
    /// In the foreground, with everything else as usual.
    #[must_use]
    pub fn new(exe: PathBuf) -> Self {
        Self {
            host: Host::Foreground,
            exe,
            clock: Clock::system(),
            on_event: None,
            boot_state: None,
            parent: None,
            signals: true,
            stop: None,
        }
    }
}

/// Program that started the launch agent, which decides the meaning of TERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// A person or CircleCI's way of running it: TERM drains, and TERM again cancels.
    Foreground,
    /// `russet-boot` under launchd: TERM ends the launch agent alone, soon, and tasks live on to
    /// be adopted.
    Launchd,
    /// The same under systemd.
    Systemd,
}

impl Host {
    /// Returns true if somebody starts the launch agent again when it has ended.
    #[must_use]
    pub fn is_service(self) -> bool {
        self != Self::Foreground
    }
}

/// A wish that the launch agent end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Claim nothing more, finish what runs.
    Drain,
    /// Cancel what runs.
    Cancel,
    /// Leave tasks running, for another launch agent to adopt.
    Leave,
}

/// Events, for screens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Claims are sent.
    Claiming {
        /// Number of slots that exist.
        slots: u32,
    },
    /// The control plane can not be reached.
    Offline {
        /// Reason.
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
        outcome: Option<russet_protocol::outcome::Outcome>,
    },
    /// Something that a person should read.
    Notice(String),
}

/// Reason why the launch agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// A drain ended, or everything was canceled as asked.
    Stopped,
    /// `mode: single-task`, and the task has ended.
    SingleTask,
    /// `idle_timeout` passed.
    Idle,
    /// A new version is in place.
    Updated,
    /// Tasks live on; launchd or a person asked this process to end.
    Left,
    /// Another launch agent uses the state directory.
    StateInUse(String),
    /// It could not start.
    Failed(String),
}

impl ExitReason {
    /// The exit code of the process.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.exit().code()
    }

    /// Its row in the table of exit codes.
    #[must_use]
    pub fn exit(&self) -> AgentExit {
        match self {
            Self::Stopped | Self::SingleTask | Self::Idle => AgentExit::Ended,
            Self::Left => AgentExit::Left,
            Self::Updated => AgentExit::Updated,
            Self::Failed(_) => AgentExit::Failed,
            Self::StateInUse(_) => AgentExit::StateInUse,
        }
    }
}

/// Sink of events: the log, the board that people look at, and whoever shows
/// it otherwise.
#[derive(Clone, Debug, Default)]
struct Sink {
    events: Option<tokio::sync::mpsc::UnboundedSender<Event>>,
    board: std::sync::Arc<board::Board>,
    outputs: std::sync::Arc<output::Outputs>,
    clock: Clock,
}

impl Sink {
    fn say(&self, event: Event) {
        self.board.event(&event, self.clock.wall_ms());
        if let Some(events) = &self.events {
            // Nobody looks any more.
            drop(events.send(event));
        }
    }

    /// Something that needs a person.
    fn error(&self, text: String) {
        tracing::error!("{text}");
        self.say(Event::Notice(text));
    }

    /// Something that a person should know.
    fn warn(&self, text: String) {
        tracing::warn!("{text}");
        self.say(Event::Notice(text));
    }
}

/// State that all slots share.
#[derive(Debug)]
struct Shared {
    config: Config,
    clock: Clock,
    sink: Sink,
    api: api::Api,
    staged: stage::Staged,
    /// Last message about the control plane.
    server: claim::Presence,
    request: russet_protocol::runner::ClaimRequest,
    /// Counts of jobs' remains, for metrics.
    left: Arc<housekeeping::Counters>,
    /// Counters and measurements.
    metrics: Arc<crate::metrics::Metrics>,
    /// Every running task reads it; trimming what others use takes it for itself.
    tasks: Arc<tokio::sync::RwLock<()>>,
    trimmed: trim::Trimmed,
    boot_id: String,
    /// Group of processes for each slot, where this machine allows it.
    groups: Option<russet_platform::Groups>,
    /// Set if task agents reach the control plane through us.
    uses_relay: bool,
}
