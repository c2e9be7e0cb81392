//! Resource classes and the tokens of their runners.

use serde::{Deserialize, Serialize};

use crate::ids::{ResourceClassId, TokenId};
use crate::resource_class::ResourceClass;
use crate::secret::Secret;

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
    /// People's way into its tasks.
    #[serde(flatten)]
    pub ssh: ClassSsh,
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
    /// People's way into its tasks.
    #[serde(flatten)]
    pub ssh: ClassSsh,
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

/// `PUT /api/v3/runner/resource/{id}/ssh`: whether people reach the tasks of a class by SSH. The agents'
/// own configuration has to allow it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClassSsh {
    /// Set if jobs may be rerun with SSH.
    #[serde(default)]
    pub allow_ssh: bool,
    /// Set if those of forks may too.
    #[serde(default)]
    pub allow_ssh_forks: bool,
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

/// `POST /api/v3/runner/token`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewToken {
    /// The class that the token is to imply.
    pub resource_class: ResourceClass,
    /// For people.
    #[serde(default)]
    pub nickname: String,
    /// Seconds until it expires. None: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
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
    /// Time from which on it is refused, as RFC 3339. None: it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Time of its last use, as RFC 3339, to the minute. None: it was not used yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
    /// The token: only in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
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
