//! Serial groups: of the jobs of one, at most one is in line for a runner or with one.
//!
//! A job whose turn has not come is queued and has no task yet. As on CircleCI
//! (<https://circleci.com/docs/guides/orchestrate/controlling-serial-execution-across-your-organization/>)
//! a group spans all projects, and a job that comes to it after one of a later pipeline of its
//! project is not run: the newer state of the project must not be replaced by the older.

use russet_protocol::ids::{JobId, PipelineId};
use russet_protocol::resource_class::ResourceClass;

use super::rows::parse;
use super::sql::query;
use super::{StoreError, WriteTx, locks};

/// State of the group that a job comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nobody: it is its turn.
    Now,
    /// Others, after which it comes.
    Later,
    /// A job of a later pipeline of the same project.
    Never,
}

/// Looks whether it is the turn of a job that may start. No other job of the group gets it until the
/// end of this transaction.
pub(crate) async fn find_turn(
    tx: &mut WriteTx,
    group: &str,
    pipeline: &PipelineId,
) -> Result<Turn, StoreError> {
    locks::serial_group(tx, group).await?;
    let row = query(
        "SELECT count(*) AS others, coalesce(max(CASE WHEN theirs.project = own.project \
         AND theirs.number > own.number THEN 1 ELSE 0 END), 0) AS newer \
         FROM jobs JOIN pipelines AS theirs ON theirs.id = jobs.pipeline, pipelines AS own \
         WHERE own.id = $1 AND jobs.serial_group = $2 AND jobs.phase IN ('queued', 'running')",
    )
    .bind(pipeline.as_str())
    .bind(group)
    .fetch_one(tx)
    .await?;
    Ok(match (row.try_get::<i64>("others")?, row.try_get::<bool>("newer")?) {
        (0, _) => Turn::Now,
        (_, false) => Turn::Later,
        (_, true) => Turn::Never,
    })
}

/// A job whose turn has come.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: JobId,
    pub(crate) pipeline: PipelineId,
    pub(crate) class: ResourceClass,
    pub(crate) parallelism: u32,
}

/// The job whose turn it is after one has ended; none while another has it.
pub(crate) async fn next(tx: &mut WriteTx, group: &str) -> Result<Option<Waiting>, StoreError> {
    locks::serial_group(tx, group).await?;
    let row = query(
        "SELECT id, pipeline, class, parallelism, EXISTS (SELECT 1 FROM tasks WHERE job = jobs.id) AS begun \
         FROM jobs WHERE serial_group = $1 AND phase IN ('queued', 'running') \
         ORDER BY begun DESC, queued_ms, number LIMIT 1",
    )
    .bind(group)
    .fetch_optional(tx)
    .await?;
    let Some(row) = row.filter(|row| !row.try_get::<bool>("begun").unwrap_or(true)) else {
        return Ok(None);
    };
    Ok(Some(Waiting {
        id: row.try_get::<String>("id")?.into(),
        pipeline: row.try_get::<String>("pipeline")?.into(),
        class: parse(&row, "class")?,
        parallelism: row.try_get("parallelism")?,
    }))
}
