//! Contents of spans: times, names and ends of a pipeline and its parts, as they are stored.

use russet_protocol::ids::{JobId, PipelineId, TaskId, WorkflowId};
use russet_protocol::outcome::Outcome;

use super::rows::parse_maybe;
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

/// Pipeline, as its trace tells it. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TracedPipeline {
    pub(crate) id: PipelineId,
    pub(crate) project: String,
    pub(crate) number: i64,
    pub(crate) branch: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) revision: Option<String>,
    /// The `traceparent` of the call that submitted it.
    pub(crate) parent: Option<String>,
    /// Begin of the call that submitted it.
    pub(crate) submitted_ms: i64,
    pub(crate) created_ms: i64,
    /// End of the last of its jobs.
    pub(crate) ended_ms: Option<i64>,
}

/// Returns a pipeline.
pub(crate) async fn pipeline(
    conn: &mut Conn,
    id: &PipelineId,
) -> Result<Option<TracedPipeline>, StoreError> {
    let row = query(
        "SELECT id, project, number, branch, tag, revision, trace_parent, created_ms, compile_ms, \
         (SELECT max(ended_ms) FROM jobs WHERE pipeline = pipelines.id) AS ended \
         FROM pipelines WHERE id = $1",
    )
    .bind(id.as_str())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let created_ms: i64 = row.try_get("created_ms")?;
    Ok(Some(TracedPipeline {
        id: row.try_get::<String>("id")?.into(),
        project: row.try_get("project")?,
        number: row.try_get("number")?,
        branch: row.try_get("branch")?,
        tag: row.try_get("tag")?,
        revision: row.try_get("revision")?,
        parent: row.try_get("trace_parent")?,
        submitted_ms: created_ms - row.try_get::<Option<i64>>("compile_ms")?.unwrap_or(0),
        created_ms,
        ended_ms: row.try_get("ended")?,
    }))
}

/// Notes that the span of a pipeline is made. False where it was before: a pipeline has one, also where
/// two servers saw its end, or some of it ran again later.
pub(crate) async fn mark_traced(
    tx: &mut WriteTx,
    id: &PipelineId,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let done = query("UPDATE pipelines SET traced_ms = $1 WHERE id = $2 AND traced_ms IS NULL")
        .bind(now_ms)
        .bind(id.as_str())
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Returns the outcomes of the last runs of a pipeline's workflows, where all have ended.
pub(crate) async fn outcomes(conn: &mut Conn, id: &PipelineId) -> Result<Vec<Outcome>, StoreError> {
    let rows = query("SELECT outcome FROM workflows WHERE pipeline = $1")
        .bind(id.as_str())
        .fetch_all(conn)
        .await?;
    let outcomes = rows.iter().map(|row| parse_maybe(row, "outcome"));
    Ok(outcomes.collect::<Result<Vec<Option<Outcome>>, _>>()?.into_iter().flatten().collect())
}

/// Workflow, as its trace tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TracedWorkflow {
    pub(crate) id: WorkflowId,
    pub(crate) pipeline: PipelineId,
    pub(crate) name: String,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) started_ms: Option<i64>,
    pub(crate) ended_ms: Option<i64>,
}

/// Returns a workflow.
pub(crate) async fn workflow(
    conn: &mut Conn,
    id: &WorkflowId,
) -> Result<Option<TracedWorkflow>, StoreError> {
    let row = query(
        "SELECT id, pipeline, name, outcome, coalesce(rerun_ms, (SELECT min(queued_ms) FROM jobs \
         WHERE workflow = workflows.id AND kept_from IS NULL)) AS started, \
         (SELECT max(ended_ms) FROM jobs WHERE workflow = workflows.id) AS ended \
         FROM workflows WHERE id = $1",
    )
    .bind(id.as_str())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(TracedWorkflow {
        id: row.try_get::<String>("id")?.into(),
        pipeline: row.try_get::<String>("pipeline")?.into(),
        name: row.try_get("name")?,
        outcome: parse_maybe(&row, "outcome")?,
        started_ms: row.try_get("started")?,
        ended_ms: row.try_get("ended")?,
    }))
}

/// Job, as its trace tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TracedJob {
    pub(crate) id: JobId,
    pub(crate) workflow: WorkflowId,
    pub(crate) pipeline: PipelineId,
    pub(crate) name: String,
    pub(crate) number: i64,
    pub(crate) class: String,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) queued_ms: Option<i64>,
    pub(crate) ended_ms: Option<i64>,
}

fn job_from_row(row: &Row) -> Result<TracedJob, StoreError> {
    Ok(TracedJob {
        id: row.try_get::<String>("job")?.into(),
        workflow: row.try_get::<String>("workflow")?.into(),
        pipeline: row.try_get::<String>("pipeline")?.into(),
        name: row.try_get("name")?,
        number: row.try_get("number")?,
        class: row.try_get("class")?,
        outcome: parse_maybe(row, "outcome")?,
        queued_ms: row.try_get("queued_ms")?,
        ended_ms: row.try_get("ended_ms")?,
    })
}

/// Returns a job.
pub(crate) async fn job(conn: &mut Conn, id: &JobId) -> Result<Option<TracedJob>, StoreError> {
    let row = query(
        "SELECT id AS job, workflow, pipeline, name, number, class, outcome, queued_ms, ended_ms \
         FROM jobs WHERE id = $1",
    )
    .bind(id.as_str())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(job_from_row).transpose()
}

/// Task, as its trace tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TracedTask {
    pub(crate) id: TaskId,
    pub(crate) job: JobId,
    pub(crate) pipeline: PipelineId,
    pub(crate) class: String,
    pub(crate) ordinal: i64,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) runner: Option<String>,
    pub(crate) queued_ms: Option<i64>,
    /// Time of the claim that counted; `None` of a task that nobody had.
    pub(crate) claimed_ms: Option<i64>,
    pub(crate) ended_ms: Option<i64>,
}

/// Returns a task.
pub(crate) async fn task(conn: &mut Conn, id: &TaskId) -> Result<Option<TracedTask>, StoreError> {
    let row = query(
        "SELECT tasks.id, tasks.job, tasks.pipeline, tasks.class, tasks.ordinal, tasks.outcome, \
         tasks.queued_ms, tasks.ended_ms, allocations.runner, allocations.created_ms AS claimed \
         FROM tasks LEFT JOIN allocations ON allocations.id = tasks.allocation WHERE tasks.id = $1",
    )
    .bind(id.as_str())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(TracedTask {
        id: row.try_get::<String>("id")?.into(),
        job: row.try_get::<String>("job")?.into(),
        pipeline: row.try_get::<String>("pipeline")?.into(),
        class: row.try_get("class")?,
        ordinal: row.try_get("ordinal")?,
        outcome: parse_maybe(&row, "outcome")?,
        runner: row.try_get("runner")?,
        queued_ms: row.try_get("queued_ms")?,
        claimed_ms: row.try_get("claimed")?,
        ended_ms: row.try_get("ended_ms")?,
    }))
}
