//! Projects that are connected to a Git remote.

use serde::{Deserialize, Serialize};

use crate::ids::PipelineId;
use crate::names::named;
use crate::secret::Secret;

/// Interval of polls where none is asked for, in milliseconds.
pub const DEFAULT_POLL_MS: u64 = 60_000;

/// Shortest interval of polls, in milliseconds.
pub const MIN_POLL_MS: u64 = 10_000;

/// Longest interval of polls, in milliseconds.
pub const MAX_POLL_MS: u64 = 24 * 3_600_000;

/// Software of a remote's host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HostKind {
    /// Any: it is known by nothing but git.
    #[default]
    Git,
    /// GitHub, GitHub Enterprise Server, or what has the same API.
    Github,
    /// Gitea or Forgejo.
    Gitea,
}

named!(HostKind: Git = "git", Github = "github", Gitea = "gitea");

/// Things whose states a project reports to its host, at the commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReportedStatuses {
    /// None.
    Off,
    /// Workflows.
    Workflows,
    /// Jobs.
    Jobs,
    /// Workflows and jobs.
    #[default]
    Both,
}

named!(ReportedStatuses: Off = "off", Workflows = "workflows", Jobs = "jobs", Both = "both");

/// State of a commit, as hosts have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CommitState {
    /// It has not ended.
    Pending,
    /// It succeeded.
    Success,
    /// It failed.
    Failure,
    /// It ended without a result: canceled, not allowed, or failed with its infrastructure.
    Error,
}

named!(CommitState: Pending = "pending", Success = "success", Failure = "failure", Error = "error");

/// Credential of a remote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// None: anybody may read the repository.
    #[default]
    None,
    /// A token, for https.
    Token,
    /// An SSH key that the server made.
    DeployKey,
    /// A GitHub App that is installed on the repository.
    GithubApp,
}

named!(CredentialKind: None = "none", Token = "token", DeployKey = "deploy_key", GithubApp = "github_app");

/// GitHub App that is installed on a repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GithubApp {
    /// Its App ID or client ID.
    pub id: String,
    /// Its private key, as the PEM file that GitHub gives out.
    pub private_key: Secret,
}

/// `PUT /api/v3/projects/{project}/connection`: connects a project to a Git remote, or says anew how.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectProject {
    /// Address of the repository: `https://…`, `ssh://…` or `git@host:path`.
    pub url: String,
    /// Software of its host; none: it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_kind: Option<HostKind>,
    /// Address of the host's API, where it does not follow from that of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_url: Option<String>,
    /// GitHub App, in place of a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_app: Option<GithubApp>,
    /// Token that may read the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// User that goes with the token. Hosts that take none want any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Make an SSH key. One that the project has already stays.
    #[serde(default)]
    pub deploy_key: bool,
    /// Interval of polls, in milliseconds.
    #[serde(default = "default_poll_ms")]
    pub poll_ms: u64,
    /// Path of the configuration in the repository.
    #[serde(default = "default_config_path")]
    pub config_path: String,
}

fn default_poll_ms() -> u64 {
    DEFAULT_POLL_MS
}

fn default_config_path() -> String {
    crate::admin::DEFAULT_CONFIG_PATH.to_owned()
}

/// `POST /api/v3/projects/{project}/connection/build`: builds the newest commit of a branch or tag.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BuildProject {
    /// The branch; without one and a tag, the default branch.
    #[serde(default)]
    pub branch: Option<String>,
    /// The tag.
    #[serde(default)]
    pub tag: Option<String>,
}

/// A connected project.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectionItem {
    /// The project.
    pub project: String,
    /// Address of its repository.
    pub url: String,
    /// Software of the host.
    pub host_kind: HostKind,
    /// Address of the host's API, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_url: Option<String>,
    /// Findings about the credential, in the answer to a new connection alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Credential; its secret part is never shown.
    pub credential: CredentialKind,
    /// Public part of the deploy key, for the repository's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Keys of the SSH host that were pinned: host, algorithm and fingerprint.
    #[serde(default)]
    pub host_keys: Vec<String>,
    /// Path of the configuration in the repository.
    pub config_path: String,
    /// Account that connected it.
    pub added_by: String,
    /// Time at which it was connected, in milliseconds since 1970.
    pub created_ms: u64,
    /// Interval of polls, in milliseconds.
    pub poll_ms: u64,
    /// Time of the next poll, in milliseconds since 1970.
    pub next_poll_ms: u64,
    /// Last poll; none: there was none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_poll: Option<PollItem>,
    /// Set once the branches and tags are known; changes from then on are built.
    pub has_baseline: bool,
    /// Branch that the remote checks out by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_branch: Option<String>,
    /// Time at which the secret of its webhook was set, in milliseconds since 1970; none: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_ms: Option<u64>,
}

/// A poll of a remote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PollItem {
    /// Time of its end, in milliseconds since 1970.
    pub at_ms: u64,
    /// Duration, in milliseconds.
    pub took_ms: u64,
    /// Reason why it failed; none: it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Next step then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// State of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TriggerState {
    /// Its pipeline is to be made.
    Waiting,
    /// It has its pipeline.
    Built,
    /// It was not built, since its commit says so.
    Skipped,
    /// It could not be built.
    Failed,
    /// It is of a fork, and waits for somebody to let it through.
    Held,
}

named!(
    TriggerState: Waiting = "waiting",
    Built = "built",
    Skipped = "skipped",
    Failed = "failed",
    Held = "held",
);

/// Cause of a pipeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TriggerItem {
    /// Its id.
    pub id: String,
    /// `push`, `pull_request`, `rerequest` where somebody asked the host for it again, or `api` where somebody
    /// asked us.
    pub kind: String,
    /// Full name of the branch or tag.
    pub reference: String,
    /// The commit.
    pub revision: String,
    /// State.
    pub state: TriggerState,
    /// Set where the commit is of a fork.
    #[serde(default)]
    pub from_fork: bool,
    /// Account that let it through, where it was held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Time at which it was heard of, in milliseconds since 1970.
    pub created_ms: u64,
    /// Time from then to the pipeline, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// The pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineId>,
    /// Reason why there is none (yet).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Next step then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A connected project with its newest triggers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectionDetails {
    /// The connection.
    #[serde(flatten)]
    pub connection: ConnectionItem,
    /// The newest triggers, the last one first.
    pub triggers: Vec<TriggerItem>,
    /// The newest statuses at commits, the last one first.
    #[serde(default)]
    pub statuses: Vec<CommitStatusItem>,
}

/// Status at a commit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommitStatusItem {
    /// The commit.
    pub revision: String,
    /// Name of the status at the host.
    pub context: String,
    /// State that the host is to have.
    pub state: CommitState,
    /// Words about it.
    pub description: String,
    /// Set where the host has it.
    pub is_sent: bool,
    /// Time of the last change, in milliseconds since 1970.
    pub changed_ms: u64,
    /// Time of the next attempt; none: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<u64>,
    /// Reason why the host does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Next step then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
