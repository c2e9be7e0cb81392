//! Jobs and their steps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::JobId;
use crate::machine::Waiting;
use crate::outcome::{Outcome, Phase};
use crate::resource_class::ResourceClass;
use crate::ssh::SshNeed;

/// A job and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Its row.
    pub id: JobId,
    /// `CIRCLE_BUILD_NUM`.
    pub number: u64,
    /// Its name in the workflow.
    pub name: String,
    /// Names of the jobs that it waits for.
    #[serde(default)]
    pub requires: Vec<String>,
    /// The class it waits in; none: no runner is needed, as for an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_class: Option<ResourceClass>,
    /// Number of tasks that share it.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub parallelism: u32,
    /// Xcode that it names; none: any machine of the class will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xcode: Option<String>,
    /// Set if its tasks are held for a person, who reaches them by SSH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshNeed>,
    /// Progress.
    pub phase: Phase,
    /// Outcome.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Reason of the outcome, where the steps do not give it, or why the job waits.
    #[serde(default)]
    pub message: Option<String>,
    /// Reason why it waits for a runner, where it is queued and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The one who approved, denied or canceled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// The job of an earlier run of the workflow that this one stands for: it did not run again,
    /// and its output, artifacts and test results are those of that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_from: Option<JobId>,
    /// The job of an earlier run whose failed tests `circleci tests run` is to run, alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_tests_of: Option<JobId>,
    /// Time of queueing, in milliseconds since 1970.
    #[serde(default)]
    pub queued_ms: Option<u64>,
    /// Time of the claim.
    #[serde(default)]
    pub started_ms: Option<u64>,
    /// Time of the end.
    #[serde(default)]
    pub ended_ms: Option<u64>,
    /// The runner that has it.
    #[serde(default)]
    pub runner: Option<String>,
    /// Its steps, as far as they began. Left out of lists.
    #[serde(default)]
    pub steps: Vec<StepState>,
    /// Number of test results by outcome (`success`, `failure`, …).
    #[serde(default)]
    pub tests: BTreeMap<String, u64>,
    /// Number of artifacts.
    #[serde(default)]
    pub artifacts: u64,
}

pub(super) fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
pub(super) fn is_one(number: &u32) -> bool {
    *number == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
pub(super) fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A step and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepState {
    /// Its number.
    pub number: u32,
    /// The task that runs it, by its number within the job, from 0. Modulo the job's parallelism
    /// this is `CIRCLE_NODE_INDEX`; tasks of a job that is run again go on counting.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub task: u32,
    /// Its heading.
    pub name: String,
    /// Set if the job goes on while it runs.
    #[serde(default)]
    pub background: bool,
    /// Outcome; `None` while it runs.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Exit status.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Reason, where the exit status does not give it.
    #[serde(default)]
    pub message: Option<String>,
    /// Start, in milliseconds since 1970.
    pub started_ms: u64,
    /// End.
    #[serde(default)]
    pub ended_ms: Option<u64>,
    /// Bytes of output that are stored.
    pub output_bytes: u64,
}
