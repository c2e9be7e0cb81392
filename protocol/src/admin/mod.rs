//! People and their tools to control plane: resource classes, tokens, runners, pipelines, jobs.
//!
//! Resource classes, tokens and runners are as CircleCI documents them; pipelines and jobs are
//! ours. Every call needs the admin token, as `Circle-Token`, as the user of Basic, or as
//! Bearer. What may not be seen is answered 404.

mod classes;
mod jobs;
mod lists;
mod orbs;
mod pipelines;
mod runners;
mod submit;
mod variables;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

pub use classes::{
    ClassAlias, ClassSsh, NewResourceClass, NewToken, Pin, PinnedClass, ResourceClassItem,
    TokenItem,
};
pub use jobs::{Job, StepState};
pub use lists::{JobItem, PipelineHead, WorkflowItem};
pub use orbs::{Orb, OrbItem, OrbPin, PutOrb};
pub use pipelines::{ArtifactItem, Pipeline, Rerun, RerunKind, StreamEvent, TestItems, Workflow};
pub use runners::{RunnerItem, RunnerStatus, RunningTasks, UnclaimedTasks};
pub use submit::{ContinueRequest, Continued, DEFAULT_CONFIG_PATH, ParameterValue, SubmitRequest};
pub use variables::{AddSshKey, ContextItem, SetContext, SetVariable, SshKeyItem, VariableItem};

/// The most that a control plane takes as JSON, in bytes. A configuration of the largest allowed
/// size fits in, escaped.
pub const JSON_LIMIT: usize = 8 * 1024 * 1024;

/// A list. CircleCI's runner API wraps lists this way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Items<T> {
    /// The elements.
    pub items: Vec<T>,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The elements.
    pub items: Vec<T>,
    /// The `page-token` of the next page; none: the list has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// Line of JSON that `russet server --ready-stdout` prints once it listens: how the
/// process that started it reaches it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServerReady {
    /// Origin, as `http://127.0.0.1:port`.
    pub url: String,
    /// The admin token.
    pub admin_token: Secret,
}
