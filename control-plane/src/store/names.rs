//! Look-ups of pipelines, workflows and jobs by what people call them.

use russet_protocol::ids::{JobId, PipelineId, WorkflowId};

use super::rows::int_value;
use super::sql::{Row, query};
use super::{Conn, StoreError};

/// Character above all that an id has.
const ABOVE: char = 'g';

/// Returns the ids that a statement selects between a prefix and what is above all that begin with it,
/// `most` of them at most.
async fn by_prefix<Id: From<String>>(
    conn: &mut Conn,
    text: &'static str,
    prefix: &str,
    most: u32,
) -> Result<Vec<Id>, StoreError> {
    let rows = query(text)
        .bind(prefix)
        .bind(format!("{prefix}{ABOVE}"))
        .bind(most)
        .fetch_all(conn)
        .await?;
    rows.iter().map(id_of).collect()
}

fn id_of<Id: From<String>>(row: &Row) -> Result<Id, StoreError> {
    Ok(row.try_get::<String>("id")?.into())
}

/// Returns the pipelines whose ids begin with a prefix, `most` of them at most.
pub(crate) async fn pipelines_by_prefix(
    conn: &mut Conn,
    prefix: &str,
    most: u32,
) -> Result<Vec<PipelineId>, StoreError> {
    let text = "SELECT id FROM pipelines WHERE id >= $1 AND id < $2 AND deleting = 0 \
                ORDER BY id LIMIT $3";
    by_prefix(conn, text, prefix, most).await
}

/// Returns the workflows whose ids begin with a prefix, `most` of them at most.
pub(crate) async fn workflows_by_prefix(
    conn: &mut Conn,
    prefix: &str,
    most: u32,
) -> Result<Vec<WorkflowId>, StoreError> {
    let text = "SELECT id FROM workflows WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3";
    by_prefix(conn, text, prefix, most).await
}

/// Returns the jobs whose ids begin with a prefix, `most` of them at most.
pub(crate) async fn jobs_by_prefix(
    conn: &mut Conn,
    prefix: &str,
    most: u32,
) -> Result<Vec<JobId>, StoreError> {
    let text = "SELECT id FROM jobs WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3";
    by_prefix(conn, text, prefix, most).await
}

/// The latest pipeline.
pub(crate) async fn latest(conn: &mut Conn) -> Result<Option<PipelineId>, StoreError> {
    let row = query(
        "SELECT id FROM pipelines WHERE deleting = 0 ORDER BY created_ms DESC, id DESC LIMIT 1",
    )
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(id_of).transpose()
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
    row.as_ref().map(id_of).transpose()
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
    row.as_ref().map(id_of).transpose()
}
