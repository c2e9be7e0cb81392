//! Look-ups of pipelines, workflows and jobs by what people call them.

use russet_protocol::ids::{JobId, PipelineId, WorkflowId};

use super::pipeline_pages::{Filter, read_page};
use super::rows::int_value;
use super::sql::{Row, query};
use super::{Conn, StoreError};

/// Character above all that an id has.
const ABOVE: char = 'g';

/// Pipelines among which the latest is looked for.
const LATEST_PAGE: u32 = 10;

/// Something whose id begins with a prefix.
#[derive(Clone, Debug)]
pub(crate) struct Prefixed<Id> {
    pub(crate) id: Id,
    pub(crate) project: String,
}

/// Returns what a statement selects between a prefix and what is above all that begin with it, `most`
/// of them at most.
async fn by_prefix<Id: From<String>>(
    conn: &mut Conn,
    text: &'static str,
    prefix: &str,
    most: u32,
) -> Result<Vec<Prefixed<Id>>, StoreError> {
    let rows = query(text)
        .bind(prefix)
        .bind(format!("{prefix}{ABOVE}"))
        .bind(most)
        .fetch_all(conn)
        .await?;
    let of = |row: &Row| Ok(Prefixed { id: id_of(row)?, project: row.try_get("project")? });
    rows.iter().map(of).collect()
}

fn id_of<Id: From<String>>(row: &Row) -> Result<Id, StoreError> {
    Ok(row.try_get::<String>("id")?.into())
}

/// Returns the pipelines whose ids begin with a prefix, `most` of them at most.
pub(crate) async fn pipelines_by_prefix(
    conn: &mut Conn,
    prefix: &str,
    most: u32,
) -> Result<Vec<Prefixed<PipelineId>>, StoreError> {
    let text = "SELECT id, project FROM pipelines WHERE id >= $1 AND id < $2 AND deleting = 0 \
                ORDER BY id LIMIT $3";
    by_prefix(conn, text, prefix, most).await
}

/// Returns the workflows whose ids begin with a prefix, `most` of them at most.
pub(crate) async fn workflows_by_prefix(
    conn: &mut Conn,
    prefix: &str,
    most: u32,
) -> Result<Vec<Prefixed<WorkflowId>>, StoreError> {
    let text = "SELECT workflows.id, pipelines.project FROM workflows \
                JOIN pipelines ON pipelines.id = workflows.pipeline \
                WHERE workflows.id >= $1 AND workflows.id < $2 ORDER BY workflows.id LIMIT $3";
    by_prefix(conn, text, prefix, most).await
}

/// Returns the jobs whose ids begin with a prefix, `most` of them at most.
pub(crate) async fn jobs_by_prefix(
    conn: &mut Conn,
    prefix: &str,
    most: u32,
) -> Result<Vec<Prefixed<JobId>>, StoreError> {
    let text = "SELECT id, project FROM jobs WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3";
    by_prefix(conn, text, prefix, most).await
}

/// The latest pipeline, of some projects or of all.
pub(crate) async fn latest(
    conn: &mut Conn,
    projects: Option<&[String]>,
) -> Result<Option<PipelineId>, StoreError> {
    let Some(projects) = projects else {
        let row = query(
            "SELECT id FROM pipelines WHERE deleting = 0 ORDER BY created_ms DESC, id DESC LIMIT 1",
        )
        .fetch_optional(conn)
        .await?;
        return row.as_ref().map(id_of).transpose();
    };
    // Those that are being deleted are no part of a page, and are looked over.
    let filter = Filter { within: Some(projects.to_vec()), ..Filter::default() };
    let page = read_page(conn, &filter, None, LATEST_PAGE).await?;
    Ok(page.items.into_iter().next().map(|pipeline| pipeline.id))
}

/// Returns the project of a workflow.
pub(crate) async fn project_of_workflow(
    conn: &mut Conn,
    id: &WorkflowId,
) -> Result<Option<String>, StoreError> {
    let row = query(
        "SELECT pipelines.project FROM workflows JOIN pipelines \
         ON pipelines.id = workflows.pipeline WHERE workflows.id = $1 AND pipelines.deleting = 0",
    )
    .bind(id.as_str())
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| row.try_get("project")).transpose()?)
}

/// Returns the project of a job.
pub(crate) async fn project_of_job(
    conn: &mut Conn,
    id: &JobId,
) -> Result<Option<String>, StoreError> {
    let row = query("SELECT project FROM jobs WHERE id = $1").bind(id.as_str());
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| row.try_get("project")).transpose()?)
}

/// The job of a number.
pub(crate) async fn job_by_number(
    conn: &mut Conn,
    project: &str,
    number: u64,
) -> Result<Option<JobId>, StoreError> {
    let row = query("SELECT id FROM jobs WHERE project = $1 AND number = $2")
        .bind(project)
        .bind(int_value(number))
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
