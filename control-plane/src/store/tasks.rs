//! Table `tasks`: the queue, and who holds what until when.

use russet_protocol::ids::{AllocationId, JobId, PipelineId, TaskId};
use russet_protocol::outcome::Outcome;
use russet_protocol::resource_class::ResourceClass;

use super::claimed::Claim;
use super::rows::{count_column, int_value, parse};
use super::sql::{Lock, Row, query};
use super::{Conn, Held, StoreError, WriteTx};
use crate::trace_events::Ended;

/// The tasks of one run of a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewTasks<'a> {
    pub(crate) job: &'a JobId,
    pub(crate) pipeline: &'a PipelineId,
    pub(crate) class: &'a ResourceClass,
    pub(crate) parallelism: u32,
    /// Which run of the job, from 0.
    pub(crate) run: u32,
    /// Time at which they stand in line, in milliseconds since 1970.
    pub(crate) now_ms: i64,
}

/// Puts the tasks of a job at the end of the line.
pub(crate) async fn enqueue_new(tx: &mut WriteTx, new: NewTasks<'_>) -> Result<(), StoreError> {
    let row = query(
        "SELECT coalesce(max(ordinal) + 1, 0) AS n, (SELECT xcode FROM jobs WHERE id = $1) AS xcode, \
         (SELECT ssh FROM jobs WHERE id = $1) AS ssh FROM tasks WHERE job = $1",
    )
    .bind(new.job.as_str())
    .fetch_one(tx)
    .await?;
    let xcode: Option<String> = row.try_get("xcode")?;
    let ssh = row.try_get::<Option<i64>>("ssh")?.unwrap_or_default();
    // The next ordinal whose index among the tasks of a run is 0.
    let first = row.try_get::<u32>("n")?.next_multiple_of(new.parallelism.max(1));
    for index in 0..new.parallelism {
        let place = tx.next_in_line().await?;
        query(
            "INSERT INTO tasks (id, job, pipeline, class, run, ordinal, phase, queue, xcode, queued_ms, ssh) \
             VALUES ($1, $2, $3, $4, $5, $6, 'queued', $7, $8, $9, $10)",
        )
        .bind(TaskId::generate().as_str())
        .bind(new.job.as_str())
        .bind(new.pipeline.as_str())
        .bind(new.class.as_str())
        .bind(new.run)
        .bind(first + index)
        .bind(place)
        .bind(&xcode)
        .bind(new.now_ms)
        .bind(ssh)
        .execute(tx)
        .await?;
    }
    wake(tx, new.class.as_str(), xcode.is_some() || ssh > 0, new.parallelism);
    Ok(())
}

/// Wakes a waiting claim for each task, as any of them may have it; all, where the tasks are for some
/// runners alone: they name an Xcode, or are reached by SSH.
fn wake(tx: &mut WriteTx, class: &str, is_for_some: bool, tasks: u32) {
    if is_for_some {
        tx.wake_class(class);
    } else {
        tx.wake_line(class, tasks);
    }
}

/// Gives a task of a job of several another number, under which nobody has seen anything of it.
/// Its index stays the same.
pub(crate) async fn renumber(tx: &mut WriteTx, held: &Held) -> Result<(), StoreError> {
    query(
        "UPDATE tasks SET ordinal = ordinal + $1 * (1 + ((SELECT max(ordinal) FROM tasks \
         WHERE job = $2) - ordinal) / $1) WHERE id = $3",
    )
    .bind(held.parallelism)
    .bind(held.job.as_str())
    .bind(held.task.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Puts a task that was held back to where it stood in the line.
pub(crate) async fn requeue(
    tx: &mut WriteTx,
    task: &TaskId,
    class: &str,
    unclaims: u32,
) -> Result<(), StoreError> {
    let row = query(
        "UPDATE tasks SET phase = 'queued', allocation = NULL, granted = NULL, expires = NULL, \
         last_seq = 0, unclaims = $1 WHERE id = $2 RETURNING xcode, ssh",
    )
    .bind(unclaims)
    .bind(task.as_str())
    .fetch_one(tx)
    .await?;
    let xcode: Option<String> = row.try_get("xcode")?;
    wake(tx, class, xcode.is_some() || row.try_get::<i64>("ssh")? > 0, 1);
    tx.wake_task(task.as_str());
    tx.tally().requeued();
    Ok(())
}

/// Gives a task to a runner.
pub(super) async fn grant(
    tx: &mut WriteTx,
    task: &TaskId,
    allocation: &AllocationId,
    claim: &Claim<'_>,
) -> Result<(), StoreError> {
    query(
        "UPDATE tasks SET phase = 'running', allocation = $1, granted = $2, expires = $3, \
         step_started = 0, last_seq = 0 WHERE id = $4",
    )
    .bind(allocation.as_str())
    .bind(claim.granted)
    .bind(claim.expires)
    .bind(task.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Moves the moment at which a lease lapses.
pub(crate) async fn set_expires(
    tx: &mut WriteTx,
    task: &TaskId,
    expires: i64,
) -> Result<(), StoreError> {
    query("UPDATE tasks SET expires = $1 WHERE id = $2")
        .bind(expires)
        .bind(task.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Notes that a step has started, and until when the lease lasts since it did.
pub(crate) async fn set_step_started(
    tx: &mut WriteTx,
    task: &TaskId,
    expires: i64,
) -> Result<(), StoreError> {
    query("UPDATE tasks SET step_started = 1, expires = $1 WHERE id = $2")
        .bind(expires)
        .bind(task.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Notes up to which event everything is stored.
pub(crate) async fn set_last_seq(
    tx: &mut WriteTx,
    task: &TaskId,
    last_seq: u64,
) -> Result<(), StoreError> {
    query("UPDATE tasks SET last_seq = $1 WHERE id = $2")
        .bind(int_value(last_seq))
        .bind(task.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Notes that a task is to be canceled by the one who holds it.
pub(crate) async fn set_cancel(
    tx: &mut WriteTx,
    task: &TaskId,
    reason: &str,
) -> Result<(), StoreError> {
    query("UPDATE tasks SET cancel = coalesce(cancel, $1) WHERE id = $2")
        .bind(reason)
        .bind(task.as_str())
        .execute(tx)
        .await?;
    tx.wake_task(task.as_str());
    Ok(())
}

/// Notes how a task ended.
pub(crate) async fn set_ended(
    tx: &mut WriteTx,
    task: &TaskId,
    outcome: Outcome,
    message: Option<&str>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let row = query(
        "UPDATE tasks SET phase = 'ended', outcome = $1, message = $2, expires = NULL, \
         ended_ms = $3 WHERE id = $4 RETURNING class",
    )
    .bind(outcome.as_str())
    .bind(message)
    .bind(now_ms)
    .bind(task.as_str())
    .fetch_one(tx)
    .await?;
    let class: String = row.try_get("class")?;
    tx.tally().ended(&class, outcome);
    tx.note_ended(|| Ended::Task(task.clone()));
    tx.wake_task(task.as_str());
    Ok(())
}

/// The tasks of a job that have not ended yet, and whether a runner holds each. That stays so until
/// the end of this transaction.
pub(crate) async fn open_of_job(
    tx: &mut WriteTx,
    job: &JobId,
) -> Result<Vec<(TaskId, bool)>, StoreError> {
    let rows = query(
        "SELECT id, phase = 'running' AS held FROM tasks WHERE job = $1 AND phase != 'ended' \
         ORDER BY ordinal",
    )
    .bind(job.as_str())
    .lock(Lock::Of("tasks"))
    .fetch_all(tx)
    .await?;
    let open = |row: &Row| Ok((row.try_get::<String>("id")?.into(), row.try_get("held")?));
    rows.iter().map(open).collect()
}

/// Returns outcomes and reasons of the tasks of a job's last run.
pub(crate) async fn ends_of_run(
    conn: &mut Conn,
    job: &JobId,
) -> Result<Vec<(Outcome, Option<String>)>, StoreError> {
    let rows = query(
        "SELECT outcome, message FROM tasks WHERE job = $1 AND phase = 'ended' \
         AND run = (SELECT reruns FROM jobs WHERE id = $1) ORDER BY ordinal",
    )
    .bind(job.as_str())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((parse(row, "outcome")?, row.try_get("message")?))).collect()
}

/// Returns the number of tasks of a class that are queued and running.
pub(crate) async fn counts(
    conn: &mut Conn,
    class: &ResourceClass,
) -> Result<(u64, u64), StoreError> {
    let row = query(
        "SELECT (SELECT count(*) FROM tasks WHERE class = $1 AND phase = 'queued') AS queued, \
         (SELECT count(*) FROM tasks WHERE class = $1 AND phase = 'running') AS running",
    )
    .bind(class.as_str())
    .fetch_one(conn)
    .await?;
    Ok((count_column(&row, "queued")?, count_column(&row, "running")?))
}

/// Returns the time at which the next lease lapses, by the clock of leases.
pub(crate) async fn next_expiry(conn: &mut Conn) -> Result<Option<i64>, StoreError> {
    // In the order of an index and not as a minimum: for that PostgreSQL goes through all of them.
    let row = query(
        "SELECT expires AS next FROM tasks WHERE phase = 'running' AND expires IS NOT NULL \
         ORDER BY expires LIMIT 1",
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok(row.try_get("next")?)).transpose()
}

/// The tasks whose leases have lapsed by `now_ms`, `limit` of them at most, each with its pipeline.
pub(crate) async fn lapsed_tasks(
    conn: &mut Conn,
    now_ms: i64,
    limit: u32,
) -> Result<Vec<(TaskId, PipelineId)>, StoreError> {
    let rows = query(
        "SELECT id, pipeline FROM tasks WHERE phase = 'running' AND expires <= $1 \
         ORDER BY expires LIMIT $2",
    )
    .bind(now_ms)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    let pair = |row: &Row| {
        let (task, pipeline): (String, String) = (row.try_get("id")?, row.try_get("pipeline")?);
        Ok((task.into(), pipeline.into()))
    };
    rows.iter().map(pair).collect()
}

/// Lets all leases lapse later by a time, in milliseconds, in which nobody could renew them.
pub(crate) async fn prolong_leases(tx: &mut WriteTx, by_ms: i64) -> Result<u64, StoreError> {
    let done = query(
        "UPDATE tasks SET granted = granted + $1, expires = expires + $1 WHERE phase = 'running'",
    )
    .bind(by_ms)
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Claims of running tasks: which task, by which claim, and whether it is to be canceled.
pub(crate) async fn running_claims(
    conn: &mut Conn,
) -> Result<Vec<(String, Option<String>, bool)>, StoreError> {
    let rows = query(
        "SELECT id, allocation, cancel IS NOT NULL AS canceled FROM tasks WHERE phase = 'running'",
    )
    .fetch_all(conn)
    .await?;
    let claim =
        |row: &Row| Ok((row.try_get("id")?, row.try_get("allocation")?, row.try_get("canceled")?));
    rows.iter().map(claim).collect()
}

/// Starts all leases anew: they go by the clock of a server that was away.
pub(crate) async fn restart_leases(
    tx: &mut WriteTx,
    granted: i64,
    before_steps: i64,
    in_steps: i64,
) -> Result<u64, StoreError> {
    let done = query(
        "UPDATE tasks SET granted = $1, expires = CASE step_started WHEN 0 \
         THEN CAST($2 AS BIGINT) ELSE CAST($3 AS BIGINT) END \
         WHERE phase = 'running'",
    )
    .bind(granted)
    .bind(before_steps)
    .bind(in_steps)
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// The tasks that are held.
pub(crate) async fn running_tasks(conn: &mut Conn) -> Result<Vec<TaskId>, StoreError> {
    let rows = query("SELECT id FROM tasks WHERE phase = 'running'").fetch_all(conn).await?;
    rows.iter().map(|row| Ok(row.try_get::<String>("id")?.into())).collect()
}
