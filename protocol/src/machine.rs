//! State of a machine: as its agent reports it, and as a control plane decides and shows it.
//!
//! A runner is a machine in one class; a machine that serves several classes is several runners of
//! one name. Fields are only added, and a server cuts whatever is longer than it keeps.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::local::{HealthCheck, Hold, SlotState, State};

/// Header of the answers to claims: the id of the pause that the control plane has for the runner,
/// or [`NO_PAUSE`]. One that differs from what the runner knows is asked for with a report. Ours.
pub const PAUSE_HEADER: &str = "russet-pause";

/// The value where there is no pause.
pub const NO_PAUSE: &str = "none";

/// State of a machine in its agent's own words; goes with claims and reports. Ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MachineReport {
    /// State of the agent, in one word.
    #[serde(default)]
    pub state: State,
    /// Reason of the state, where that is not obvious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Set in the last words of an agent that ends in good order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_leaving: bool,
    /// Slots of the class that is claimed for, with what each runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<MachineSlot>,
    /// Holds on the machine and on the class that is claimed for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    /// Findings about the machine that are not as they should be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<HealthCheck>,
    /// Operating system and its version: `macOS 15.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Chip: `Apple M4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// Free space where tasks work, in bytes, in steps of a gigabyte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free: Option<u64>,
    /// Boot of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Seconds by which its clock is behind the control plane's, where that is more than two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_behind_s: Option<i64>,
    /// Pauses of the control plane that a person lifted at the machine, by their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lifted: Vec<String>,
}

impl MachineReport {
    /// Returns the offset of its clock in words, where it is told: `90 s behind the control plane's`.
    #[must_use]
    pub fn clock_words(&self) -> Option<String> {
        let behind = self.clock_behind_s?;
        let way = if behind < 0 { "ahead of" } else { "behind" };
        Some(format!("{} s {way} the control plane's", behind.unsigned_abs()))
    }
}

/// A slot of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MachineSlot {
    /// Its number, from 1.
    pub number: u32,
    /// Its state.
    #[serde(default)]
    pub state: SlotState,
    /// Job that runs in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// The answer to a report: what the control plane wants of the runner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerOrders {
    /// Longest time between two calls of a runner that is not to be taken for lost, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_ms: Option<u64>,
    /// The class that the token of the call implies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_class: Option<String>,
    /// Pause of the runner, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<ServerPause>,
}

/// A pause that a person at the control plane wants: the runner gets no task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServerPause {
    /// Differs between pauses: who lifts one lifts no later one.
    pub id: String,
    /// Aim of the pause.
    #[serde(default)]
    pub kind: PauseKind,
    /// Reason, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who paused it.
    #[serde(default)]
    pub by: String,
    /// Since when, in milliseconds since 1970.
    #[serde(default)]
    pub since_ms: u64,
    /// Time at which it ends by itself; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Set where it is of the whole class.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_class: bool,
}

impl ServerPause {
    /// Returns it in words: `paused by anna: new disk`.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match (self.kind, self.is_of_class) {
            (PauseKind::Drain, false) => "drained",
            (PauseKind::Drain, true) => "drained with its class",
            (_, false) => "paused",
            (_, true) => "paused with its class",
        };
        let by = if self.by.is_empty() { String::new() } else { format!(" by {}", self.by) };
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{what}{by}{reason}")
    }
}

/// Aim of a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PauseKind {
    /// No task is given to the runner for a while.
    #[default]
    Pause,
    /// The machine is to be taken away: somebody waits for the end of what runs.
    Drain,
    /// A word of a newer server: a pause all the same.
    #[serde(other)]
    Unknown,
}

impl PauseKind {
    /// Returns the word for it, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Pause | Self::Unknown => "pause",
        }
    }
}

/// State of a runner as the control plane decides it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MachineState {
    /// It makes itself ready.
    Starting,
    /// It waits for tasks.
    Idle,
    /// It runs tasks.
    Busy,
    /// It takes no more tasks, and some still run.
    Draining,
    /// It takes no more tasks, and none runs.
    Drained,
    /// It takes no tasks: a person wants it so.
    Paused,
    /// It takes no tasks: something is wrong with it.
    Unhealthy,
    /// It takes no tasks: another version of its agent takes its place.
    Updating,
    /// It went silent without a word.
    Lost,
    /// Its agent ended in good order.
    Offline,
    /// The control plane has not run for long enough to say, or this is a word of a newer one.
    #[default]
    #[serde(other)]
    Unknown,
}

impl MachineState {
    /// Returns the word that people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Paused => "paused",
            Self::Unhealthy => "unhealthy",
            Self::Updating => "updating",
            Self::Lost => "lost",
            Self::Offline => "offline",
            Self::Unknown => "unknown",
        }
    }

    /// Returns true for a machine that cannot be reached.
    #[must_use]
    pub fn is_away(self) -> bool {
        matches!(self, Self::Lost | Self::Offline | Self::Unknown)
    }

    /// Returns true for a machine that takes a task where a slot of it is free.
    #[must_use]
    pub fn takes_tasks(self) -> bool {
        matches!(self, Self::Idle | Self::Busy)
    }
}

impl fmt::Display for MachineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A task that a runner holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerTask {
    /// Its job.
    pub job: String,
    /// Name of the job.
    pub name: String,
    /// Its project.
    pub project: String,
    /// Time of the claim, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Name of the person whom it is held for, if it is a rerun with SSH whose steps have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_for: Option<String>,
}

/// `POST /api/v3/runner/pause`: gives no more tasks to runners. One of the two names has to be there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PauseRunners {
    /// The runners.
    #[serde(flatten)]
    pub of: RunnerChoice,
    /// Aim of the pause.
    #[serde(default)]
    pub kind: PauseKind,
    /// Reason, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who wants it; none: the administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Duration in seconds; none: until it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
}

/// Runners by name, by class or by both. A class alone stands for all its runners, also those that
/// come later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerChoice {
    /// Name of the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// The class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_class: Option<crate::resource_class::ResourceClass>,
}

/// `POST /api/v3/runner/rename`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RenameRunner {
    /// The runner as it is called now.
    pub runner: String,
    /// Its new name.
    pub to: String,
}

/// Reason why a queued job waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Waiting {
    /// Kind of the reason.
    pub reason: WaitReason,
    /// The reason, as a sentence for people; the same words everywhere.
    pub text: String,
}

/// Kind of a reason to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// Another job of its serial group has the turn.
    SerialGroup,
    /// Limits of tasks at once have no room for it.
    Limit,
    /// The server keeps the rest of its disk for what runs.
    Disk,
    /// There is no such class.
    NoClass,
    /// No runner of the class ever came.
    NoRunner,
    /// None of the runners is online.
    Offline,
    /// The class, or all its runners, are paused.
    Paused,
    /// No runner has the Xcode that the job names.
    Xcode,
    /// The job is a rerun with SSH, and no runner allows that.
    Ssh,
    /// The runners that could take it are not well.
    Unhealthy,
    /// All runners that take tasks are busy.
    Busy,
    /// A word of a newer server.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::{MachineReport, PauseKind, ServerPause};

    #[test]
    fn a_report_of_a_newer_agent_and_an_empty_one_are_read() {
        let empty: MachineReport = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, MachineReport::default());
        let newer = r#"{"state":"dancing","mood":"good","slots":[{"number":1,"state":"odd"}]}"#;
        let newer: MachineReport = serde_json::from_str(newer).unwrap();
        assert_eq!(newer.slots.len(), 1);
    }

    #[test]
    fn a_clock_is_behind_or_ahead() {
        let of = |clock_behind_s| {
            MachineReport { clock_behind_s, ..MachineReport::default() }.clock_words()
        };
        assert_eq!(of(None), None);
        assert_eq!(of(Some(90)).as_deref(), Some("90 s behind the control plane's"));
        assert_eq!(of(Some(-90)).as_deref(), Some("90 s ahead of the control plane's"));
    }

    #[test]
    fn a_pause_says_who_wants_it_and_why() {
        let mut pause = ServerPause { by: "anna".to_owned(), ..ServerPause::default() };
        assert_eq!(pause.words(), "paused by anna");
        pause.reason = Some("new disk".to_owned());
        (pause.kind, pause.is_of_class) = (PauseKind::Drain, true);
        assert_eq!(pause.words(), "drained with its class by anna: new disk");
    }
}
