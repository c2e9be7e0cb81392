//! Submissions of configurations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Orb, OrbPin};
use crate::ids::SourceId;
use crate::resource_class::ResourceClass;
use crate::secret::Secret;

/// `POST /api/v3/pipelines`: submits a configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubmitRequest {
    /// The project, as `owner/name` or another text.
    pub project: String,
    /// The configuration, as text.
    pub config: String,
    /// Its path, for messages.
    #[serde(default = "default_config_path")]
    pub config_path: String,
    /// Branch.
    #[serde(default)]
    pub branch: Option<String>,
    /// Tag.
    #[serde(default)]
    pub tag: Option<String>,
    /// Commit.
    #[serde(default)]
    pub revision: Option<String>,
    /// Address of the repository. Without `source`, `checkout` fetches from it.
    #[serde(default)]
    pub repository_url: Option<String>,
    /// Set if it comes from a fork.
    #[serde(default)]
    pub from_fork: bool,
    /// The one who submits it, for people and for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A snapshot that was uploaded with `PUT /api/v3/sources/{id}`.
    #[serde(default)]
    pub source: Option<SourceId>,
    /// Run the steps of `docker:` jobs on the runner itself.
    #[serde(default)]
    pub on_host: bool,
    /// Put every job into this class, whatever the configuration says.
    #[serde(default)]
    pub resource_class: Option<ResourceClass>,
    /// Only this workflow.
    #[serde(default)]
    pub workflow: Option<String>,
    /// Only this job and what it requires.
    #[serde(default)]
    pub job: Option<String>,
    /// Values of the pipeline's parameters.
    #[serde(default)]
    pub parameters: BTreeMap<String, ParameterValue>,
    /// Values of `pipeline.…` by their full names. They win over what the server knows.
    #[serde(default)]
    pub pipeline_values: BTreeMap<String, ParameterValue>,
    /// Orbs that the project brings along. They win over those of the server.
    #[serde(default)]
    pub orbs: Vec<Orb>,
    /// Pins of the project's lock file: versions, and hashes that sources must have.
    #[serde(default)]
    pub orb_pins: Vec<OrbPin>,
    /// Classes that other names of machines stand for. Those of the server win over them.
    #[serde(default)]
    pub class_aliases: BTreeMap<String, ResourceClass>,
    /// Make the contexts that its jobs name where there are none: empty, and for all projects.
    #[serde(default)]
    pub make_contexts: bool,
}

/// The value of a pipeline parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ParameterValue {
    /// A boolean.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A text; for a parameter of another type, what it says.
    Text(String),
}

/// `POST /api/v2/pipeline/continue`, as CircleCI documents it: a job of a setup says what its
/// pipeline goes on with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ContinueRequest {
    /// Value of `CIRCLE_CONTINUATION_KEY` in the job.
    pub continuation_key: Secret,
    /// The configuration, as text.
    pub configuration: String,
    /// Values of its parameters. They win over those that the pipeline was submitted with.
    #[serde(default)]
    pub parameters: Option<BTreeMap<String, ParameterValue>>,
}

/// The answer to a [`ContinueRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Continued {
    /// For people.
    pub message: String,
}

/// Path of a project's configuration, as CircleCI has it.
pub const DEFAULT_CONFIG_PATH: &str = ".circleci/config.yml";

fn default_config_path() -> String {
    DEFAULT_CONFIG_PATH.to_owned()
}
