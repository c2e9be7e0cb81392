//! Answer of `GET /readyz`: which parts of a control plane keep it from taking work.

use serde::{Deserialize, Serialize};

/// Readiness of a control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Readiness {
    /// Set where every check is `ok`.
    pub ready: bool,
    /// The checks, the same each time.
    pub checks: Vec<ReadyCheck>,
}

/// Check of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReadyCheck {
    /// `database`, `schema`, `objects`, `disk` or `shutdown`.
    pub name: String,
    /// State of the part.
    pub state: CheckState,
    /// Next step of the one who runs the server, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

/// State of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It serves.
    Ok,
    /// It keeps the server from taking work.
    Failing,
    /// It could not be looked at, since another part is failing.
    Unknown,
}
