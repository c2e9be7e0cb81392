//! Table `workflows`.

use russet_protocol::admin::Workflow;
use russet_protocol::ids::{PipelineId, WorkflowId};
use russet_protocol::outcome::{Outcome, Phase};

use super::jobs::{self, NewJob};
use super::rows::{parse, parse_maybe};
use super::sql::query;
use super::{Conn, StoreError, WriteTx};

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

/// The workflows of a pipeline with their jobs, in the order of the configuration.
pub(super) async fn of_pipeline(
    conn: &mut Conn,
    pipeline: &PipelineId,
) -> Result<Vec<Workflow>, StoreError> {
    let rows = query("SELECT * FROM workflows WHERE pipeline = $1 ORDER BY position")
        .bind(pipeline.as_str())
        .fetch_all(&mut *conn)
        .await?;
    let mut workflows = Vec::with_capacity(rows.len());
    for row in &rows {
        let id: WorkflowId = row.try_get::<String>("id")?.into();
        workflows.push(Workflow {
            jobs: jobs::of_workflow(conn, &id).await?.into_iter().map(|row| row.job).collect(),
            id,
            name: row.try_get("name")?,
            phase: parse(row, "phase")?,
            outcome: parse_maybe(row, "outcome")?,
        });
    }
    Ok(workflows)
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
) -> Result<(), StoreError> {
    query("UPDATE workflows SET phase = 'ended', outcome = $1, rev = $2 WHERE id = $3")
        .bind(outcome.as_str())
        .bind(tx.rev())
        .bind(id.as_str())
        .execute(tx)
        .await?;
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
