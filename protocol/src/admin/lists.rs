//! Lists of jobs and of workflows across pipelines.

use serde::{Deserialize, Serialize};

use super::jobs::{is_one, one};
use crate::ids::{JobId, PipelineId, WorkflowId};
use crate::outcome::{Outcome, Phase};
use crate::resource_class::ResourceClass;

/// The pipeline that a listed job or workflow belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PipelineHead {
    /// Its row.
    pub id: PipelineId,
    /// Its number within the project.
    pub number: u64,
    /// The project.
    pub project: String,
    /// Branch.
    #[serde(default)]
    pub branch: Option<String>,
    /// The one who submitted it, as that one says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Time of submission, in milliseconds since 1970.
    pub created_ms: u64,
}

/// A workflow of a list, without its jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowItem {
    /// Its row.
    pub id: WorkflowId,
    /// Its pipeline.
    pub pipeline: PipelineHead,
    /// Its name.
    pub name: String,
    /// Progress.
    pub phase: Phase,
    /// Outcome.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Which run of the workflow this is, from 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub run: u32,
    /// Number of its jobs.
    pub jobs: u64,
    /// Time of the first claim of one of its jobs, in milliseconds since 1970.
    #[serde(default)]
    pub started_ms: Option<u64>,
    /// Time of the end of its last job; none while it has not ended.
    #[serde(default)]
    pub ended_ms: Option<u64>,
}

/// A job of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobItem {
    /// Its row.
    pub id: JobId,
    /// Its pipeline.
    pub pipeline: PipelineHead,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// Name of its workflow.
    pub workflow_name: String,
    /// Which run of the workflow this is, from 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub run: u32,
    /// `CIRCLE_BUILD_NUM`.
    pub number: u64,
    /// Its name in the workflow.
    pub name: String,
    /// The class it waits in; none: no runner is needed, as for an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_class: Option<ResourceClass>,
    /// Progress.
    pub phase: Phase,
    /// Outcome.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Reason of the outcome, where the steps do not give it, or why the job waits.
    #[serde(default)]
    pub message: Option<String>,
    /// Time of the claim, in milliseconds since 1970.
    #[serde(default)]
    pub started_ms: Option<u64>,
    /// Time of the end.
    #[serde(default)]
    pub ended_ms: Option<u64>,
    /// The runner that has it.
    #[serde(default)]
    pub runner: Option<String>,
}
