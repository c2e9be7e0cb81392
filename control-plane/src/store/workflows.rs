//! Table `workflows`.

use std::collections::HashMap;

use russet_protocol::admin::{Job, Rerun, Workflow};
use russet_protocol::ids::{PipelineId, WorkflowId};
use russet_protocol::outcome::{Outcome, Phase};

use super::jobs::{self, NewJob};
use super::rows::{count_maybe, keys, parse, parse_maybe};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx, completions, reports};
use crate::trace_events::Ended;

/// A workflow of a pipeline to add.
#[derive(Debug)]
pub(crate) struct NewWorkflow {
    pub(crate) id: WorkflowId,
    pub(crate) name: String,
    pub(crate) jobs: Vec<NewJob>,
}

/// Adds a workflow whose jobs are numbered from `job_number`.
pub(super) async fn insert(
    tx: &mut WriteTx,
    pipeline: &PipelineId,
    position: usize,
    new: &NewWorkflow,
    job_number: u64,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO workflows (id, pipeline, position, name, phase, rev) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(new.id.as_str())
    .bind(pipeline.as_str())
    .bind(i64::try_from(position).unwrap_or(i64::MAX))
    .bind(&new.name)
    .bind(Phase::Queued.as_str())
    .bind(tx.rev())
    .execute(tx)
    .await?;
    for (position, job) in new.jobs.iter().enumerate() {
        jobs::insert(tx, pipeline, &new.id, position, job_number + position as u64, job).await?;
    }
    Ok(())
}

/// The workflows of pipelines with their jobs, by pipeline, each in the order of the configuration.
pub(super) async fn of_pipelines(
    conn: &mut Conn,
    pipelines: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, Vec<Workflow>>, StoreError> {
    let rows = query(
        "SELECT * FROM workflows WHERE pipeline IN (SELECT value FROM json_each($1)) \
         ORDER BY pipeline, position",
    )
    .bind(keys(pipelines)?)
    .fetch_all(&mut *conn)
    .await?;
    let mut by_pipeline = HashMap::<String, Vec<Workflow>>::new();
    for (row, workflow) in rows.iter().zip(with_jobs(conn, &rows).await?) {
        by_pipeline.entry(row.try_get("pipeline")?).or_default().push(workflow);
    }
    Ok(by_pipeline)
}

/// Reads workflows, with their jobs.
async fn with_jobs(conn: &mut Conn, rows: &[Row]) -> Result<Vec<Workflow>, StoreError> {
    let ids = rows.iter().map(|row| row.try_get("id")).collect::<Result<Vec<String>, _>>()?;
    let mut jobs = jobs::of_workflows(conn, ids.iter().map(String::as_str)).await?;
    let mut jobs_of = |id: &String| jobs.remove(id).unwrap_or_default();
    rows.iter().zip(&ids).map(|(row, id)| workflow_from_row(row, jobs_of(id))).collect()
}

fn workflow_from_row(row: &Row, jobs: Vec<Job>) -> Result<Workflow, StoreError> {
    let id: WorkflowId = row.try_get::<String>("id")?.into();
    Ok(Workflow {
        jobs,
        pipeline: None,
        name: row.try_get("name")?,
        phase: parse(row, "phase")?,
        outcome: parse_maybe(row, "outcome")?,
        run: row.try_get("run")?,
        rerun: rerun_from_row(&id, row)?,
        id,
    })
}

fn rerun_from_row(id: &WorkflowId, row: &Row) -> Result<Option<Rerun>, StoreError> {
    let Some(of) = row.try_get::<Option<String>>("rerun_of")? else { return Ok(None) };
    Ok(Some(Rerun {
        of: of.into(),
        first: row.try_get::<Option<String>>("origin")?.map_or_else(|| id.clone(), Into::into),
        kind: parse(row, "rerun_kind")?,
        by: row.try_get("rerun_by")?,
        created_ms: count_maybe(row, "rerun_ms")?.unwrap_or_default(),
    }))
}

/// A workflow with its jobs.
pub(crate) async fn get(conn: &mut Conn, id: &WorkflowId) -> Result<Option<Workflow>, StoreError> {
    let row = query("SELECT * FROM workflows WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let pipeline = Some(row.try_get::<String>("pipeline")?.into());
    let workflow = with_jobs(conn, &[row]).await?.pop();
    Ok(workflow.map(|workflow| Workflow { pipeline, ..workflow }))
}

/// Notes that a job of the workflow was claimed.
pub(crate) async fn start(tx: &mut WriteTx, id: &WorkflowId) -> Result<(), StoreError> {
    query("UPDATE workflows SET phase = 'running', rev = $1 WHERE id = $2 AND phase = 'queued'")
        .bind(tx.rev())
        .bind(id.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Notes how the workflow ended.
pub(crate) async fn end(
    tx: &mut WriteTx,
    id: &WorkflowId,
    outcome: Outcome,
    now_ms: i64,
) -> Result<(), StoreError> {
    let row = query(
        "UPDATE workflows SET phase = 'ended', outcome = $1, rev = $2 WHERE id = $3 \
         RETURNING EXISTS (SELECT 1 FROM alert_targets AS t WHERE t.project = \
         (SELECT p.project FROM pipelines AS p WHERE p.id = workflows.pipeline)) AS is_heard, EXISTS (SELECT 1 FROM pipelines AS p \
         WHERE p.id = workflows.pipeline AND p.reports = 1) AS is_reported",
    )
    .bind(outcome.as_str())
    .bind(tx.rev())
    .bind(id.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    tx.note_ended(|| Ended::Workflow(id.clone()));
    let Some(row) = row else { return Ok(()) };
    if row.try_get("is_heard")? {
        completions::tell_of_workflow(tx, id, now_ms).await?;
    }
    if row.try_get("is_reported")? {
        reports::report_workflow(tx, id, now_ms).await?;
    }
    Ok(())
}

/// The workflows of a pipeline that have not ended.
pub(crate) async fn open_of_pipeline(
    conn: &mut Conn,
    pipeline: &PipelineId,
) -> Result<Vec<WorkflowId>, StoreError> {
    let rows = query("SELECT id FROM workflows WHERE pipeline = $1 AND phase != 'ended'")
        .bind(pipeline.as_str())
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| Ok(row.try_get::<String>("id")?.into())).collect()
}

/// Returns true if every workflow of a pipeline has ended.
pub(crate) async fn all_ended(conn: &mut Conn, pipeline: &PipelineId) -> Result<bool, StoreError> {
    let row = query("SELECT 1 FROM workflows WHERE pipeline = $1 AND phase != 'ended' LIMIT 1")
        .bind(pipeline.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.is_none())
}
