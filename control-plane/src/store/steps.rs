//! Table `steps`.

use russet_protocol::admin::StepState;
use russet_protocol::ids::{JobId, PipelineId, TaskId};
use russet_protocol::outcome::Outcome;

use super::rows::{count_column, count_maybe, int_value, parse_maybe};
use super::sql::{Row, query};
use super::{Conn, Held, StoreError, WriteTx};
use crate::text::{MESSAGE_LIMIT, NAME_LIMIT, cut_text};

/// A step and where it belongs.
#[derive(Clone, Debug)]
pub(crate) struct StepRow {
    /// Its key, rising in the order in which steps were first heard of.
    pub(crate) key: i64,
    pub(crate) job: JobId,
    pub(crate) step: StepState,
    /// Final length of its output, once that is known. The bytes may come later.
    pub(crate) final_bytes: Option<u64>,
    pub(crate) rev: i64,
}

impl StepRow {
    /// Returns true if it has ended and all of its output is here: nothing will follow.
    pub(crate) fn is_complete(&self) -> bool {
        self.step.outcome.is_some()
            && self.final_bytes.is_none_or(|bytes| self.step.output_bytes >= bytes)
    }
}

fn step_row(row: &Row) -> Result<StepRow, StoreError> {
    Ok(StepRow {
        key: row.try_get("position")?,
        job: row.try_get::<String>("job")?.into(),
        step: StepState {
            number: row.try_get("number")?,
            task: row.try_get("ordinal")?,
            name: row.try_get("name")?,
            background: row.try_get("background")?,
            outcome: parse_maybe(row, "outcome")?,
            exit_code: row.try_get("exit_code")?,
            message: row.try_get("message")?,
            started_ms: count_column(row, "started_ms")?,
            ended_ms: count_maybe(row, "ended_ms")?,
            output_bytes: count_column(row, "output_bytes")?,
        },
        final_bytes: count_maybe(row, "final_bytes")?,
        rev: row.try_get("rev")?,
    })
}

/// A step of a task.
pub(crate) async fn get(
    conn: &mut Conn,
    task: &TaskId,
    number: u32,
) -> Result<Option<StepRow>, StoreError> {
    let row = query("SELECT * FROM steps WHERE task = $1 AND number = $2")
        .bind(task.as_str())
        .bind(number)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(step_row).transpose()
}

/// The steps of a job in the order in which they were first heard of.
pub(crate) async fn of_job(conn: &mut Conn, job: &JobId) -> Result<Vec<StepRow>, StoreError> {
    let rows = query(
        "SELECT * FROM steps WHERE job = (SELECT coalesce(kept_from, id) FROM jobs WHERE id = $1) \
         ORDER BY position",
    )
    .bind(job.as_str())
    .fetch_all(conn)
    .await?;
    rows.iter().map(step_row).collect()
}

/// The steps of a task.
pub(crate) async fn of_task(conn: &mut Conn, task: &TaskId) -> Result<Vec<StepRow>, StoreError> {
    let rows = query("SELECT * FROM steps WHERE task = $1 ORDER BY position")
        .bind(task.as_str())
        .fetch_all(conn)
        .await?;
    rows.iter().map(step_row).collect()
}

/// The steps of a pipeline that were changed after commit `rev`.
pub(crate) async fn changed_since(
    conn: &mut Conn,
    pipeline: &PipelineId,
    rev: i64,
) -> Result<Vec<StepRow>, StoreError> {
    let rows = query("SELECT * FROM steps WHERE pipeline = $1 AND rev > $2 ORDER BY position")
        .bind(pipeline.as_str())
        .bind(rev)
        .fetch_all(conn)
        .await?;
    rows.iter().map(step_row).collect()
}

/// Facts about a step at its start.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) number: u32,
    pub(crate) name: &'a str,
    pub(crate) background: bool,
    pub(crate) detail: Option<&'a str>,
    pub(crate) at_ms: u64,
}

/// Notes that a step began; output of it may have come before.
pub(crate) async fn start(
    tx: &mut WriteTx,
    held: &Held,
    start: &Start<'_>,
) -> Result<StepRow, StoreError> {
    let row = query(
        "INSERT INTO steps (task, job, pipeline, ordinal, number, name, background, detail, \
         started_ms, output_bytes, rev) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10) \
         ON CONFLICT (task, number) DO UPDATE SET name = excluded.name, \
         background = excluded.background, detail = excluded.detail, \
         started_ms = excluded.started_ms, rev = excluded.rev RETURNING *",
    )
    .bind(held.task.as_str())
    .bind(held.job.as_str())
    .bind(held.pipeline.as_str())
    .bind(held.ordinal)
    .bind(start.number)
    .bind(cut_text(start.name, NAME_LIMIT))
    .bind(start.background)
    .bind(start.detail.map(|text| cut_text(text, MESSAGE_LIMIT)))
    .bind(int_value(start.at_ms))
    .bind(tx.rev())
    .fetch_one(tx)
    .await?;
    step_row(&row)
}

/// Facts about a step at its end.
#[derive(Debug)]
pub(crate) struct End<'a> {
    pub(crate) number: u32,
    pub(crate) outcome: Outcome,
    pub(crate) exit_code: Option<i32>,
    pub(crate) message: Option<&'a str>,
    pub(crate) at_ms: u64,
    /// Final length of its output.
    pub(crate) output_bytes: u64,
}

/// Notes how a step ended. Answers whether there is such a step.
pub(crate) async fn end(
    tx: &mut WriteTx,
    task: &TaskId,
    end: &End<'_>,
) -> Result<bool, StoreError> {
    let done = query(
        "UPDATE steps SET outcome = $1, exit_code = $2, message = $3, ended_ms = $4, \
         final_bytes = $5, rev = $6 WHERE task = $7 AND number = $8",
    )
    .bind(end.outcome.as_str())
    .bind(end.exit_code)
    .bind(end.message.map(|text| cut_text(text, MESSAGE_LIMIT)))
    .bind(int_value(end.at_ms))
    .bind(int_value(end.output_bytes))
    .bind(tx.rev())
    .bind(task.as_str())
    .bind(end.number)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends every step of a task that has not ended: nobody will say how. What has not come of the
/// output will not come any more.
pub(crate) async fn end_open(
    tx: &mut WriteTx,
    task: &TaskId,
    outcome: Outcome,
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "UPDATE steps SET outcome = $1, \
         ended_ms = CASE WHEN started_ms > $2 THEN started_ms ELSE $2 END, rev = $3 \
         WHERE task = $4 AND outcome IS NULL",
    )
    .bind(outcome.as_str())
    .bind(now_ms)
    .bind(tx.rev())
    .bind(task.as_str())
    .execute(tx)
    .await?;
    query(
        "UPDATE steps SET final_bytes = output_bytes, rev = $1 \
         WHERE task = $2 AND final_bytes > output_bytes",
    )
    .bind(tx.rev())
    .bind(task.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets the steps of a task that is put back, with their output. Answers the objects that held
/// some of it.
pub(crate) async fn forget(tx: &mut WriteTx, task: &TaskId) -> Result<Vec<String>, StoreError> {
    let objects = super::output::objects_of_task(tx, task.as_str()).await?;
    for statement in [
        "DELETE FROM output WHERE step IN (SELECT position FROM steps WHERE task = $1)",
        "DELETE FROM steps WHERE task = $1",
    ] {
        query(statement).bind(task.as_str()).execute(tx).await?;
    }
    Ok(objects)
}
