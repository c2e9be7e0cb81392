//! Table `tasks`: the queue, and who holds what until when.

use russet_protocol::ids::{AllocationId, JobId, PipelineId, TaskId, WorkflowId};
use russet_protocol::outcome::Outcome;
use russet_protocol::resource_class::ResourceClass;
use sqlx::Row;

use super::rows::{count, int};
use super::{Conn, StoreError, WriteTx, allocations};
use crate::credentials::TokenHash;

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
}

/// Puts the one task of a job at the end of the line.
pub(crate) async fn enqueue_new(
    tx: &mut WriteTx,
    job: &JobId,
    pipeline: &PipelineId,
    class: &ResourceClass,
) -> Result<(), StoreError> {
    let place = tx.next_in_line();
    sqlx::query(
        "INSERT INTO tasks (id, job, pipeline, class, phase, queue) VALUES (?, ?, ?, ?, 'queued', ?)",
    )
    .bind(TaskId::generate().as_str())
    .bind(job.as_str())
    .bind(pipeline.as_str())
    .bind(class.as_str())
    .bind(place)
    .execute(&mut **tx)
    .await?;
    tx.wake_class(class.as_str());
    Ok(())
}

/// Puts a task that was held back to where it stood in the line.
pub(crate) async fn requeue(
    tx: &mut WriteTx,
    task: &TaskId,
    class: &str,
    unclaims: u32,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE tasks SET phase = 'queued', allocation = NULL, granted = NULL, expires = NULL, \
         last_seq = 0, unclaims = ? WHERE id = ?",
    )
    .bind(unclaims)
    .bind(task.as_str())
    .execute(&mut **tx)
    .await?;
    tx.wake_class(class);
    tx.wake_task(task.as_str());
    Ok(())
}

/// The task that stands first in the line of a class.
pub(crate) async fn first_in_line(
    conn: &mut Conn,
    class: &ResourceClass,
) -> Result<Option<Claimed>, StoreError> {
    let row = sqlx::query(
        "SELECT tasks.id, tasks.job, jobs.name AS job_name, jobs.workflow, tasks.pipeline, \
         pipelines.project, pipelines.branch, pipelines.tag, pipelines.from_fork \
         FROM tasks JOIN jobs ON jobs.id = tasks.job JOIN pipelines ON pipelines.id = tasks.pipeline \
         WHERE tasks.class = ? AND tasks.phase = 'queued' ORDER BY tasks.queue LIMIT 1",
    )
    .bind(class.as_str())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Claimed {
        task: row.try_get::<String, _>("id")?.into(),
        job: row.try_get::<String, _>("job")?.into(),
        job_name: row.try_get("job_name")?,
        workflow: row.try_get::<String, _>("workflow")?.into(),
        pipeline: row.try_get::<String, _>("pipeline")?.into(),
        project: row.try_get("project")?,
        branch: row.try_get("branch")?,
        tag: row.try_get("tag")?,
        from_fork: row.try_get("from_fork")?,
    }))
}

/// A claim to note.
#[derive(Debug)]
pub(crate) struct Grant<'a> {
    pub(crate) allocation: &'a AllocationId,
    pub(crate) hash: &'a TokenHash,
    pub(crate) runner: &'a str,
    /// By the steady clock.
    pub(crate) granted: i64,
    /// By the steady clock.
    pub(crate) expires: i64,
    pub(crate) now_ms: i64,
}

/// Gives a task to a runner.
pub(crate) async fn grant(
    tx: &mut WriteTx,
    task: &TaskId,
    grant: &Grant<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE tasks SET phase = 'running', allocation = ?, granted = ?, expires = ?, \
         step_started = 0, last_seq = 0 WHERE id = ?",
    )
    .bind(grant.allocation.as_str())
    .bind(grant.granted)
    .bind(grant.expires)
    .bind(task.as_str())
    .execute(&mut **tx)
    .await?;
    allocations::insert(tx, grant.allocation, task, grant.hash, grant.runner, grant.now_ms).await?;
    tx.wake_leases();
    Ok(())
}

/// Moves the moment at which a lease lapses.
pub(crate) async fn set_expires(
    tx: &mut WriteTx,
    task: &TaskId,
    expires: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE tasks SET expires = ? WHERE id = ?")
        .bind(expires)
        .bind(task.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes that a step has started, and until when the lease lasts since it did.
pub(crate) async fn set_step_started(
    tx: &mut WriteTx,
    task: &TaskId,
    expires: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE tasks SET step_started = 1, expires = ? WHERE id = ?")
        .bind(expires)
        .bind(task.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes up to which event everything is stored.
pub(crate) async fn set_last_seq(
    tx: &mut WriteTx,
    task: &TaskId,
    last_seq: u64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE tasks SET last_seq = ? WHERE id = ?")
        .bind(int(last_seq))
        .bind(task.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes that a task is to be canceled by the one who holds it.
pub(crate) async fn set_cancel(
    tx: &mut WriteTx,
    task: &TaskId,
    reason: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE tasks SET cancel = coalesce(cancel, ?) WHERE id = ?")
        .bind(reason)
        .bind(task.as_str())
        .execute(&mut **tx)
        .await?;
    tx.wake_task(task.as_str());
    Ok(())
}

/// Notes how a task ended.
pub(crate) async fn set_ended(
    tx: &mut WriteTx,
    task: &TaskId,
    outcome: Outcome,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE tasks SET phase = 'ended', outcome = ?, expires = NULL WHERE id = ?")
        .bind(outcome.as_str())
        .bind(task.as_str())
        .execute(&mut **tx)
        .await?;
    tx.wake_task(task.as_str());
    Ok(())
}

/// The task of a job that has not ended yet.
pub(crate) async fn open_of_job(
    conn: &mut Conn,
    job: &JobId,
) -> Result<Option<(TaskId, bool)>, StoreError> {
    let row = sqlx::query(
        "SELECT id, phase = 'running' AS held FROM tasks WHERE job = ? AND phase != 'ended'",
    )
    .bind(job.as_str())
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((row.try_get::<String, _>("id")?.into(), row.try_get("held")?))).transpose()
}

/// How many tasks of a class are queued and running.
pub(crate) async fn counts(
    conn: &mut Conn,
    class: &ResourceClass,
) -> Result<(u64, u64), StoreError> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM tasks WHERE class = ?1 AND phase = 'queued') AS queued, \
         (SELECT count(*) FROM tasks WHERE class = ?1 AND phase = 'running') AS running",
    )
    .bind(class.as_str())
    .fetch_one(conn)
    .await?;
    Ok((count(&row, "queued")?, count(&row, "running")?))
}

/// When the next lease lapses, by the steady clock.
pub(crate) async fn next_expiry(conn: &mut Conn) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query("SELECT min(expires) AS next FROM tasks WHERE phase = 'running'")
        .fetch_one(conn)
        .await?;
    Ok(row.try_get("next")?)
}

/// The tasks whose leases have lapsed.
pub(crate) async fn lapsed(conn: &mut Conn, steady_ms: i64) -> Result<Vec<TaskId>, StoreError> {
    let rows = sqlx::query("SELECT id FROM tasks WHERE phase = 'running' AND expires <= ?")
        .bind(steady_ms)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| Ok(row.try_get::<String, _>("id")?.into())).collect()
}

/// Starts all leases anew: nobody could renew them while the server was away.
pub(crate) async fn restart_leases(
    tx: &mut WriteTx,
    granted: i64,
    before_steps: i64,
    in_steps: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "UPDATE tasks SET granted = ?, expires = CASE step_started WHEN 0 THEN ? ELSE ? END \
         WHERE phase = 'running'",
    )
    .bind(granted)
    .bind(before_steps)
    .bind(in_steps)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// The tasks that are held.
pub(crate) async fn running(conn: &mut Conn) -> Result<Vec<TaskId>, StoreError> {
    let rows = sqlx::query("SELECT id FROM tasks WHERE phase = 'running'").fetch_all(conn).await?;
    rows.iter().map(|row| Ok(row.try_get::<String, _>("id")?.into())).collect()
}
