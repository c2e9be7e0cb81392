//! Claim of a task, and the task as it is handed out, read from the tables of tasks, jobs and pipelines
//! together.

use russet_protocol::ids::{AllocationId, JobId, PipelineId, TaskId, WorkflowId};
use russet_protocol::resource_class::ResourceClass;

use super::StoreError;
use super::abilities::Abilities;
use super::sql::Row;
use crate::credentials::TokenHash;

/// A claim of a runner.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) class: &'a ResourceClass,
    /// Abilities of the runner.
    pub(crate) abilities: Abilities<'a>,
    /// Id that its agent made for it.
    pub(crate) wanted: Option<&'a AllocationId>,
    /// Of the token for its task.
    pub(crate) hash: &'a TokenHash,
    pub(crate) runner: &'a str,
    /// By the clock of leases.
    pub(crate) granted: i64,
    /// By the clock of leases.
    pub(crate) expires: i64,
    pub(crate) now_ms: i64,
}

/// A task that stands first in line.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) task: TaskId,
    pub(crate) job: JobId,
    pub(crate) job_name: String,
    pub(crate) workflow: WorkflowId,
    pub(crate) pipeline: PipelineId,
    pub(crate) project: String,
    pub(crate) branch: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) from_fork: bool,
    /// Set where states of its pipeline are reported to the repository's host.
    pub(crate) is_reported: bool,
    /// Index among the tasks of its run, from 0.
    pub(crate) node_index: u32,
    pub(crate) node_total: u32,
    /// Time since which it stands in line, in milliseconds since 1970; `None` of one that an older
    /// server put there.
    pub(crate) queued_ms: Option<i64>,
}

/// Reads a task with its job and its pipeline.
pub(super) fn claimed_from_row(row: &Row) -> Result<Claimed, StoreError> {
    let node_total: u32 = row.try_get("parallelism")?;
    let ordinal: u32 = row.try_get("ordinal")?;
    Ok(Claimed {
        task: row.try_get::<String>("id")?.into(),
        job: row.try_get::<String>("job")?.into(),
        job_name: row.try_get("job_name")?,
        workflow: row.try_get::<String>("workflow")?.into(),
        pipeline: row.try_get::<String>("pipeline")?.into(),
        project: row.try_get("project")?,
        branch: row.try_get("branch")?,
        tag: row.try_get("tag")?,
        from_fork: row.try_get("from_fork")?,
        is_reported: row.try_get("reports")?,
        node_index: ordinal.checked_rem(node_total).unwrap_or_default(),
        node_total,
        queued_ms: row.try_get("queued_ms")?,
    })
}
