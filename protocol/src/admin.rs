//! People and their tools to control plane: resource classes, tokens, runners, pipelines, jobs.
//!
//! Resource classes, tokens and runners are as CircleCI documents them; pipelines and jobs are
//! ours. Every call needs the admin token, as `Circle-Token`, as the user of Basic, or as
//! Bearer. What may not be seen is answered 404.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{JobId, PipelineId, ResourceClassId, SourceId, TokenId, WorkflowId};
use crate::local::Update;
use crate::outcome::{Outcome, Phase};
use crate::resource_class::ResourceClass;
use crate::runner::{HeldSlot, TestResult};
use crate::secret::Secret;
use crate::xcode::Xcode;

/// The most that a control plane takes as JSON, in bytes. A configuration of the largest allowed
/// size fits in, escaped.
pub const JSON_LIMIT: usize = 8 * 1024 * 1024;

/// A list. CircleCI's runner API wraps lists this way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Items<T> {
    /// The elements.
    pub items: Vec<T>,
}

/// `POST /api/v3/runner/resource`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewResourceClass {
    /// Its name.
    pub resource_class: ResourceClass,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Set if its runners take tasks of forks, whose steps anybody can write.
    #[serde(default)]
    pub allow_forks: bool,
}

/// A resource class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResourceClassItem {
    /// Its row.
    pub id: ResourceClassId,
    /// Its name.
    pub resource_class: ResourceClass,
    /// For people.
    pub description: String,
    /// Set if its runners take tasks of forks.
    #[serde(default)]
    pub allow_forks: bool,
    /// Version or channel that its runners are to run. None: the newest release of the stable
    /// channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// Number of its tasks that run. In lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_tasks: Option<u64>,
    /// Number of its runners. In lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runners: Option<u64>,
}

/// `PUT /api/v3/runner/resource/{id}/pin`: what the runners of a class are to run, of the releases
/// that the server has. It holds newer ones back, and takes no runner back to an older one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    /// This version.
    Version(String),
    /// The newest release of this channel.
    Channel(String),
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version {version}"),
            Self::Channel(channel) => write!(f, "channel {channel}"),
        }
    }
}

/// The answer to a pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PinnedClass {
    /// The class.
    pub class: ResourceClassItem,
    /// The version that its runners are offered now. None: the server has no such release, and
    /// they are offered nothing until it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offers: Option<String>,
}

/// Says which projects may use a context.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetContext {
    /// Their names; none: all of them.
    #[serde(default)]
    pub projects: Option<Vec<String>>,
}

/// A context: variables that jobs name to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContextItem {
    /// Its name.
    pub name: String,
    /// The projects that may use it; none: all of them.
    #[serde(default)]
    pub projects: Option<Vec<String>>,
    /// Time of creation, in milliseconds since 1970.
    pub created_ms: u64,
}

/// Sets a variable.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetVariable {
    /// Its value, which nobody is shown again.
    pub value: Secret,
}

/// A variable of a project or context. Its value is shown to nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VariableItem {
    /// Its name.
    pub name: String,
    /// Time of the last change, in milliseconds since 1970.
    pub updated_ms: u64,
}

/// Adds an SSH key to a project.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AddSshKey {
    /// The private key in OpenSSH's format, without a passphrase. Nobody is shown it again.
    pub private_key: Secret,
    /// The host that it is for; none: any.
    #[serde(default)]
    pub host: Option<String>,
}

/// An SSH key of a project. The key itself is shown to nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshKeyItem {
    /// Its SHA-256 fingerprint, `SHA256:…`.
    pub sha256: String,
    /// Its MD5 fingerprint, `2f:b4:…`.
    pub md5: String,
    /// Type of the key, as `ssh-ed25519`.
    pub kind: String,
    /// The host that it is for; none: any.
    #[serde(default)]
    pub host: Option<String>,
    /// Time at which it was added, in milliseconds since 1970.
    pub created_ms: u64,
}

/// `POST /api/v3/runner/token`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewToken {
    /// The class that the token is to imply.
    pub resource_class: ResourceClass,
    /// For people.
    #[serde(default)]
    pub nickname: String,
}

/// A runner token. The token itself is shown once, in the answer that made it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenItem {
    /// Its row.
    pub id: TokenId,
    /// The class that it implies.
    pub resource_class: ResourceClass,
    /// For people.
    pub nickname: String,
    /// Time of creation, as RFC 3339.
    pub created_at: String,
    /// The token: only in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
}

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
    /// Simulator runtimes of its machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runtimes: Vec<String>,
    /// Reasons for which it takes no tasks, as it last reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<String>,
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

/// `POST /api/v3/pipelines`: submits a configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubmitRequest {
    /// The project, as `owner/name` or another text.
    pub project: String,
    /// The configuration, as text.
    pub config: String,
    /// Its path, for messages.
    #[serde(default = "default_config_path")]
    pub config_path: String,
    /// Branch.
    #[serde(default)]
    pub branch: Option<String>,
    /// Tag.
    #[serde(default)]
    pub tag: Option<String>,
    /// Commit.
    #[serde(default)]
    pub revision: Option<String>,
    /// Address of the repository. Without `source`, `checkout` fetches from it.
    #[serde(default)]
    pub repository_url: Option<String>,
    /// Set if it comes from a fork.
    #[serde(default)]
    pub from_fork: bool,
    /// A snapshot that was uploaded with `PUT /api/v3/sources/{id}`.
    #[serde(default)]
    pub source: Option<SourceId>,
    /// Run the steps of `docker:` jobs on the runner itself.
    #[serde(default)]
    pub on_host: bool,
    /// Put every job into this class, whatever the configuration says.
    #[serde(default)]
    pub resource_class: Option<ResourceClass>,
    /// Only this workflow.
    #[serde(default)]
    pub workflow: Option<String>,
    /// Only this job and what it requires.
    #[serde(default)]
    pub job: Option<String>,
    /// Values of the pipeline's parameters.
    #[serde(default)]
    pub parameters: BTreeMap<String, ParameterValue>,
    /// Values of `pipeline.…` by their full names. They win over what the server knows.
    #[serde(default)]
    pub pipeline_values: BTreeMap<String, ParameterValue>,
    /// Orbs that the project brings along. They win over those of the server.
    #[serde(default)]
    pub orbs: Vec<Orb>,
    /// Pins of the project's lock file: versions, and hashes that sources must have.
    #[serde(default)]
    pub orb_pins: Vec<OrbPin>,
    /// Classes that other names of machines stand for. Those of the server win over them.
    #[serde(default)]
    pub class_aliases: BTreeMap<String, ResourceClass>,
    /// Make the contexts that its jobs name where there are none: empty, and for all projects.
    #[serde(default)]
    pub make_contexts: bool,
}

/// The value of a pipeline parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ParameterValue {
    /// A boolean.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A text; for a parameter of another type, what it says.
    Text(String),
}

/// An orb with its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Orb {
    /// Its name, `namespace/name`.
    pub name: String,
    /// Its version, such as `1.2.3` or `dev:first`.
    pub version: String,
    /// Its source as one YAML document.
    pub source: String,
}

/// An orb that the server has, without its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OrbItem {
    /// Its name, `namespace/name`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Length of its source, in bytes.
    pub size: u64,
    /// Time at which it was added, in milliseconds since 1970.
    pub created_ms: u64,
}

/// An orb as a lock file pins it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OrbPin {
    /// Its name, `namespace/name`.
    pub name: String,
    /// Its version, such as `1.2.3` or `dev:first`.
    pub version: String,
    /// Floating versions that stand for it, such as `1.2`, `1` or `volatile`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<String>,
    /// SHA-256 of its source, in hexadecimal.
    pub sha256: String,
    /// The registry that it was fetched from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
}

/// A resource class under the name of another machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClassAlias {
    /// The name that configurations have, such as `macos.m1.medium.gen1`.
    pub name: String,
    /// The class that their jobs wait in.
    pub resource_class: ResourceClass,
}

/// Adds an orb to the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PutOrb {
    /// Its source as one YAML document.
    pub source: String,
}

/// `POST /api/v2/pipeline/continue`, as CircleCI documents it: a job of a setup says what its
/// pipeline goes on with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ContinueRequest {
    /// Value of `CIRCLE_CONTINUATION_KEY` in the job.
    pub continuation_key: Secret,
    /// The configuration, as text.
    pub configuration: String,
    /// Values of its parameters. They win over those that the pipeline was submitted with.
    #[serde(default)]
    pub parameters: Option<BTreeMap<String, ParameterValue>>,
}

/// The answer to a [`ContinueRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Continued {
    /// For people.
    pub message: String,
}

/// Path of a project's configuration, as CircleCI has it.
pub const DEFAULT_CONFIG_PATH: &str = ".circleci/config.yml";

fn default_config_path() -> String {
    DEFAULT_CONFIG_PATH.to_owned()
}

/// A pipeline and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pipeline {
    /// Its row.
    pub id: PipelineId,
    /// Its number within the project.
    pub number: u64,
    /// The project.
    pub project: String,
    /// Branch.
    #[serde(default)]
    pub branch: Option<String>,
    /// Tag.
    #[serde(default)]
    pub tag: Option<String>,
    /// Commit.
    #[serde(default)]
    pub revision: Option<String>,
    /// Time of submission, in milliseconds since 1970.
    pub created_ms: u64,
    /// Its workflows.
    #[serde(default)]
    pub workflows: Vec<Workflow>,
    /// Warnings of the compiler.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A workflow and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Workflow {
    /// Its row.
    pub id: WorkflowId,
    /// Its name.
    pub name: String,
    /// Progress.
    pub phase: Phase,
    /// Outcome.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Its jobs, in the order of the configuration.
    pub jobs: Vec<Job>,
}

/// A job and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Its row.
    pub id: JobId,
    /// `CIRCLE_BUILD_NUM`.
    pub number: u64,
    /// Its name in the workflow.
    pub name: String,
    /// Names of the jobs that it waits for.
    #[serde(default)]
    pub requires: Vec<String>,
    /// The class it waits in; none: no runner is needed, as for an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_class: Option<ResourceClass>,
    /// Number of tasks that share it.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub parallelism: u32,
    /// Xcode that it names; none: any machine of the class will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xcode: Option<String>,
    /// Progress.
    pub phase: Phase,
    /// Outcome.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Reason of the outcome, where the steps do not give it, or why the job waits.
    #[serde(default)]
    pub message: Option<String>,
    /// Time of queueing, in milliseconds since 1970.
    #[serde(default)]
    pub queued_ms: Option<u64>,
    /// Time of the claim.
    #[serde(default)]
    pub started_ms: Option<u64>,
    /// Time of the end.
    #[serde(default)]
    pub ended_ms: Option<u64>,
    /// The runner that has it.
    #[serde(default)]
    pub runner: Option<String>,
    /// Its steps, as far as they began. Left out of lists.
    #[serde(default)]
    pub steps: Vec<StepState>,
    /// Number of test results by outcome (`success`, `failure`, …).
    #[serde(default)]
    pub tests: BTreeMap<String, u64>,
    /// Number of artifacts.
    #[serde(default)]
    pub artifacts: u64,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_one(number: &u32) -> bool {
    *number == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A step and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepState {
    /// Its number.
    pub number: u32,
    /// The task that runs it, by its number within the job, from 0. Modulo the job's parallelism
    /// this is `CIRCLE_NODE_INDEX`; tasks of a job that is run again go on counting.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub task: u32,
    /// Its heading.
    pub name: String,
    /// Set if the job goes on while it runs.
    #[serde(default)]
    pub background: bool,
    /// Outcome; `None` while it runs.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Exit status.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Reason, where the exit status does not give it.
    #[serde(default)]
    pub message: Option<String>,
    /// Start, in milliseconds since 1970.
    pub started_ms: u64,
    /// End.
    #[serde(default)]
    pub ended_ms: Option<u64>,
    /// Bytes of output that are stored.
    pub output_bytes: u64,
}

/// `GET /api/v3/jobs/{id}/artifacts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArtifactItem {
    /// Path within the job; fetched at `GET /api/v3/jobs/{id}/artifacts/{path}`.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 of the bytes, in hexadecimal.
    pub blake3: String,
}

/// `GET /api/v3/jobs/{id}/tests`.
pub type TestItems = Items<TestResult>;

/// One event of `GET /api/v3/pipelines/{id}/stream`, the live view of a pipeline as server-sent
/// events with the JSON of this type as data.
///
/// The stream begins with the whole state and says after that what changed; it ends after
/// [`StreamEvent::End`]. A reader that comes back asks anew and skips the output it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StreamEvent {
    /// A job is as said here (without its steps).
    Job {
        /// Its workflow.
        workflow: WorkflowId,
        /// The job.
        job: Job,
    },
    /// A step is as said here. Follows all of the step's output when it has ended.
    Step {
        /// Its job.
        job: JobId,
        /// The step.
        step: StepState,
    },
    /// Output of a step.
    Output {
        /// Its job.
        job: JobId,
        /// The task, as in [`StepState::task`].
        #[serde(default, skip_serializing_if = "is_zero")]
        task: u32,
        /// Number of the step.
        step: u32,
        /// Offset of its first byte.
        offset: u64,
        /// The bytes, in base64.
        data: String,
    },
    /// Everything has ended.
    End {
        /// The pipeline, with its jobs.
        pipeline: Pipeline,
    },
}

/// Line of JSON that `russet server --ready-stdout` prints once it listens: how the
/// process that started it reaches it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServerReady {
    /// Origin, as `http://127.0.0.1:port`.
    pub url: String,
    /// The admin token.
    pub admin_token: Secret,
}
