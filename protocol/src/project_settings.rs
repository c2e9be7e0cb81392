//! Settings of a project.

use serde::{Deserialize, Serialize};

use crate::names::named;
use crate::projects::ReportedStatuses;

/// Treatment of pull requests of forks, whose authors may write anything into the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ForkPolicy {
    /// They are not built.
    #[default]
    None,
    /// Each commit waits for somebody to let it through.
    Approve,
    /// They are built, without secrets.
    Build,
}

named!(ForkPolicy: None = "none", Approve = "approve", Build = "build");

/// `GET` and `PUT /api/v3/projects/{project}/settings`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProjectSettings {
    /// Branch on which no pipeline is canceled by itself.
    #[serde(default = "usual_branch")]
    pub default_branch: String,
    /// Cancel the earlier pipelines of a branch when a later one is submitted.
    #[serde(default)]
    pub auto_cancel: bool,
    /// Things whose states are reported to the repository's host, at the commit. None in a change: as
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statuses: Option<ReportedStatuses>,
    /// Treatment of pull requests of forks.
    #[serde(default)]
    pub forks: ForkPolicy,
}

/// Beginning of what stands for the one who canceled a pipeline where a later one did, as
/// `superseded by #12`.
pub const SUPERSEDED_BY: &str = "superseded by #";

/// Returns who or what canceled something, for people: `canceled by Ana`, `superseded by #12`.
#[must_use]
pub fn canceled_by_text(by: &str) -> String {
    if by.starts_with(SUPERSEDED_BY) { by.to_owned() } else { format!("canceled by {by}") }
}

fn usual_branch() -> String {
    "main".to_owned()
}

impl Default for ProjectSettings {
    fn default() -> Self {
        Self {
            default_branch: usual_branch(),
            auto_cancel: false,
            statuses: None,
            forks: ForkPolicy::None,
        }
    }
}
