//! Agent to control plane.
//!
//! Paths and fields are those of CircleCI's runner API where it documents or shows them (claim,
//! unclaim, task config, fail); the rest is ours, under `/api/v3/task/`, and needs the task
//! token of the claim.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{AllocationId, InstanceId, TaskId};
use crate::local::Update;
use crate::machine::MachineReport;
use crate::outcome::Outcome;
use crate::secret::Secret;
use crate::xcode::Xcode;

/// `POST /api/v3/runner/claim`, with the class token.
///
/// Answered 204 where there is no work. Registers the runner either way. With
/// `Prefer: wait=50` (RFC 7240) our server holds the call for up to so many seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClaimRequest {
    /// The runner's name, unique in its class.
    pub name: String,
    /// Host name.
    #[serde(default)]
    pub hostname: String,
    /// Address of the host, as it sees itself; may be empty.
    #[serde(default)]
    pub ip: String,
    /// Version of the runner.
    #[serde(default)]
    pub version: String,
    /// Progress of an update of it, where it looks for any. Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
    /// The runner serves one task and is gone then. Ours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single_task: bool,
    /// The agent's process, by which two agents of one name are told apart. Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Slots of this class that cannot be used. Ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_slots: Vec<HeldSlot>,
    /// Reasons for which the runner takes no tasks of this class. Ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<String>,
    /// Xcodes that its tasks can use; none: it does not say, and gets tasks whatever their jobs name.
    /// Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xcodes: Option<Vec<Xcode>>,
    /// Simulator runtimes of its machine: `iOS 18.1 (22B81)`. Ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runtimes: Vec<String>,
    /// State of its machine; none: it does not say. Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Box<MachineReport>>,
    /// Id for the claim of the task that this call may bring, made by the agent and the same in each
    /// call until one brings a task: where an answer was lost, the next one is its task again.
    /// None: the server makes one. Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<AllocationId>,
    /// Set if its machine's owner lets tasks be reached by SSH. Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<crate::ssh::SshOffer>,
}

/// A slot of a runner that takes no task before something that is in its way is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldSlot {
    /// Its number, from 1.
    pub number: u32,
    /// Reason, with the path or the process that is in the way. It may quote what a job calls its
    /// files.
    pub reason: String,
}

/// Path of the call with which a runner says how it is without claiming: the body is that of a
/// claim. Ours.
pub const REPORT_PATH: &str = "/api/v3/runner/report";

/// A claimed task.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClaimResponse {
    /// Token that authorizes every later call for this task.
    pub task_token: Secret,
    /// This claim.
    pub allocation: AllocationId,
    /// Version of CircleCI's task agent that its server wants; ours leaves it empty.
    #[serde(default)]
    pub agent_version: String,
    /// The class that the token implies.
    #[serde(default)]
    pub resource_class: String,
    /// Not used by us.
    #[serde(default)]
    pub is_enterprise: bool,
    /// The claim worked, the registration did not, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// Ours from here on. A server that leaves them out gets no credentials granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// Project that the task is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Name of the job, for screens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Index of the task among those that share the job, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_index: Option<u32>,
    /// How many tasks share the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_total: Option<u32>,
    /// Branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Set if the task comes from a fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_fork: Option<bool>,
    /// Interval of heartbeats, in milliseconds. A server that sends none takes no heartbeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_ms: Option<u64>,
    /// Page about the job, for people on the runner's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl ClaimResponse {
    /// Returns the name of the task for people: that of its job, and for one of several tasks of a
    /// job its index, as in `test/1`.
    #[must_use]
    pub fn task_name(&self) -> Option<String> {
        let job = self.job.as_deref()?;
        Some(match (self.node_index, self.node_total) {
            (Some(index), Some(2..)) => format!("{job}/{index}"),
            _ => job.to_owned(),
        })
    }
}

/// `POST /api/v3/runner/unclaim`: gives a task back. The token in the body authorizes it.
/// 409: a step of it began, or it was given back too often.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnclaimRequest {
    /// The task.
    pub task_id: TaskId,
    /// Its token.
    pub task_token: Secret,
    /// Reason. Ours: a server that does not know it counts every give-back alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<UnclaimCause>,
}

/// Reason for which a task is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnclaimCause {
    /// The machine takes no tasks: it is paused, drains, is unfit or makes way for an update. It
    /// says nothing about the task, so it does not count, and the runner gets no other for a
    /// second.
    NotTaking,
    /// The agents of the task ended before a step began. It does not count either.
    Interrupted,
    /// The machine could not start the task. It counts, as does a give-back without a cause.
    NotStarted,
    /// One that a newer agent has.
    #[serde(other)]
    Unknown,
}

/// `POST /api/v2/task/event/fail`: the runner failed, not the job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailRequest {
    /// The claim.
    pub allocation: AllocationId,
    /// Time, in milliseconds since 1970.
    pub timestamp: u64,
    /// Reason, in base64; without `<`, `>`, `&`, `'` and `"`.
    pub message: String,
}

/// `POST /api/v3/task/heartbeat`: renews the lease.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatRequest {
    /// The claim.
    pub allocation: AllocationId,
    /// Sender.
    pub from: HeartbeatFrom,
    /// Milliseconds since the sender last heard from the other agent; `None` if never. A lease
    /// is not renewed by a launch agent whose task agent is silent for longer than the lease.
    #[serde(default)]
    pub peer_silent_ms: Option<u64>,
}

/// Sender of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HeartbeatFrom {
    /// The launch agent, which a busy task cannot starve.
    LaunchAgent,
    /// The task agent, which outlives a restart of the launch agent.
    TaskAgent,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatResponse {
    /// Duration of the lease from now, in milliseconds.
    pub lease_ms: u64,
    /// Reason to cancel the task, where it is to be canceled.
    #[serde(default)]
    pub cancel: Option<String>,
    /// To a launch agent: the id of the pause that the control plane has for the runner, or
    /// [`crate::machine::NO_PAUSE`]; none: it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<String>,
}

/// `POST /api/v3/task/events`: what happened, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventsRequest {
    /// The claim.
    pub allocation: AllocationId,
    /// The events, with rising numbers. Those that the server has already are ignored.
    pub events: Vec<Event>,
}

/// The answer to events: everything up to this number is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventsResponse {
    /// Last number that is stored.
    pub last_seq: u64,
}

/// One thing that happened in a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Number of the event in its task, from 1, without gaps.
    pub seq: u64,
    /// Time, in milliseconds since 1970, by the agent's clock.
    pub at_ms: u64,
    /// Event.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Events of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A step began. Steps that the agent itself adds (set-up, hooks, clean-up) are announced
    /// this way too, with numbers outside those of the job.
    StepStarted {
        /// Its number.
        step: u32,
        /// Its heading.
        name: String,
        /// Set if the job goes on while it runs.
        #[serde(default)]
        background: bool,
        /// The shell or the action, for people.
        #[serde(default)]
        detail: Option<String>,
    },
    /// A step ended.
    StepFinished {
        /// Its number.
        step: u32,
        /// Outcome. `not_run` for one that was skipped.
        outcome: Outcome,
        /// Exit status, where there was a process that exited.
        #[serde(default)]
        exit_code: Option<i32>,
        /// Reason, where the exit status does not give it.
        #[serde(default)]
        message: Option<String>,
        /// Bytes of output that it had.
        output_bytes: u64,
    },
}

/// `POST /api/v3/task/finish`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FinishRequest {
    /// The claim.
    pub allocation: AllocationId,
    /// Outcome of the task.
    pub outcome: Outcome,
    /// Reason, where the steps do not give it.
    #[serde(default)]
    pub message: Option<String>,
    /// Number of the last event.
    pub last_seq: u64,
    /// Bytes of output of each step that has any.
    #[serde(default)]
    pub output: BTreeMap<u32, u64>,
    /// The last events, where they were not sent before: saves a call. A server that does not
    /// know them says that they are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
}

/// The answer 409 to a finish: the server does not hold everything yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FinishMissing {
    /// Missing parts, for people.
    pub message: String,
    /// Last event that the server holds, where some are missing.
    #[serde(default)]
    pub last_seq: Option<u64>,
    /// Committed bytes of the steps of which some are missing.
    #[serde(default)]
    pub output: BTreeMap<u32, u64>,
}

/// The answer to `PUT /api/v3/task/artifacts/{path}`: what the server stored, which the agent
/// compares with what it read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoredObject {
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 of the bytes, in hexadecimal.
    pub blake3: String,
}

/// `POST /api/v3/task/test-results`: a batch of results.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TestResultsRequest {
    /// The claim.
    pub allocation: AllocationId,
    /// Number of this batch within its task, from 0: a replay is ignored.
    pub batch: u32,
    /// The results.
    pub results: Vec<TestResult>,
}

/// One test case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TestResult {
    /// Name of the test.
    pub name: String,
    /// Class or suite.
    #[serde(default)]
    pub classname: String,
    /// Source file, where the report names one.
    #[serde(default)]
    pub file: Option<String>,
    /// Outcome.
    pub result: TestOutcome,
    /// Duration, in seconds.
    #[serde(default)]
    pub run_time_s: f64,
    /// Message of a failure, error or skip; of a test that passed in the end, how it failed before.
    #[serde(default)]
    pub message: Option<String>,
    /// Number of times that it ran. The result is that of the last time.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub attempts: u32,
}

impl Default for TestResult {
    fn default() -> Self {
        Self {
            name: String::new(),
            classname: String::new(),
            file: None,
            result: TestOutcome::Success,
            run_time_s: 0.0,
            message: None,
            attempts: once(),
        }
    }
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_once(attempts: &u32) -> bool {
    *attempts == once()
}

/// Outcome of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    /// It passed.
    Success,
    /// It failed.
    Failure,
    /// It could not run.
    Error,
    /// It was left out.
    Skipped,
}

#[cfg(test)]
mod tests {
    use super::ClaimResponse;

    #[test]
    fn a_task_of_several_is_named_with_its_index_and_one_of_an_older_server_without() {
        let name = |more: &str| {
            let text = format!(r#"{{"task_token":"t","allocation":"a","job":"test"{more}}}"#);
            serde_json::from_str::<ClaimResponse>(&text).unwrap().task_name()
        };
        assert_eq!(name(r#","node_index":1,"node_total":4"#).as_deref(), Some("test/1"));
        assert_eq!(name(r#","node_index":0,"node_total":1"#).as_deref(), Some("test"));
        assert_eq!(name("").as_deref(), Some("test"));
    }
}
