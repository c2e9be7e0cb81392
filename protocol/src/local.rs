//! Answers of the launch agent to people on its own machine, over its unix socket.
//!
//! The address carries the version of this conversation (`/v1/…`); fields are only added. Times
//! are milliseconds since 1970.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::TaskId;
use crate::outcome::Outcome;
use crate::xcode::Xcode;

/// State of the agent, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    /// The control plane cannot be reached.
    Offline,
    /// It takes no tasks: another version of it is about to take its place.
    Updating,
    /// A word of a newer agent. This one never says it.
    #[serde(other)]
    Unknown,
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
            Self::Updating => "updating",
            Self::Unknown => "unknown",
        }
    }
}

/// Everything at a glance: the answer of `GET /v1/status`, and each event of `GET /v1/events`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// State of the agent.
    pub state: State,
    /// Reason of the state, where that is not obvious.
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
    /// Start of the agent.
    pub started_ms: u64,
    /// Origin of the control plane.
    pub control_plane: String,
    /// Holds that keep claims back.
    #[serde(default)]
    pub holds: Vec<Hold>,
    /// Every slot.
    #[serde(default)]
    pub slots: Vec<Slot>,
    /// Tasks that ended lately, the newest first, at most 50. They outlive restarts of the agent.
    #[serde(default)]
    pub recent: Vec<Recent>,
    /// Findings about the machine, in the order in which they are shown.
    #[serde(default)]
    pub health: Vec<HealthCheck>,
    /// Progress of an update; none: this agent looks for none, and none was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
    /// Number of the requested look for an update that ended last; none: it looks for none. Whoever
    /// asked was told the number of theirs ([`Looking`]), which no later look has, whatever restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_looks: Option<u64>,
    /// Results of the requested looks that ended last, the newest last, also those of before a
    /// restart; none: an agent that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_answers: Option<Vec<LookAnswer>>,
    /// Xcodes that can be used, releases before betas, the newest first; none: the agent does not look
    /// for any, as on Linux.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xcodes: Option<Vec<Xcode>>,
    /// Simulator runtimes: `iOS 18.1 (22B81)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runtimes: Vec<String>,
    /// Set if the reader may change anything, and read logs; none: an agent that does not
    /// say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_change: Option<bool>,
}

/// One thing about the machine that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthCheck {
    /// Subject, in a word or two: `disk`, `open files`.
    pub name: String,
    /// Severity.
    pub level: HealthLevel,
    /// Finding, as a sentence.
    pub found: String,
    /// Remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Severity of a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HealthLevel {
    /// As it should be.
    Ok,
    /// It works, and should be looked at.
    Warning,
    /// No tasks are taken until it is better.
    Bad,
    /// It could not be found out, or this is a word of a newer agent.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Progress of an update of the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Update {
    /// The source shows a manifest that is in force, and nothing in it is newer than what runs.
    UpToDate,
    /// The source shows no release at all, which is not the same as none that is newer: it may be
    /// empty, or somebody holds releases back.
    NotOffered {
        /// Reason.
        why: String,
    },
    /// A newer version has not been rolled out to this machine yet. Who asks for it gets it.
    RolloutPending {
        /// Which.
        version: String,
    },
    /// A version is being fetched.
    Downloading {
        /// Which.
        version: String,
        /// Part that was fetched.
        percent: u8,
    },
    /// The control plane holds this machine at a version or a channel, which has nothing newer than
    /// what runs. Nothing is installed.
    Pinned {
        /// At what: `version 1.2.0`, or `channel beta`.
        to: String,
        /// The version that it has there; none: it has no such release.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offers: Option<String>,
    },
    /// A version is there and waits to be asked for.
    Ready {
        /// Which.
        version: String,
    },
    /// A version is installed as soon as no task runs.
    WaitingForIdle {
        /// Which.
        version: String,
    },
    /// A version was put in place and runs, and has yet to prove itself: else it is taken back.
    Proving {
        /// Which.
        version: String,
    },
    /// There was no update, although there should be: the source cannot be reached, or what it
    /// offers is not taken.
    Failed {
        /// Reason.
        why: String,
    },
    /// A version did not prove itself, and the one before it runs again.
    RolledBack {
        /// Which.
        version: String,
        /// Reason.
        why: String,
    },
    /// It is not known yet, or this is a word of a newer agent.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Characters of a version, and of a reason, that are told.
const MAX_VERSION_CHARS: usize = 80;
const MAX_REASON_CHARS: usize = 400;

/// Result of a requested look for an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LookAnswer {
    /// Number of the look ([`Looking`]).
    pub look: u64,
    /// State in which it ended. What becomes of a version later is said by the status.
    pub update: Update,
}

impl Update {
    /// What becomes of a version that was taken back.
    pub const AFTER_ROLLBACK: &str = "it is not tried again, or after a day where it only could not \
        reach its control plane; publish a release with a higher version";

    /// Meaning of a pin for a machine that runs this version.
    #[must_use]
    pub fn pinned(to: &str, offers: Option<&str>, running: &str) -> String {
        let (to, running) = (word(to), word(running));
        match offers {
            None => format!("pinned to {to}, which the control plane does not have"),
            Some(offers) if word(offers) == running => format!("pinned to {to}, which runs"),
            Some(offers) => format!(
                "pinned to {to}; version {} there is older than what runs, and nothing older is \
                 installed: sign that code as a newer version",
                word(offers)
            ),
        }
    }

    /// Reason why there was none, where that is so.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Failed { why } | Self::RolledBack { why, .. } | Self::NotOffered { why } => {
                Some(why)
            }
            _ => None,
        }
    }

    /// The same with each text cut to a length that everybody who is told can bear. Threat: texts
    /// come from sources and servers, and go with every claim; a long one would stop claims.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        let cut = |text: &mut String, max| *text = russet_text::one_line_within(text, max);
        match &mut self {
            Self::UpToDate | Self::Unknown => {}
            Self::NotOffered { why } | Self::Failed { why } => cut(why, MAX_REASON_CHARS),
            Self::RolledBack { version, why } => {
                cut(version, MAX_VERSION_CHARS);
                cut(why, MAX_REASON_CHARS);
            }
            Self::Pinned { to, offers } => {
                cut(to, MAX_VERSION_CHARS);
                offers.iter_mut().for_each(|offers| cut(offers, MAX_VERSION_CHARS));
            }
            Self::RolloutPending { version }
            | Self::Downloading { version, .. }
            | Self::Ready { version }
            | Self::WaitingForIdle { version }
            | Self::Proving { version } => cut(version, MAX_VERSION_CHARS),
        }
        self
    }

    /// It in a few words, for a table.
    #[must_use]
    pub fn short(&self) -> String {
        match self {
            Self::UpToDate => "up to date".to_owned(),
            Self::Downloading { version, percent } => format!("fetching {version} ({percent}%)"),
            Self::Pinned { to, .. } => format!("pinned to {to}"),
            Self::Ready { version } => format!("{version} is ready"),
            Self::WaitingForIdle { version } => format!("{version} waits for idle"),
            Self::Proving { version } => format!("{version} proves itself"),
            Self::Failed { .. } => "failed".to_owned(),
            Self::NotOffered { .. } => "no release is offered".to_owned(),
            Self::RolloutPending { version } => format!("{version} waits for its rollout"),
            Self::RolledBack { version, .. } => format!("{version} was taken back"),
            Self::Unknown => String::new(),
        }
    }
}

/// Text of a server, cut and cleaned so that it may be shown.
fn word(text: &str) -> String {
    russet_text::one_line_within(text, 80)
}

/// The answer to `POST /v1/update/check` and `install`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Looking {
    /// Number of the look that was asked for: it has ended, and what was found is fetched, when
    /// `update_looks` in the status is as high; `update_answers` says what came of it.
    pub look: u64,
}

/// Owner of a hold. Nobody else lifts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HoldOwner {
    /// A person: it stays until a person resumes, or its own time is over.
    Person,
    /// An installer package whose version waits: it ends with that, and after its time.
    Installer,
    /// Checks of the machine: it ends when the machine is well.
    Health,
    /// An update of the agent's own that waits for tasks in its window.
    Update,
    /// A person at the control plane: it stays until somebody resumes there or here, or its own time
    /// is over.
    Server,
    /// An agent that does not say, or a word of a newer one.
    #[default]
    #[serde(other)]
    Unknown,
}

impl HoldOwner {
    /// Returns the word for it; empty where it is not known.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Installer => "installer",
            Self::Health => "health",
            Self::Update => "update",
            Self::Server => "server",
            Self::Unknown => "",
        }
    }
}

/// Something that holds claims back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hold {
    /// Origin: `drain`, `pause`, `machine` where the installation came from other hardware, `health`,
    /// `session` where an account is not logged in at the screen, `xcode` where a class's Xcode cannot
    /// be used, `failures` where its tasks failed one after the other for reasons of this machine,
    /// `installer` where a package's version waits for tasks, `update` where an update does, or
    /// `server` where a person at the control plane paused the runner.
    pub source: String,
    /// Owner, who alone lifts it.
    #[serde(default)]
    pub owner: HoldOwner,
    /// The class that is held back; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Reason.
    pub reason: String,
    /// Time at which a pause or an installer's hold ends by itself, or a drain cancels what still
    /// runs, in milliseconds since 1970; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// Room for one task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Slot {
    /// Its number, from 1.
    pub number: u32,
    /// The resource class that it serves, `namespace/name` once the control plane has said it;
    /// until then as the configuration calls it. None: it only ends a task of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Task that runs in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// State of the slot.
    #[serde(default)]
    pub state: SlotState,
    /// Reason why it cannot be used, or why the control plane could not be told so far how its task
    /// ended, with the path or the process that is in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Directories of earlier tasks that could not be emptied and were moved aside; none: there are
    /// none, or an agent that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<Aside>,
}

/// Directories of a slot that could not be emptied, since the system refuses to delete something in
/// them. Nobody but root can enter them, and emptying them is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Aside {
    /// Number of directories.
    pub directories: u32,
    /// Space that they take, in bytes, as far as their user can see it.
    pub bytes: u64,
    /// Time at which the oldest one was moved there, in milliseconds since 1970.
    pub since_ms: u64,
    /// The directory that they are in. None for readers who may not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// State of a slot, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// It is clean and empty.
    Free,
    /// It has a task.
    Busy,
    /// The control plane is being told how its task ended.
    Settling,
    /// It is being cleaned after a task, or at the start of the agent.
    Cleaning,
    /// It could not be cleaned, and takes no task until it is.
    Held,
    /// A word of a newer agent, or one that an older agent does not say.
    #[default]
    #[serde(other)]
    Unknown,
}

impl SlotState {
    /// The word that people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Busy => "busy",
            Self::Settling => "settling",
            Self::Cleaning => "cleaning",
            Self::Held => "held",
            Self::Unknown => "unknown",
        }
    }
}

/// A task that runs. Names and addresses are left out for readers who may not know them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Task {
    /// The task, as the control plane knows it and as it is canceled by. None: the control plane
    /// does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<TaskId>,
    /// The resource class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The step that runs. It is the task's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// Time of the claim. The time that it has taken so far is that until now: status and reader
    /// share a clock.
    pub since_ms: u64,
    /// Time at which it is ended at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Usual duration of this job of this project: the median of its last successful runs
    /// on this machine, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_ms: Option<u64>,
    /// Reason for which it is being ended, where somebody asked for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canceling: Option<String>,
    /// Page of the control plane about its job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// State of its SSH, where it was rerun with that. It is the task's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<TaskSsh>,
}

/// State of a task's SSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskSsh {
    /// Number of connected sessions.
    pub sessions: u32,
    /// Set if the steps of the job have ended and the task is held for people.
    #[serde(default)]
    pub waiting: bool,
}

/// A step of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// Its number, from 0.
    pub number: u32,
    /// Its heading.
    pub name: String,
}

/// A task that has ended. Names and addresses are left out as those of a [`Task`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Recent {
    /// The task, as the control plane knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<TaskId>,
    /// Number of its slot.
    pub slot: u32,
    /// The resource class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Outcome; none: it was given back, or the agent does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Start.
    pub started_ms: u64,
    /// End.
    pub ended_ms: u64,
    /// Page of the control plane about its job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Set if the agent kept the end of its output.
    #[serde(default)]
    pub has_log: bool,
}

/// The body of `POST /v1/pause`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// Reason, shown to everybody who looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Claim again after this many seconds; none: until `resume`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
}

/// The body of `POST /v1/drain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// Reason, shown to everybody who looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Cancel what still runs after this many seconds; none: wait for as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_after_s: Option<u64>,
}

/// The body of `POST /v1/tasks/{id}/cancel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// Reason, for the task's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One line of the agent's log: each line of `GET /v1/logs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Time; none: the line was not written by the agent's logger (a panic).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// Level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// Message; several lines where it was logged in several.
    pub text: String,
    /// Fields, where the log is written as JSON; else they are part of the text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, serde_json::Value>,
}

/// Level of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// For developers.
    Debug,
    /// Ordinary events.
    Info,
    /// Events that may need a person.
    Warn,
    /// Events that need a person.
    Error,
}

#[cfg(test)]
mod tests {
    use super::{HealthLevel, State, Status, Update};

    #[test]
    fn a_status_of_the_first_version_is_read_forever() {
        let text = r#"{"state":"running","since_ms":1,"name":"mini-1","agent_version":"0.1.0",
            "pid":7,"started_ms":1,"control_plane":"https://ci","holds":[{"source":"pause",
            "reason":"lunch"}],"slots":[{"number":1,"task":{"job":"test","since_ms":2}}],
            "recent":[{"slot":1,"outcome":"success","started_ms":1,"ended_ms":2}],"later":1}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!(status.slots[0].task.as_ref().unwrap().job.as_deref(), Some("test"));
    }
    #[test]
    fn words_of_a_newer_agent_are_read_as_unknown() {
        let text = r#"{"state":"dreaming","since_ms":1,"name":"mini-1","agent_version":"9",
            "pid":7,"started_ms":1,"control_plane":"https://ci",
            "health":[{"name":"fan","level":"splendid","found":"it turns"}],
            "update":{"state":"teleporting","to":"9.1"}}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!(status.state, State::Unknown);
        assert_eq!(status.health[0].level, HealthLevel::Unknown);
        assert_eq!(status.update, Some(Update::Unknown));
    }

    #[test]
    fn no_text_of_an_update_is_longer_than_a_few_hundred_characters() {
        let long = || "\u{7f}\u{202e}ü".repeat(100_000);
        let all = [
            Update::NotOffered { why: long() },
            Update::Failed { why: long() },
            Update::RolledBack { version: long(), why: long() },
            Update::Pinned { to: long(), offers: Some(long()) },
            Update::RolloutPending { version: long() },
            Update::Downloading { version: long(), percent: 1 },
            Update::Ready { version: long() },
            Update::WaitingForIdle { version: long() },
            Update::Proving { version: long() },
        ];
        for update in all {
            let text = serde_json::to_string(&update.shortened()).unwrap();
            assert!(text.len() < 4_000 && !text.contains('\u{202e}'), "{}", text.len());
        }
    }

    #[test]
    fn an_update_is_told_by_its_state() {
        let text = r#"{"state":"downloading","version":"1.2.0","percent":40}"#;
        let update = Update::Downloading { version: "1.2.0".to_owned(), percent: 40 };
        assert_eq!(serde_json::from_str::<Update>(text).unwrap(), update);
        assert_eq!(serde_json::to_string(&update).unwrap(), text);
    }
}
