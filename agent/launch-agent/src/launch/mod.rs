//! The launch agent: claims, starts, watches, cleans.
//!
//! Theory of operation. [`run`](fn@run) owns one state machine (`state`, pure) and feeds it inputs, one
//! at a time; the actions that come out are carried out by tasks of their own (`slot`), which
//! answer with inputs again. So nothing that takes long holds up anything else,
//! and nothing is decided in two places. While there is no work the process waits in one long
//! poll per free slot and in nothing else: there are no periodic timers.
//!
//! As root it never reads what a project supplied, and deletes nothing below a slot's user:
//! helpers that run as that user do.

use std::path::PathBuf;

use russet_protocol::exit_reason::AgentExit;

use crate::config::Host;
use russet_platform::clock::Clock;

mod admission;
mod caches;
mod events;
mod lifecycle;
mod process;
mod server;
mod shared;
mod slot;
mod slot_dir;
mod sockets;

pub use crate::board::Event;
pub use crate::requests::Stop;
pub use lifecycle::run;

/// Options of a run of the launch agent; what the owner decides is in the configuration.
#[derive(Debug)]
pub struct Options {
    /// The program that started it.
    pub host: Host,
    /// The `russet` executable: what tasks are run with.
    pub exe: PathBuf,
    /// Time.
    pub clock: Clock,
    /// Receiver of events, for a terminal that shows them.
    pub on_event: Option<tokio::sync::mpsc::UnboundedSender<Event>>,
    /// Directory of the files between this agent and `russet-boot`.
    pub boot_state: Option<PathBuf>,
    /// Once this file descriptor reaches its end, the process that started this one is gone: a
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

/// The reason for which the launch agent ended.
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
