//! Options of a run of the launch agent.

use std::path::PathBuf;

use crate::board::Event;
use crate::config::Host;
use crate::requests::Stop;
use russet_platform::clock::Clock;
use russet_platform::command::Tools;

/// Options of a run of the launch agent; what the owner decides is in the configuration.
#[derive(Debug)]
pub struct Options {
    /// The program that started it.
    pub host: Host,
    /// The `russet` executable: what tasks are run with.
    pub exe: PathBuf,
    /// Time.
    pub clock: Clock,
    /// The system's tools. Tests put their own in their place.
    pub tools: Tools,
    /// Receiver of events, for a terminal that shows them.
    pub on_event: Option<tokio::sync::mpsc::UnboundedSender<Event>>,
    /// Directory of the files between this agent and `russet-boot`.
    pub boot_state: Option<PathBuf>,
    /// Once this file descriptor reaches its end, the process that started this one is gone: a
    /// service leaves its tasks to the next agent, another host has them canceled.
    pub parent: Option<std::os::fd::OwnedFd>,
    /// Holds slots whose user has no record, which other systems do with a number.
    pub needs_user_records: bool,
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
            tools: Tools::system(),
            on_event: None,
            boot_state: None,
            parent: None,
            needs_user_records: russet_platform::NEEDS_USER_RECORDS,
            signals: true,
            stop: None,
        }
    }
}
