//! What the launch agent tells people on its own machine, over its unix socket.
//!
//! The address carries the version of this conversation (`/v1/…`); fields are only added. Times
//! are milliseconds since 1970.

use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// What the agent is about, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It makes itself ready.
    #[default]
    Starting,
    /// It waits for a task.
    Idle,
    /// Tasks run.
    Running,
    /// It takes no tasks and waits for those that run: for maintenance, or to end.
    Draining,
    /// It takes no tasks: a person wants it so.
    Paused,
    /// It takes no tasks: the machine is not well.
    Unhealthy,
    /// The control plane can not be reached.
    Offline,
}

impl State {
    /// The word that people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Paused => "paused",
            Self::Unhealthy => "unhealthy",
            Self::Offline => "offline",
        }
    }
}

/// Everything at a glance: the answer of `GET /v1/status`, and each event of `GET /v1/events`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What it is about.
    pub state: State,
    /// Why, where that is not obvious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub since_ms: u64,
    /// The runner's name.
    pub name: String,
    /// Version of the agent.
    pub agent_version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started_ms: u64,
    /// Origin of the control plane.
    pub control_plane: String,
    /// What holds claims back.
    #[serde(default)]
    pub holds: Vec<Hold>,
    /// Every slot.
    #[serde(default)]
    pub slots: Vec<Slot>,
    /// Tasks that ended lately, the newest first.
    #[serde(default)]
    pub recent: Vec<Recent>,
}

/// Something that holds claims back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who: `drain`, `pause`, `health`.
    pub source: String,
    /// The class that is held back; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Why.
    pub reason: String,
}

/// Room for one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Its number, from 1.
    pub number: u32,
    /// What runs in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
}

/// A task that runs. Names are left out for readers who may not know them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// When it was claimed, or adopted by this agent.
    pub since_ms: u64,
}

/// A task that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// Number of its slot.
    pub slot: u32,
    /// The project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// How it ended; none: it was given back, or the agent does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it began.
    pub started_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
}

/// The body of `POST /v1/pause`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// Why, for everybody who looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Claim again after this many seconds; none: until `resume`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
}

/// The body of `POST /v1/drain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// Why, for everybody who looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Cancel what still runs after this many seconds; none: wait for as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_after_s: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn a_status_of_the_first_version_is_read_forever() {
        let text = r#"{"state":"running","since_ms":1,"name":"mini-1","agent_version":"0.1.0",
            "pid":7,"started_ms":1,"control_plane":"https://ci","holds":[{"source":"pause",
            "reason":"lunch"}],"slots":[{"number":1,"task":{"job":"test","since_ms":2}}],
            "recent":[{"slot":1,"outcome":"success","started_ms":1,"ended_ms":2}],"later":1}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!(status.slots[0].task.as_ref().unwrap().job.as_deref(), Some("test"));
    }
}
