//! The compiled task: what `GET /api/v2/task/config` answers and the task agent runs.
//!
//! `pipeline` makes the [`Step`]s, the control plane adds what it knows (numbers, environment,
//! source), the task agent runs them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{AllocationId, JobId, PipelineId, SourceId, TaskId, WorkflowId};
use crate::secret::Secret;
use crate::ssh::SshAccess;

/// Everything a task agent needs to run one task.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskConfig {
    /// Version of this document; see [`TaskConfig::VERSION`].
    pub version: u32,
    /// The task.
    pub task_id: TaskId,
    /// The claim it belongs to.
    pub allocation: AllocationId,
    /// Job and pipeline that it is a part of.
    pub job: JobInfo,
    /// Run-time limit of the task, in milliseconds; the runner's own limit applies as well.
    #[serde(default)]
    pub max_run_time_ms: Option<u64>,
    /// Environment of the job: what every step has, in rising order of precedence.
    #[serde(default)]
    pub environment: Vec<EnvVar>,
    /// Values that must not be seen in output, besides the secret ones of `environment`.
    #[serde(default)]
    pub masks: Vec<Secret>,
    /// Shell of the job, where it sets one (`/bin/bash -eo pipefail`).
    #[serde(default)]
    pub shell: Option<String>,
    /// Working directory of the job, where it sets one. `~` is the task's home.
    #[serde(default)]
    pub working_directory: Option<String>,
    /// Xcode that the job names: a version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xcode: Option<String>,
    /// Source of `checkout`.
    #[serde(default)]
    pub source: Option<Source>,
    /// The SSH keys of the project that its `add_ssh_keys` steps may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<SshKey>,
    /// Permission to reach the task by SSH; none: it is an ordinary one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshAccess>,
    /// The steps, in order. Their numbers start at [`FIRST_STEP`].
    pub steps: Vec<Step>,
    /// Interval of heartbeats, in milliseconds.
    pub heartbeat_ms: u64,
}

impl TaskConfig {
    /// The version that this code writes.
    pub const VERSION: u32 = 1;
}

/// Variable of a setup job with the key that lets it say what its pipeline goes on with.
pub const CONTINUATION_KEY_VARIABLE: &str = "CIRCLE_CONTINUATION_KEY";

/// Path of the call for that, after the origin of a control plane.
pub const CONTINUE_PATH: &str = "/api/v2/pipeline/continue";

/// Path of the WebSocket at which a task reads the history of its project's repository: what
/// `git-upload-pack` says and is told, in binary frames; an empty one says that it is told no more.
pub const TASK_GIT_PATH: &str = "/api/v3/task/git";

/// Number of the step in which the agent says what it prepares ("Set up").
pub const SETUP_STEP: u32 = 0;

/// Number of the first step of the job itself.
pub const FIRST_STEP: u32 = 1;

/// Number of the step that shows the owner's pre-task hook.
pub const PRE_TASK_STEP: u32 = 10_001;

/// Number of the step that shows the owner's post-task hook.
pub const POST_TASK_STEP: u32 = 10_002;

/// Number of the step in which the agent says what the job left behind ("Clean up"). Announced
/// only where there was something.
pub const CLEAN_UP_STEP: u32 = 10_003;

/// Number of the step in which a service of the host is started before the first step of the job.
pub const WARM_UP_STEP: u32 = 10_004;

/// Number of the step in which directories that outlive tasks are cloned into the home.
pub const RESTORE_KEPT_STEP: u32 = 10_005;

/// Number of the step in which they are cloned out of it, after a success.
pub const SAVE_KEPT_STEP: u32 = 10_006;

/// Number of the step that opens a task for a person's SSH, before the first step of the job.
pub const ENABLE_SSH_STEP: u32 = 10_007;

/// Number of the step that holds the task for that person, after the last one.
pub const WAIT_FOR_SSH_STEP: u32 = 10_008;

/// Job and pipeline of a task, for `CIRCLE_*` variables, screens and logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobInfo {
    /// The job, as a row of the control plane.
    pub job_id: Option<JobId>,
    /// The job's name in its workflow.
    pub name: String,
    /// `CIRCLE_BUILD_NUM`.
    pub number: u64,
    /// The workflow.
    pub workflow_id: Option<WorkflowId>,
    /// Name of the workflow.
    pub workflow: String,
    /// The pipeline.
    pub pipeline_id: Option<PipelineId>,
    /// Number of the pipeline within its project.
    pub pipeline_number: u64,
    /// The project, as `owner/name` or another text that the submitter chose.
    pub project: String,
    /// Branch, where the pipeline is of one.
    #[serde(default)]
    pub branch: Option<String>,
    /// Tag, where the pipeline is of one.
    #[serde(default)]
    pub tag: Option<String>,
    /// Commit.
    #[serde(default)]
    pub revision: Option<String>,
    /// Address of the repository.
    #[serde(default)]
    pub repository_url: Option<String>,
    /// Page of the job on the control plane.
    #[serde(default)]
    pub url: Option<String>,
    /// Index of this task among those of its job, from 0.
    pub node_index: u32,
    /// Number of tasks of the job.
    pub node_total: u32,
}

/// One environment variable.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Value. A type that is not shown, since any of them may be a secret.
    pub value: Secret,
    /// Set if output must not show the value.
    #[serde(default)]
    pub masked: bool,
}

/// An SSH key of the project.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshKey {
    /// Its MD5 fingerprint: `2f:b4:…`.
    pub md5: String,
    /// Its SHA-256 fingerprint: `SHA256:…`.
    pub sha256: String,
    /// The host that it is for; none: any.
    #[serde(default)]
    pub host: Option<String>,
    /// The key, as OpenSSH or PEM.
    pub private_key: Secret,
}

impl SshKey {
    /// Returns true if a fingerprint, as people write it, is of this key.
    #[must_use]
    pub fn is(&self, fingerprint: &str) -> bool {
        is_fingerprint_of(fingerprint, &self.md5, &self.sha256)
    }
}

/// Returns true if a fingerprint, as people write it, is the same as one of two: MD5 in either case
/// and with or without its `MD5:`, SHA-256 with or without its padding.
#[must_use]
pub fn is_fingerprint_of(written: &str, md5: &str, sha256: &str) -> bool {
    let written = written.trim();
    let hex = written.strip_prefix("MD5:").unwrap_or(written);
    hex.eq_ignore_ascii_case(md5) || written.trim_end_matches('=') == sha256
}

/// Source of `checkout`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// A snapshot that was submitted: a zstd-compressed tar archive, at
    /// `GET /api/v3/task/source`.
    Snapshot {
        /// Its hash.
        id: SourceId,
        /// Address of the repository that it is of, where the control plane has more of its history:
        /// git reads that at [`TASK_GIT_PATH`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<String>,
    },
    /// A git repository.
    Git {
        /// Address to fetch from.
        url: String,
        /// Commit to check out, 40 or 64 hexadecimal digits.
        revision: String,
        /// Branch to be on.
        #[serde(default)]
        branch: Option<String>,
        /// Tag to be on.
        #[serde(default)]
        tag: Option<String>,
    },
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// Number within the task.
    pub number: u32,
    /// Heading of the step.
    pub name: String,
    /// Condition on which it runs.
    #[serde(default)]
    pub when: When,
    /// Action.
    pub action: Action,
}

/// Condition on which a step runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// While no step before it failed.
    #[default]
    OnSuccess,
    /// After a step before it failed.
    OnFail,
    /// Either way.
    Always,
}

/// Action of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Runs a script in a shell.
    Run(Run),
    /// Puts the project's source into a directory.
    Checkout {
        /// Directory, relative to the job's working directory. `None` is that directory.
        #[serde(default)]
        path: Option<String>,
        /// Extent of the fetch from a git repository, where the configuration names it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        method: Option<CheckoutMethod>,
    },
    /// Gives the steps that follow some of the project's SSH keys.
    AddSshKeys {
        /// Fingerprints of the keys, as `SHA256:…` or MD5. None: all of them.
        #[serde(default)]
        fingerprints: Vec<String>,
    },
    /// Says which of the signing credentials that the job names in `code_signing` it was granted.
    InstallSigningBundle {
        /// The names. None: any will do.
        #[serde(default)]
        bundles: Vec<String>,
    },
    /// Says whether the machine has a Docker of its own, which is what there is here.
    SetupRemoteDocker,
    /// Stores files for people.
    StoreArtifacts {
        /// File or directory; relative to the job's working directory.
        path: String,
        /// Prefix under which they are stored.
        #[serde(default)]
        destination: Option<String>,
    },
    /// Stores JUnit results.
    StoreTestResults {
        /// File or directory of JUnit XML.
        path: String,
    },
    /// Stores files under a key, for later jobs of the project.
    SaveCache {
        /// The key, with its templates.
        key: String,
        /// Files and directories, as written: below `~`, absolute, or relative to the job's
        /// working directory. May have wildcards.
        paths: Vec<String>,
        /// Longest time to keep it, in milliseconds. `None`: as the server is set up.
        #[serde(default)]
        retention_ms: Option<u64>,
    },
    /// Brings back what was stored under a key.
    RestoreCache {
        /// Keys, with their templates. The first one that something was stored under, or under a
        /// key that begins with it, is taken.
        keys: Vec<String>,
    },
    /// Hands files to later jobs of the workflow.
    PersistToWorkspace {
        /// Directory; relative to the job's working directory.
        root: String,
        /// Patterns of files and directories below it.
        paths: Vec<String>,
    },
    /// Takes what earlier jobs of the workflow handed on.
    AttachWorkspace {
        /// Directory; relative to the job's working directory.
        at: String,
    },
}

/// Extent of a `checkout`'s fetch from a git repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckoutMethod {
    /// The history, and of the contents what the commit needs.
    #[default]
    Blobless,
    /// Everything: all branches and tags with all contents.
    Full,
}

/// A `run` step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    /// The script, handed to the shell as its last argument.
    pub command: String,
    /// Shell, where the step sets one.
    #[serde(default)]
    pub shell: Option<String>,
    /// Environment of this step.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Directory, relative to the job's working directory.
    #[serde(default)]
    pub working_directory: Option<String>,
    /// Set if the job goes on while this runs.
    #[serde(default)]
    pub background: bool,
    /// Time that the step may be silent, in milliseconds. `None` is CircleCI's ten minutes.
    #[serde(default)]
    pub no_output_timeout_ms: Option<u64>,
    /// Number of reruns after a failure.
    #[serde(default)]
    pub max_auto_reruns: u32,
    /// Delay before each of them, in milliseconds.
    #[serde(default)]
    pub auto_rerun_delay_ms: u64,
}

/// CircleCI's default for `no_output_timeout`: ten minutes, in milliseconds.
pub const DEFAULT_NO_OUTPUT_TIMEOUT_MS: u64 = 10 * 60 * 1000;
