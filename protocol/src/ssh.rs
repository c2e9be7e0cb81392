//! Reruns of a job with SSH: a person's way into a task while it is held for them.
//!
//! Both sides must want it. The control plane writes a [`SshAccess`] into the task's config where the
//! resource class allows it; the launch agent writes a [`SshPolicy`] into the assignment where its
//! own configuration does. The task agent opens nothing unless it has both.
//!
//! Bytes of SSH are end to end between the person's client and the task agent: the control plane
//! joins two WebSockets ([`TASK_TUNNEL_PATH`], and `GET /api/v3/jobs/{id}/ssh/tunnel` of the person) and sees ciphertext only. A
//! WebSocket is one connection of SSH. The task agent keeps one waiting; the first frame that it
//! gets is a text frame with a [`TunnelOpened`], every other one of either side is binary.

use serde::{Deserialize, Serialize};

use crate::ids::{PersonalKeyId, TaskId};

/// Path of the WebSocket at which a task agent waits for a person, with its task token and the
/// allocation's header.
pub const TASK_TUNNEL_PATH: &str = "/api/v3/task/ssh/tunnel";

/// Path at which a task agent says that it can be reached: `POST` of a [`SshReady`].
pub const TASK_READY_PATH: &str = "/api/v3/task/ssh";

/// Path at which a task agent says how its hold goes: `POST` of a [`HoldReport`], answered with
/// [`HoldOrders`].
pub const TASK_HOLD_PATH: &str = "/api/v3/task/ssh/hold";

/// Path at which a task agent reports sessions: `POST` of a [`SessionReport`], once when one begins
/// and once when it has ended.
pub const TASK_SESSIONS_PATH: &str = "/api/v3/task/ssh/sessions";

/// Name of the first step of a task with SSH, as CircleCI's.
pub const ENABLE_STEP_NAME: &str = "Enable SSH";

/// Name of the last step of a task with SSH, as CircleCI's.
pub const WAIT_STEP_NAME: &str = "Wait for SSH";

/// Longest time by which a hold is extended in all: by requests in the task, and by those at the control
/// plane, in milliseconds. A day each.
pub const MAX_EXTENSION_MS: u64 = 24 * 3600 * 1000;

/// Permission of the control plane to reach a task by SSH, in its config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshAccess {
    /// Name of the person who asked for it.
    pub person: String,
    /// That person's public keys, as lines of OpenSSH: the only ones that may log in.
    pub keys: Vec<String>,
    /// Time for which the task is held while nobody is connected, in milliseconds.
    pub idle_ms: u64,
    /// Time for which the task is held in all, in milliseconds.
    pub longest_ms: u64,
    /// Set if the task is of a fork.
    #[serde(default)]
    pub from_fork: bool,
}

/// Permission of the machine's owner, in the assignment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshPolicy {
    /// Set if tasks of forks may be reached too.
    #[serde(default)]
    pub allow_forks: bool,
    /// Features of SSH that are refused unless they are named here.
    #[serde(default)]
    pub forwarding: Forwarding,
    /// Host at which people reach the machine itself, for screens, and with a port if that is not the
    /// one that is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertised: Option<String>,
    /// Socket of the launch agent at which connections to that port are handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<std::path::PathBuf>,
}

/// Kinds of forwarding that the owner allows, each by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarding {
    /// The person's SSH agent (`ssh -A`).
    #[serde(default)]
    pub agent: bool,
    /// Ports, in both directions (`ssh -L`, `-R`, `-D`, `-W`).
    #[serde(default)]
    pub ports: bool,
}

/// What a runner offers for reruns with SSH, in its claims. None: it takes no such task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshOffer {
    /// Set if tasks of forks may be reached too.
    #[serde(default)]
    pub allow_forks: bool,
}

/// Need of a job for SSH: its tasks go to runners that offer as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshNeed {
    /// Set if the job is of a fork.
    #[serde(default)]
    pub from_fork: bool,
}

impl SshNeed {
    /// Returns true if a runner with this offer may have its tasks.
    #[must_use]
    pub fn is_met_by(self, offer: Option<SshOffer>) -> bool {
        offer.is_some_and(|offer| offer.allow_forks || !self.from_fork)
    }
}

/// A person's public key. `POST /api/v3/me/ssh-keys` takes `key` and `name`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewPersonalKey {
    /// The public key, as a line of OpenSSH.
    pub key: String,
    /// For people; empty: the comment of the key.
    #[serde(default)]
    pub name: String,
}

/// A person's public key, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PersonalKeyItem {
    /// Its row.
    pub id: PersonalKeyId,
    /// For people.
    pub name: String,
    /// The public key, as a line of OpenSSH without a comment.
    pub key: String,
    /// Its fingerprint: `SHA256:…`.
    pub fingerprint: String,
    /// Time of its addition, as RFC 3339.
    pub created_at: String,
}

/// Body of `POST /api/v3/jobs/{id}/rerun` with SSH.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshRerun {
    /// Public keys besides those that are kept for the caller, as lines of OpenSSH.
    #[serde(default)]
    pub keys: Vec<String>,
}

/// Where a task can be reached, as its agent says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshReady {
    /// Public host key of the task, as a line of OpenSSH without a comment. Made for the task.
    pub host_key: String,
    /// Name of the user to log in as.
    pub user: String,
    /// `host:port` of the machine itself, where its owner opened a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// How the hold of a task goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldReport {
    /// Set once the steps of the job have ended and only the hold keeps the task.
    pub waiting: bool,
    /// Number of connected sessions.
    pub sessions: u32,
    /// Time until the hold ends if nothing changes, in milliseconds.
    pub remaining_ms: u64,
}

/// What people asked of the hold, in the answer to a [`HoldReport`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldOrders {
    /// Time by which pages and command lines extended it, in milliseconds, in all.
    #[serde(default)]
    pub extended_ms: u64,
    /// Set if somebody asked to end it. The task then reports the outcome of its steps.
    #[serde(default)]
    pub end: bool,
}

/// A session of SSH, for the audit log. No contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionReport {
    /// Id of the session, made by the task agent.
    pub id: String,
    /// Address that it came from, as far as it is known.
    #[serde(default)]
    pub from: String,
    /// Fingerprint of the key that logged in.
    pub key: String,
    /// Time at which it began, in milliseconds since 1970.
    pub started_ms: u64,
    /// Time at which it ended; none: it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// Bytes that the person sent.
    #[serde(default)]
    pub bytes_in: u64,
    /// Bytes that the person was sent.
    #[serde(default)]
    pub bytes_out: u64,
}

/// First frame that a waiting task agent gets: a person is connected now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelOpened {
    /// Address of the person's client, as the control plane sees it.
    pub from: String,
    /// Name of the person by whose token the control plane let the connection in.
    pub person: String,
}

/// First line that a task agent gets at the launch agent's socket, where the owner opened ports: the
/// port that is its task's. The next one is a [`TunnelOpened`] for each connection, and then its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortOpened {
    /// The port.
    pub port: u16,
}

/// Phase of a task's SSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SshPhase {
    /// The task has not said yet that it can be reached.
    Starting,
    /// It can be reached, and its steps run.
    Running,
    /// It can be reached, and is held for people.
    Waiting,
    /// It has ended.
    Ended,
}

impl SshPhase {
    /// Returns true if the task can be reached now.
    #[must_use]
    pub fn is_reachable(self) -> bool {
        matches!(self, Self::Running | Self::Waiting)
    }
}

/// `GET /api/v3/jobs/{id}/ssh`: the way into each task of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshItem {
    /// The task.
    pub task: TaskId,
    /// Index of the task among those of its job, from 0.
    pub node_index: u32,
    /// Phase.
    pub phase: SshPhase,
    /// Name of the person whose keys may log in.
    pub person: String,
    /// Fingerprints of those keys: `SHA256:…`.
    pub keys: Vec<String>,
    /// Set once it can be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<SshReady>,
    /// Fingerprint of the host key: `SHA256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_fingerprint: Option<String>,
    /// Number of connected sessions.
    #[serde(default)]
    pub sessions: u32,
    /// Time at which the hold ends if nothing changes, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_ms: Option<u64>,
}

/// Body of `POST /api/v3/jobs/{id}/ssh/extend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExtendHold {
    /// Time to add, in milliseconds.
    pub by_ms: u64,
}
