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
}

named!(HostKind: Git = "git");

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
}

named!(CredentialKind: None = "none", Token = "token", DeployKey = "deploy_key");

/// `PUT /api/v3/projects/{project}/connection`: connects a project to a Git remote, or says anew how.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectProject {
    /// Address of the repository: `https://…`, `ssh://…` or `git@host:path`.
    pub url: String,
    /// Software of its host.
    #[serde(default)]
    pub host_kind: HostKind,
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
}
