//! Tables `pipelines` and `projects`.

use russet_protocol::admin::Pipeline;
use russet_protocol::ids::{PipelineId, SourceId, WorkflowId};
use russet_protocol::resource_class::ResourceClass;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::jobs::NewJob;
use super::rows::{count, int, json, to_json};
use super::{Conn, StoreError, WriteTx, workflows};

/// A pipeline to add.
#[derive(Debug)]
pub(crate) struct NewPipeline {
    pub(crate) id: PipelineId,
    pub(crate) project: String,
    pub(crate) branch: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) revision: Option<String>,
    pub(crate) repository_url: Option<String>,
    pub(crate) from_fork: bool,
    pub(crate) source: Option<SourceId>,
    pub(crate) warnings: Vec<String>,
    pub(crate) workflows: Vec<NewWorkflow>,
}

/// A workflow of a pipeline to add.
#[derive(Debug)]
pub(crate) struct NewWorkflow {
    pub(crate) id: WorkflowId,
    pub(crate) name: String,
    pub(crate) jobs: Vec<NewJob>,
}

/// Takes the next number of a pipeline in its project, and `jobs` numbers of jobs. Answers the
/// number of the pipeline and that of its first job.
async fn take_numbers(
    tx: &mut WriteTx,
    project: &str,
    jobs: u64,
) -> Result<(u64, u64), StoreError> {
    let row = sqlx::query(
        "INSERT INTO projects (name, pipelines, jobs) VALUES (?, 1, ?) \
         ON CONFLICT (name) DO UPDATE SET pipelines = pipelines + 1, jobs = jobs + excluded.jobs \
         RETURNING pipelines, jobs",
    )
    .bind(project)
    .bind(int(jobs))
    .fetch_one(&mut **tx)
    .await?;
    Ok((count(&row, "pipelines")?, count(&row, "jobs")? + 1 - jobs))
}

/// Adds a pipeline with its workflows and jobs; all jobs are blocked.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    new: &NewPipeline,
    now_ms: i64,
) -> Result<(), StoreError> {
    let jobs = new.workflows.iter().map(|workflow| workflow.jobs.len() as u64).sum();
    let (number, mut job_number) = take_numbers(tx, &new.project, jobs).await?;
    sqlx::query(
        "INSERT INTO pipelines (id, project, number, branch, tag, revision, repository_url, \
         from_fork, source, created_ms, warnings) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.id.as_str())
    .bind(&new.project)
    .bind(int(number))
    .bind(&new.branch)
    .bind(&new.tag)
    .bind(&new.revision)
    .bind(&new.repository_url)
    .bind(new.from_fork)
    .bind(new.source.as_ref().map(SourceId::as_str))
    .bind(now_ms)
    .bind(to_json(&new.warnings)?)
    .execute(&mut **tx)
    .await?;
    for (position, workflow) in new.workflows.iter().enumerate() {
        workflows::insert(tx, &new.id, position, workflow, job_number).await?;
        job_number += workflow.jobs.len() as u64;
    }
    Ok(())
}

fn head(row: &SqliteRow) -> Result<Pipeline, StoreError> {
    Ok(Pipeline {
        id: row.try_get::<String, _>("id")?.into(),
        number: count(row, "number")?,
        project: row.try_get("project")?,
        branch: row.try_get("branch")?,
        tag: row.try_get("tag")?,
        revision: row.try_get("revision")?,
        created_ms: count(row, "created_ms")?,
        workflows: Vec::new(),
        warnings: json(row, "warnings")?,
    })
}

/// A pipeline with its workflows and jobs.
pub(crate) async fn get(conn: &mut Conn, id: &PipelineId) -> Result<Option<Pipeline>, StoreError> {
    let row = sqlx::query("SELECT * FROM pipelines WHERE id = ?")
        .bind(id.as_str())
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut pipeline = head(&row)?;
    pipeline.workflows = workflows::of_pipeline(conn, id).await?;
    Ok(Some(pipeline))
}

/// Where a pipeline comes from, and whether a class takes such.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) project: String,
    pub(crate) from_fork: bool,
    pub(crate) forks_allowed: bool,
}

/// Where a pipeline comes from. A class that is not there takes no forks.
pub(crate) async fn origin(
    conn: &mut Conn,
    id: &PipelineId,
    class: &ResourceClass,
) -> Result<Origin, StoreError> {
    let row = sqlx::query(
        "SELECT project, from_fork, coalesce((SELECT allow_forks FROM resource_classes \
         WHERE name = ?), 0) AS forks_allowed FROM pipelines WHERE id = ?",
    )
    .bind(class.as_str())
    .bind(id.as_str())
    .fetch_one(conn)
    .await?;
    Ok(Origin {
        project: row.try_get("project")?,
        from_fork: row.try_get("from_fork")?,
        forks_allowed: row.try_get("forks_allowed")?,
    })
}

/// Whether there is such a pipeline.
pub(crate) async fn exists(conn: &mut Conn, id: &PipelineId) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM pipelines WHERE id = ?")
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// The latest pipelines, newest first, of one project or of all.
pub(crate) async fn list(
    conn: &mut Conn,
    project: Option<&str>,
    limit: u32,
) -> Result<Vec<Pipeline>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM pipelines WHERE ?1 IS NULL OR project = ?1 \
         ORDER BY created_ms DESC, id DESC LIMIT ?2",
    )
    .bind(project)
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    let mut pipelines = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut pipeline = head(row)?;
        pipeline.workflows = workflows::of_pipeline(conn, &pipeline.id).await?;
        pipelines.push(pipeline);
    }
    Ok(pipelines)
}
