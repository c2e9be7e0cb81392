//! Variables of projects and contexts, and SSH keys.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

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
