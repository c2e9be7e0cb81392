//! Orbs of projects and of the server.

use serde::{Deserialize, Serialize};

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

/// Adds an orb to the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PutOrb {
    /// Its source as one YAML document.
    pub source: String,
}
