//! Limits of tasks at once.

use serde::{Deserialize, Serialize};

use crate::names::named;

/// Most tasks that a limit may allow.
pub const MAX_TASKS: u32 = 100_000;

/// Kind of what a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LimitScope {
    /// A project.
    Project,
    /// All projects of a namespace.
    Namespace,
    /// A resource class.
    Class,
}

named!(
    LimitScope:
    Project = "project",
    Namespace = "namespace",
    Class = "class",
);

impl LimitScope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Project, Self::Namespace, Self::Class];
}

/// Limit of tasks at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitItem {
    /// Kind of what it is for.
    pub scope: LimitScope,
    /// Name of the project, the namespace or the class.
    pub name: String,
    /// Most tasks that are in line for a runner or with one.
    pub most: u32,
    /// Number of them now.
    pub used: u64,
    /// Number of jobs that wait for room in it.
    pub waiting: u64,
    /// The one who set it.
    pub set_by: String,
    /// Time at which it was set, in milliseconds since 1970.
    pub set_ms: u64,
}

/// `PUT /api/v3/limits/{scope}/{name}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetLimit {
    /// Most tasks at once, 1 to [`MAX_TASKS`].
    pub most: u32,
}
