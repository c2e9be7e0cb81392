//! Table `allocations`: what a task token gives access to.

use russet_protocol::ids::{AllocationId, JobId, PipelineId, TaskId};
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::resource_class::ResourceClass;

use super::claimed::{Claim, Claimed, claimed_from_row};
use super::rows::{count_column, parse, parse_maybe};
use super::sql::{Lock, Row, query};
use super::{Conn, StoreError, WriteTx};
use crate::credentials::TokenHash;

/// A task as the holder of a token of it meets it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) task: TaskId,
    pub(crate) job: JobId,
    pub(crate) pipeline: PipelineId,
    pub(crate) class: String,
    /// The runner that made the claim, where the look-up was by its token.
    pub(crate) runner: Option<String>,
    pub(crate) phase: Phase,
    pub(crate) outcome: Option<Outcome>,
    /// The claim that the token was made for.
    pub(crate) allocation: AllocationId,
    /// The claim that counts; another one where the task was taken back and claimed anew.
    pub(crate) current: Option<AllocationId>,
    /// Time at which the claim that counts was made, by the clock of leases.
    pub(crate) granted: Option<i64>,
    /// Time at which its lease lapses, by the clock of leases.
    pub(crate) expires: Option<i64>,
    pub(crate) step_started: bool,
    pub(crate) unclaims: u32,
    /// Reason why it is to be canceled, where it is.
    pub(crate) cancel: Option<String>,
    pub(crate) last_seq: u64,
    /// Its number among all tasks of its job.
    pub(crate) ordinal: u32,
    /// Number of tasks of a run of its job.
    pub(crate) parallelism: u32,
}

impl Held {
    /// Which of the tasks of a run of its job it is, from 0.
    pub(crate) fn node_index(&self) -> u32 {
        self.ordinal.checked_rem(self.parallelism).unwrap_or_default()
    }
}

fn held_from_row(row: &Row) -> Result<Held, StoreError> {
    Ok(Held {
        task: row.try_get::<String>("id")?.into(),
        job: row.try_get::<String>("job")?.into(),
        pipeline: row.try_get::<String>("pipeline")?.into(),
        class: row.try_get("class")?,
        runner: row.try_get("runner")?,
        phase: parse(row, "phase")?,
        outcome: parse_maybe(row, "outcome")?,
        allocation: row.try_get::<String>("mine")?.into(),
        current: row.try_get::<Option<String>>("allocation")?.map(Into::into),
        granted: row.try_get("granted")?,
        expires: row.try_get("expires")?,
        step_started: row.try_get("step_started")?,
        unclaims: row.try_get("unclaims")?,
        cancel: row.try_get("cancel")?,
        last_seq: count_column(row, "last_seq")?,
        ordinal: row.try_get("ordinal")?,
        parallelism: row.try_get("parallelism")?,
    })
}

/// Returns the allocation of a task token; `None` for a token that never was.
pub(crate) async fn by_token(
    conn: &mut Conn,
    hash: &TokenHash,
) -> Result<Option<Held>, StoreError> {
    let row = query(
        "SELECT tasks.*, jobs.parallelism, allocations.id AS mine, allocations.runner FROM allocations \
         JOIN tasks ON tasks.id = allocations.task JOIN jobs ON jobs.id = tasks.job WHERE allocations.hash = $1",
    )
    .bind(hash.as_bytes())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(held_from_row).transpose()
}

/// The claim that was given a key to say what its pipeline goes on with.
pub(crate) async fn by_continuation(
    conn: &mut Conn,
    hash: &TokenHash,
) -> Result<Option<Held>, StoreError> {
    let row = query(
        "SELECT tasks.*, jobs.parallelism, allocations.id AS mine, allocations.runner FROM allocations \
         JOIN tasks ON tasks.id = allocations.task JOIN jobs ON jobs.id = tasks.job \
         WHERE allocations.continuation = $1",
    )
    .bind(hash.as_bytes())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(held_from_row).transpose()
}

/// Returns the allocation that counts, for the server's own decisions about tasks that
/// are queued or held. `None` where a task was never claimed.
pub(crate) async fn current_allocation(
    conn: &mut Conn,
    task: &TaskId,
) -> Result<Option<Held>, StoreError> {
    let row = query(
        "SELECT tasks.*, jobs.parallelism, tasks.allocation AS mine, NULL AS runner FROM tasks \
         JOIN jobs ON jobs.id = tasks.job WHERE tasks.id = $1 AND allocation IS NOT NULL",
    )
    .bind(task.as_str())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(held_from_row).transpose()
}

/// Returns true where there is a claim of this id.
pub(crate) async fn exists(conn: &mut Conn, id: &AllocationId) -> Result<bool, StoreError> {
    let row = query("SELECT 1 AS one FROM allocations WHERE id = $1").bind(id.as_str());
    Ok(row.fetch_optional(conn).await?.is_some())
}

/// Returns the task of a claim of a runner that counts and of which nothing was heard: its answer
/// may have been lost. Nobody else changes the task until the end of this transaction.
pub(crate) async fn unheard_task(
    tx: &mut WriteTx,
    id: &AllocationId,
    class: &ResourceClass,
    runner: &str,
) -> Result<Option<Claimed>, StoreError> {
    let row = query(
        "SELECT tasks.id, tasks.job, jobs.name AS job_name, jobs.workflow, tasks.pipeline, \
         tasks.ordinal, tasks.queued_ms, jobs.parallelism, pipelines.project, pipelines.branch, pipelines.tag, pipelines.from_fork, \
         pipelines.reports \
         FROM allocations JOIN tasks ON tasks.id = allocations.task AND tasks.allocation = allocations.id \
         JOIN jobs ON jobs.id = tasks.job JOIN pipelines ON pipelines.id = tasks.pipeline \
         WHERE allocations.id = $1 AND allocations.runner = $2 AND tasks.class = $3 \
         AND tasks.phase = 'running' AND tasks.step_started = 0 AND tasks.last_seq = 0",
    )
    .bind(id.as_str())
    .bind(runner)
    .bind(class.as_str())
    .lock(Lock::Of("tasks"))
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(claimed_from_row).transpose()
}

/// Lets another token count for a claim: the one before was in an answer that was lost.
pub(crate) async fn set_token(
    tx: &mut WriteTx,
    id: &AllocationId,
    hash: &TokenHash,
) -> Result<(), StoreError> {
    query("UPDATE allocations SET hash = $1 WHERE id = $2")
        .bind(hash.as_bytes())
        .bind(id.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns the name of the runner that made a claim.
pub(crate) async fn runner(conn: &mut Conn, id: &AllocationId) -> Result<String, StoreError> {
    let row = query("SELECT runner FROM allocations WHERE id = $1")
        .bind(id.as_str())
        .fetch_one(conn)
        .await?;
    Ok(row.try_get("runner")?)
}

/// Adds a claim.
pub(super) async fn insert(
    tx: &mut WriteTx,
    id: &AllocationId,
    task: &TaskId,
    claim: &Claim<'_>,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO allocations (id, task, hash, runner, created_ms) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id.as_str())
    .bind(task.as_str())
    .bind(claim.hash.as_bytes())
    .bind(claim.runner)
    .bind(claim.now_ms)
    .execute(tx)
    .await?;
    Ok(())
}
