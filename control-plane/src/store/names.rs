//! Look-ups of pipelines, workflows and jobs by what people call them.

use russet_protocol::ids::{JobId, PipelineId, WorkflowId};

use super::rows::int_value;
use super::sql::{Row, query};
use super::{Conn, StoreError};

/// Character above all that an id has.
const ABOVE: char = 'g';

fn ids<Id: From<String>>(rows: &[Row]) -> Result<Vec<Id>, StoreError> {
    rows.iter().map(|row| Ok(row.try_get::<String>("id")?.into())).collect()
}

/// Pipelines whose ids begin so, `most` of them at most.
pub(crate) async fn pipelines_by_prefix(
    conn: &mut Conn,
    prefix: &str,
    most: u32,
) -> Result<Vec<PipelineId>, StoreError> {
    let rows = query(
        "SELECT id FROM pipelines WHERE id >= $1 AND id < $2 AND deleting = 0 \
         ORDER BY id LIMIT $3",
    )
    .bind(prefix)
    .bind(format!("{prefix}{ABOVE}"))
    .bind(most)
    .fetch_all(conn)
    .await?;
    ids(&rows)
}

/// Workflows whose ids begin so, `most` of them at most.
pub(crate) async fn workflows_by_prefix(
    conn: &mut Conn,
    prefix: &str,
    most: u32,
) -> Result<Vec<WorkflowId>, StoreError> {
    let rows = query("SELECT id FROM workflows WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3")
        .bind(prefix)
        .bind(format!("{prefix}{ABOVE}"))
        .bind(most)
        .fetch_all(conn)
        .await?;
    ids(&rows)
}

/// Jobs whose ids begin so, `most` of them at most.
pub(crate) async fn jobs_by_prefix(
    conn: &mut Conn,
    prefix: &str,
    most: u32,
) -> Result<Vec<JobId>, StoreError> {
    let rows = query("SELECT id FROM jobs WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3")
        .bind(prefix)
        .bind(format!("{prefix}{ABOVE}"))
        .bind(most)
        .fetch_all(conn)
        .await?;
    ids(&rows)
}

/// The latest pipeline.
pub(crate) async fn latest(conn: &mut Conn) -> Result<Option<PipelineId>, StoreError> {
    let row = query(
        "SELECT id FROM pipelines WHERE deleting = 0 ORDER BY created_ms DESC, id DESC LIMIT 1",
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok(row.try_get::<String>("id")?.into())).transpose()
}

/// The latest pipeline of a project.
pub(crate) async fn latest_of_project(
    conn: &mut Conn,
    project: &str,
) -> Result<Option<PipelineId>, StoreError> {
    let row = query(
        "SELECT id FROM pipelines WHERE project = $1 AND deleting = 0 \
         ORDER BY created_ms DESC, id DESC LIMIT 1",
    )
    .bind(project)
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok(row.try_get::<String>("id")?.into())).transpose()
}

/// The pipeline of a number.
pub(crate) async fn pipeline_by_number(
    conn: &mut Conn,
    project: &str,
    number: u64,
) -> Result<Option<PipelineId>, StoreError> {
    let row = query("SELECT id FROM pipelines WHERE project = $1 AND number = $2 AND deleting = 0")
        .bind(project)
        .bind(int_value(number))
        .fetch_optional(conn)
        .await?;
    row.map(|row| Ok(row.try_get::<String>("id")?.into())).transpose()
}
