//! Pipelines, their workflows, and the live view of them.

use serde::{Deserialize, Serialize};

use super::Items;
use super::jobs::{Job, StepState, is_zero};
use crate::ids::{JobId, PipelineId, WorkflowId};
use crate::outcome::{Outcome, Phase};
use crate::runner::TestResult;

/// A pipeline and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pipeline {
    /// Its row.
    pub id: PipelineId,
    /// Its number within the project.
    pub number: u64,
    /// The project.
    pub project: String,
    /// Branch.
    #[serde(default)]
    pub branch: Option<String>,
    /// Tag.
    #[serde(default)]
    pub tag: Option<String>,
    /// Commit.
    #[serde(default)]
    pub revision: Option<String>,
    /// Time of submission, in milliseconds since 1970.
    pub created_ms: u64,
    /// Its workflows.
    #[serde(default)]
    pub workflows: Vec<Workflow>,
    /// Warnings of the compiler.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Set if it stays whatever the retention says.
    #[serde(default)]
    pub pinned: bool,
}

/// A workflow and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Workflow {
    /// Its row.
    pub id: WorkflowId,
    /// Its name.
    pub name: String,
    /// Progress.
    pub phase: Phase,
    /// Outcome.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Its jobs, in the order of the configuration.
    pub jobs: Vec<Job>,
}

/// `GET /api/v3/jobs/{id}/artifacts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArtifactItem {
    /// Path within the job; fetched at `GET /api/v3/jobs/{id}/artifacts/{path}`.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 of the bytes, in hexadecimal.
    pub blake3: String,
}

/// `GET /api/v3/jobs/{id}/tests`.
pub type TestItems = Items<TestResult>;

/// One event of `GET /api/v3/pipelines/{id}/stream`, the live view of a pipeline as server-sent
/// events with the JSON of this type as data.
///
/// The stream begins with the whole state and says after that what changed; it ends after
/// [`StreamEvent::End`]. A reader that comes back asks anew and skips the output it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StreamEvent {
    /// A job is as said here (without its steps).
    Job {
        /// Its workflow.
        workflow: WorkflowId,
        /// The job.
        job: Job,
    },
    /// A step is as said here. Follows all of the step's output when it has ended.
    Step {
        /// Its job.
        job: JobId,
        /// The step.
        step: StepState,
    },
    /// Output of a step.
    Output {
        /// Its job.
        job: JobId,
        /// The task, as in [`StepState::task`].
        #[serde(default, skip_serializing_if = "is_zero")]
        task: u32,
        /// Number of the step.
        step: u32,
        /// Offset of its first byte.
        offset: u64,
        /// The bytes, in base64.
        data: String,
    },
    /// Everything has ended.
    End {
        /// The pipeline, with its jobs.
        pipeline: Pipeline,
    },
}
