//! Parts of the launch agent that all slots share.

use std::sync::Arc;

use russet_protocol::runner::ClaimRequest;

use super::caches::SharedCaches;
use super::events::EventSink;
use super::kept::KeptStore;
use super::process::Staged;
use super::server::{Api, LogOnce, MachineFacts};
use crate::config::Config;
use crate::health::xcodes::Xcodes;
use crate::metrics::{LeftBehindCounters, Metrics};
use russet_platform::Groups;
use russet_platform::clock::Clock;
use russet_platform::command::Tools;

/// Parts that all slots share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) clock: Clock,
    /// The system's tools.
    pub(super) tools: Tools,
    pub(super) sink: EventSink,
    pub(super) api: Api,
    pub(super) staged: Staged,
    /// Troubles with the control plane that were logged.
    pub(super) server: LogOnce,
    pub(super) request: ClaimRequest,
    /// Xcodes of this machine.
    pub(super) xcodes: Arc<Xcodes>,
    pub(super) left: Arc<LeftBehindCounters>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) caches: SharedCaches,
    /// Directories that outlive tasks, where this agent is root.
    pub(super) kept: Option<KeptStore>,
    pub(super) boot_id: String,
    /// Facts about this machine that the control plane is told.
    pub(super) machine: MachineFacts,
    /// Rung where the control plane wants something that it says in the answer to a report.
    pub(super) orders_wanted: tokio::sync::Notify,
    /// Control groups, where this machine lets each slot have one of its own.
    pub(super) groups: Option<Groups>,
    /// Set where task agents reach the control plane through the launch agent.
    pub(super) uses_relay: bool,
}
