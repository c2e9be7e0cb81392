//! Pipelines, their workflows, and the live view of them.

use serde::{Deserialize, Serialize};

use super::Items;
use super::jobs::{Job, StepState, is_one, is_zero, one};
use crate::ids::{JobId, PipelineId, WorkflowId};
use crate::names::named;
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
    /// The one who submitted it, as that one says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The one who canceled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canceled_by: Option<String>,
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
    /// Id of its trace, as OpenTelemetry's collectors have it; none where the server makes no traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl Pipeline {
    /// The last run of each of its workflows: those that say how the pipeline stands.
    pub fn current_workflows(&self) -> impl Iterator<Item = &Workflow> {
        let is_current = |workflow: &&Workflow| {
            let of_same = self.workflows.iter().filter(|other| other.first() == workflow.first());
            of_same.map(|other| other.run).max() == Some(workflow.run)
        };
        self.workflows.iter().filter(is_current)
    }
}

/// A workflow and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Workflow {
    /// Its row.
    pub id: WorkflowId,
    /// Its pipeline. Left out within that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineId>,
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
    /// The run that this one repeats; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<Rerun>,
    /// Its jobs, in the order of the configuration.
    pub jobs: Vec<Job>,
}

impl Workflow {
    /// The first run of the workflow.
    #[must_use]
    pub fn first(&self) -> &WorkflowId {
        self.rerun.as_ref().map_or(&self.id, |rerun| &rerun.first)
    }
}

/// Origin of a further run of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rerun {
    /// The run that it repeats.
    pub of: WorkflowId,
    /// The first run.
    pub first: WorkflowId,
    /// Which jobs run again.
    pub kind: RerunKind,
    /// The one who asked for it; none where a setup that runs again goes on with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Time at which it was asked for, in milliseconds since 1970.
    pub created_ms: u64,
}

/// Which jobs of a workflow run again; the others are kept as they ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RerunKind {
    /// All.
    FromStart,
    /// Those that did not succeed, and what follows them.
    FromFailed,
    /// As `from_failed`; `circleci tests run` runs only the tests that failed.
    FailedTests,
    /// One job, and what follows it.
    Job,
}

named!(
    RerunKind:
    FromStart = "from_start",
    FromFailed = "from_failed",
    FailedTests = "failed_tests",
    Job = "job",
);

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
