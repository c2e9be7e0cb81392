//! Tables `pipelines` and `projects`.

use std::collections::HashMap;

use russet_protocol::admin::Pipeline;
use russet_protocol::ids::{PipelineId, SourceId};
use russet_protocol::resource_class::ResourceClass;

use super::projects::take_numbers;
use super::rows::{count_column, int_value, json, keys, to_json};
use super::runs::{self, Run};
use super::sql::{Row, query};
use super::workflows::{self, NewWorkflow};
use super::{Conn, StoreError, WriteTx};
use crate::trace_events::Ended;

/// A pipeline to add.
#[derive(Debug)]
pub(crate) struct NewPipeline {
    pub(crate) id: PipelineId,
    /// The number that it was compiled for.
    pub(crate) number: u64,
    pub(crate) project: String,
    pub(crate) branch: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) revision: Option<String>,
    pub(crate) repository_url: Option<String>,
    pub(crate) from_fork: bool,
    pub(crate) source: Option<SourceId>,
    pub(crate) author: Option<String>,
    /// Value of `pipeline.trigger_source`; `None`: `api`.
    pub(crate) trigger_source: Option<String>,
    pub(crate) warnings: Vec<String>,
    /// The `traceparent` of the call that submits it.
    pub(crate) trace_parent: Option<String>,
    /// Duration of that call by now, in milliseconds.
    pub(crate) compile_ms: i64,
    pub(crate) workflows: Vec<NewWorkflow>,
}

/// The number that the next pipeline of a project gets, unless another one comes before it.
pub(crate) async fn next_number(conn: &mut Conn, project: &str) -> Result<u64, StoreError> {
    let row = query("SELECT pipelines FROM projects WHERE name = $1")
        .bind(project)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| count_column(&row, "pipelines")).transpose()?.unwrap_or(0) + 1)
}

/// Adds a pipeline with its workflows and jobs; all jobs are blocked. False where another pipeline
/// has the number that it was compiled for: nothing may be committed then.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    new: &NewPipeline,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let jobs = new.workflows.iter().map(|workflow| workflow.jobs.len() as u64).sum();
    let (number, mut job_number) = take_numbers(tx, &new.project, 1, jobs).await?;
    if number != new.number {
        return Ok(false);
    }
    query(
        "INSERT INTO pipelines (id, project, number, branch, tag, revision, repository_url, \
         from_fork, source, created_ms, warnings, author, trace_parent, compile_ms, trigger_source) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(new.id.as_str())
    .bind(&new.project)
    .bind(int_value(number))
    .bind(&new.branch)
    .bind(&new.tag)
    .bind(&new.revision)
    .bind(&new.repository_url)
    .bind(new.from_fork)
    .bind(new.source.as_ref().map(SourceId::as_str))
    .bind(now_ms)
    .bind(to_json(&new.warnings)?)
    .bind(&new.author)
    .bind(&new.trace_parent)
    .bind(new.compile_ms)
    .bind(&new.trigger_source)
    .execute(tx)
    .await?;
    tx.note_ended(|| Ended::Submit(new.id.clone()));
    for (position, workflow) in new.workflows.iter().enumerate() {
        workflows::insert(tx, &new.id, position, workflow, job_number).await?;
        job_number += workflow.jobs.len() as u64;
    }
    Ok(true)
}

/// Adds the workflows that a pipeline goes on with, behind those that it has.
pub(crate) async fn extend(
    tx: &mut WriteTx,
    pipeline: &Pipeline,
    workflows: &[NewWorkflow],
    warnings: &[String],
    now_ms: i64,
) -> Result<(), StoreError> {
    let earlier = runs::of_pipeline(tx, &pipeline.id).await?;
    let jobs = workflows.iter().map(|workflow| workflow.jobs.len() as u64).sum();
    let (_, mut job_number) = take_numbers(tx, &pipeline.project, 0, jobs).await?;
    for (position, workflow) in workflows.iter().enumerate() {
        let position = pipeline.workflows.len() + position;
        workflows::insert(tx, &pipeline.id, position, workflow, job_number).await?;
        // Of a setup that runs again.
        let is_same = |run: &&Run| run.is_continuation && run.name == workflow.name;
        let before = earlier.iter().filter(is_same).max_by_key(|run| run.number);
        runs::set_continuation(tx, &workflow.id, before, now_ms).await?;
        job_number += workflow.jobs.len() as u64;
    }
    let all: Vec<&String> = pipeline.warnings.iter().chain(warnings).collect();
    query("UPDATE pipelines SET warnings = $1 WHERE id = $2")
        .bind(to_json(&all)?)
        .bind(pipeline.id.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Id of the trace that the caller who submitted a pipeline made it a part of.
fn trace_id(row: &Row) -> Result<Option<String>, StoreError> {
    let parent: Option<String> = row.try_get("trace_parent")?;
    // `version-trace-span-flags`; nothing else is stored.
    Ok(parent.and_then(|parent| parent.split('-').nth(1).map(str::to_owned)))
}

fn head_from_row(row: &Row) -> Result<Pipeline, StoreError> {
    Ok(Pipeline {
        id: row.try_get::<String>("id")?.into(),
        number: count_column(row, "number")?,
        project: row.try_get("project")?,
        branch: row.try_get("branch")?,
        tag: row.try_get("tag")?,
        revision: row.try_get("revision")?,
        author: row.try_get("author")?,
        canceled_by: row.try_get("canceled_by")?,
        created_ms: count_column(row, "created_ms")?,
        workflows: Vec::new(),
        warnings: json(row, "warnings")?,
        pinned: row.try_get("pinned")?,
        trace_id: trace_id(row)?,
    })
}

/// A pipeline with its workflows and jobs.
pub(crate) async fn get(conn: &mut Conn, id: &PipelineId) -> Result<Option<Pipeline>, StoreError> {
    Ok(get_all(conn, &[id.as_str()]).await?.pop())
}

/// The pipelines of a page with their workflows and jobs, in the order of `ids`; those that are not
/// there are left out. The number of statements does not depend on that of pipelines.
pub(super) async fn get_all(conn: &mut Conn, ids: &[&str]) -> Result<Vec<Pipeline>, StoreError> {
    let rows = query(
        "SELECT * FROM pipelines WHERE id IN (SELECT value FROM json_each($1)) AND deleting = 0",
    )
    .bind(keys(ids.iter().copied())?)
    .fetch_all(&mut *conn)
    .await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let pipeline = head_from_row(row)?;
        found.insert(pipeline.id.to_string(), pipeline);
    }
    let mut workflows = workflows::of_pipelines(conn, found.keys().map(String::as_str)).await?;
    let with_workflows = |id: &&str| {
        let pipeline = found.remove(*id)?;
        Some(Pipeline { workflows: workflows.remove(*id).unwrap_or_default(), ..pipeline })
    };
    Ok(ids.iter().filter_map(with_workflows).collect())
}

/// Repository and cause of a pipeline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cause {
    pub(crate) repository_url: Option<String>,
    /// Value of `pipeline.trigger_source`; `None`: `api`.
    pub(crate) trigger_source: Option<String>,
}

/// Returns repository and cause of pipelines, by their ids.
pub(crate) async fn causes(
    conn: &mut Conn,
    ids: impl Iterator<Item = &str>,
) -> Result<HashMap<String, Cause>, StoreError> {
    let rows = query(
        "SELECT id, repository_url, trigger_source FROM pipelines AS p \
         WHERE p.id IN (SELECT value FROM json_each($1))",
    )
    .bind(keys(ids)?)
    .fetch_all(conn)
    .await?;
    let cause = |row: &Row| {
        let repository_url = row.try_get("repository_url")?;
        let cause = Cause { repository_url, trigger_source: row.try_get("trigger_source")? };
        Ok((row.try_get("id")?, cause))
    };
    rows.iter().map(cause).collect()
}

/// Origin of a pipeline, and whether a class takes such.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) project: String,
    pub(crate) from_fork: bool,
    pub(crate) forks_allowed: bool,
    /// Some limit of tasks is set, whatever it is for.
    pub(crate) has_limits: bool,
}

/// Returns the origin of a pipeline. A class that is not there takes no forks.
pub(crate) async fn pipeline_origin(
    conn: &mut Conn,
    id: &PipelineId,
    class: &ResourceClass,
) -> Result<Origin, StoreError> {
    let row = query(
        "SELECT project, from_fork, coalesce((SELECT allow_forks FROM resource_classes \
         WHERE name = $1), 0) AS forks_allowed, \
         EXISTS (SELECT 1 FROM task_limits) AS has_limits FROM pipelines WHERE id = $2",
    )
    .bind(class.as_str())
    .bind(id.as_str())
    .fetch_one(conn)
    .await?;
    Ok(Origin {
        project: row.try_get("project")?,
        from_fork: row.try_get("from_fork")?,
        forks_allowed: row.try_get("forks_allowed")?,
        has_limits: row.try_get("has_limits")?,
    })
}

/// Returns true if a pipeline is of a fork.
pub(crate) async fn is_from_fork(conn: &mut Conn, id: &PipelineId) -> Result<bool, StoreError> {
    let row = query("SELECT from_fork FROM pipelines WHERE id = $1")
        .bind(id.as_str())
        .fetch_one(conn)
        .await?;
    Ok(row.try_get("from_fork")?)
}

/// Returns true if there is such a pipeline.
pub(crate) async fn exists(conn: &mut Conn, id: &PipelineId) -> Result<bool, StoreError> {
    let row = query("SELECT 1 FROM pipelines WHERE id = $1 AND deleting = 0")
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// Notes that somebody canceled a pipeline: none of its jobs starts any more. Returns false where
/// there is no such pipeline.
pub(crate) async fn begin_cancel(
    tx: &mut WriteTx,
    id: &PipelineId,
    by: &str,
) -> Result<bool, StoreError> {
    let done = query(
        "UPDATE pipelines SET canceled = 1, canceled_by = CASE canceled WHEN 0 \
         THEN CAST($1 AS TEXT) ELSE coalesce(canceled_by, CAST($1 AS TEXT)) END \
         WHERE id = $2 AND deleting = 0",
    )
    .bind(by)
    .bind(id.as_str())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes the cancel of a pipeline back, all of which has ended: some of it runs again.
pub(crate) async fn forget_cancel(tx: &mut WriteTx, id: &PipelineId) -> Result<(), StoreError> {
    query("UPDATE pipelines SET canceled = 0, canceled_by = NULL WHERE id = $1 AND canceled = 2")
        .bind(id.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns the one who canceled a pipeline; `None` where nobody did. Who canceled it by an earlier
/// version of the server is not known.
pub(crate) async fn canceled_by(
    conn: &mut Conn,
    id: &PipelineId,
) -> Result<Option<String>, StoreError> {
    let row = query(
        "SELECT coalesce(canceled_by, 'a person') AS canceled_by FROM pipelines \
         WHERE id = $1 AND canceled != 0",
    )
    .bind(id.as_str())
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| row.try_get("canceled_by")).transpose()?)
}

/// State of a pipeline that some of which is to run again.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) source: Option<SourceId>,
    pub(crate) is_canceled: bool,
    /// Set while its jobs are being canceled.
    pub(crate) is_being_canceled: bool,
}

/// Returns the state of a pipeline.
pub(crate) async fn standing(
    conn: &mut Conn,
    id: &PipelineId,
) -> Result<Option<Standing>, StoreError> {
    let row = query(
        "SELECT source, canceled != 0 AS is_canceled, \
         canceled = 1 AS is_being_canceled FROM pipelines \
         WHERE id = $1 AND deleting = 0",
    )
    .bind(id.as_str())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Standing {
        source: row.try_get::<Option<String>>("source")?.map(Into::into),
        is_canceled: row.try_get("is_canceled")?,
        is_being_canceled: row.try_get("is_being_canceled")?,
    }))
}

/// Notes that every job of a canceled pipeline has ended, or has been told to.
pub(crate) async fn end_cancel(tx: &mut WriteTx, id: &PipelineId) -> Result<(), StoreError> {
    query("UPDATE pipelines SET canceled = 2 WHERE id = $1").bind(id.as_str()).execute(tx).await?;
    Ok(())
}

/// Returns true for a pipeline that somebody canceled.
pub(crate) async fn is_canceled(conn: &mut Conn, id: &PipelineId) -> Result<bool, StoreError> {
    let row = query("SELECT canceled != 0 AS canceled FROM pipelines WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| row.try_get("canceled")).transpose()?.unwrap_or(false))
}

/// Pipelines whose jobs were being canceled when the server ended.
pub(crate) async fn being_canceled(conn: &mut Conn) -> Result<Vec<PipelineId>, StoreError> {
    let rows = query("SELECT id FROM pipelines WHERE canceled = 1").fetch_all(conn).await?;
    rows.iter().map(|row| Ok(row.try_get::<String>("id")?.into())).collect()
}

/// Returns true where something of a pipeline may have changed since a horizon.
pub(crate) async fn has_changed_since(
    conn: &mut Conn,
    id: &str,
    horizon: i64,
) -> Result<bool, StoreError> {
    let row = query(
        "SELECT EXISTS (SELECT 1 FROM jobs WHERE pipeline = $1 AND rev >= $2) \
         OR EXISTS (SELECT 1 FROM steps WHERE pipeline = $1 AND rev >= $2) \
         OR EXISTS (SELECT 1 FROM workflows WHERE pipeline = $1 AND rev >= $2) AS changed",
    )
    .bind(id)
    .bind(horizon)
    .fetch_one(conn)
    .await?;
    Ok(row.try_get("changed")?)
}
