//! Runners as people see them.

use serde::{Deserialize, Serialize};

use crate::local::Update;
use crate::machine::{MachineReport, MachineState, RunnerTask, ServerPause};
use crate::resource_class::ResourceClass;
use crate::runner::HeldSlot;
use crate::ssh::SshOffer;
use crate::xcode::Xcode;

/// A runner, as `GET /api/v3/runner` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerItem {
    /// The class.
    pub resource_class: ResourceClass,
    /// Host name.
    pub hostname: String,
    /// The runner's name.
    pub name: String,
    /// Time of the first claim, as RFC 3339.
    pub first_connected: String,
    /// Time of the last claim.
    pub last_connected: String,
    /// Time at which it last got a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
    /// Its version.
    pub version: String,
    /// Its address, as it sees itself.
    pub ip: String,
    /// Progress of an update of it, as it last reported; none: it looks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
    /// Whether it holds a task.
    #[serde(default)]
    pub status: RunnerStatus,
    /// Host of another agent that claims under the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<String>,
    /// Its slots that cannot be used, as it last reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_slots: Vec<HeldSlot>,
    /// Xcodes of its machine, as it last reported; none: it says nothing of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xcodes: Option<Vec<Xcode>>,
    /// Tasks with SSH that it takes, as it last reported; none: it takes no such task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshOffer>,
    /// Simulator runtimes of its machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runtimes: Vec<String>,
    /// Reasons for which it takes no tasks, as it last reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<String>,
    /// State of it.
    #[serde(default)]
    pub state: MachineState,
    /// Reason of the state, where that is not obvious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Tasks that it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<RunnerTask>,
    /// Pause of it that a person at the control plane wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<ServerPause>,
    /// State of its machine, as it last reported; none: it says nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineReport>,
}

impl RunnerItem {
    /// Returns whether it holds a task.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.status == RunnerStatus::Busy
    }
}

/// Whether a runner has work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunnerStatus {
    /// It holds a task.
    Busy,
    /// It holds none.
    #[default]
    Idle,
}

/// `GET /api/v3/runner/tasks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnclaimedTasks {
    /// Number of waiting tasks.
    pub unclaimed_task_count: u64,
}

/// `GET /api/v3/runner/tasks/running`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunningTasks {
    /// Number of running tasks.
    pub running_runner_tasks: u64,
}
