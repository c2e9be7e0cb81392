//! Runs of workflows. A further run is new rows beside the old ones, which stay as they are: what
//! runs again is blocked at first, and what does not stands for the job of the earlier run.

use russet_protocol::admin::RerunKind;
use russet_protocol::ids::{JobId, PipelineId, WorkflowId};
use russet_protocol::outcome::{Outcome, Phase};

use super::rows::{int_value, json, parse, parse_maybe};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx, projects};

/// A run of a workflow.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) id: WorkflowId,
    pub(crate) pipeline: PipelineId,
    pub(crate) name: String,
    pub(crate) phase: Phase,
    pub(crate) outcome: Option<Outcome>,
    /// Its number among the runs of the workflow, from 1.
    pub(crate) number: u32,
    /// The first run of the workflow.
    pub(crate) first: WorkflowId,
    /// Set if a setup went on with it.
    pub(crate) is_continuation: bool,
}

fn run_from_row(row: &Row) -> Result<Run, StoreError> {
    let id: WorkflowId = row.try_get::<String>("id")?.into();
    let first = row.try_get::<Option<String>>("origin")?.map_or_else(|| id.clone(), Into::into);
    Ok(Run {
        id,
        pipeline: row.try_get::<String>("pipeline")?.into(),
        name: row.try_get("name")?,
        phase: parse(row, "phase")?,
        outcome: parse_maybe(row, "outcome")?,
        number: row.try_get("run")?,
        first,
        is_continuation: row.try_get("continued")?,
    })
}

/// Returns a run of a workflow.
pub(crate) async fn get(conn: &mut Conn, id: &WorkflowId) -> Result<Option<Run>, StoreError> {
    let row = query("SELECT * FROM workflows WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(run_from_row).transpose()
}

/// Returns all runs of all workflows of a pipeline, in their order.
pub(crate) async fn of_pipeline(
    conn: &mut Conn,
    pipeline: &PipelineId,
) -> Result<Vec<Run>, StoreError> {
    let rows = query("SELECT * FROM workflows WHERE pipeline = $1 ORDER BY position")
        .bind(pipeline.as_str())
        .fetch_all(conn)
        .await?;
    rows.iter().map(run_from_row).collect()
}

/// Returns the last run of each workflow, of all runs of a pipeline.
pub(crate) fn current(all: Vec<Run>) -> Vec<Run> {
    let last = |run: &Run| {
        let of_same = all.iter().filter(|other| other.first == run.first);
        of_same.map(|other| other.number).max() == Some(run.number)
    };
    let is_last: Vec<bool> = all.iter().map(last).collect();
    all.into_iter().zip(is_last).filter(|(_, is_last)| *is_last).map(|(run, _)| run).collect()
}

/// A job of a run that may run again.
#[derive(Debug)]
pub(crate) struct RunJob {
    pub(crate) id: JobId,
    pub(crate) name: String,
    pub(crate) requires: Vec<String>,
    pub(crate) outcome: Option<Outcome>,
    /// The job that has its steps: itself, or the one that it stands for.
    pub(crate) ran_as: JobId,
}

/// Returns the jobs of a run, in the order of the configuration.
pub(crate) async fn jobs_of(
    conn: &mut Conn,
    workflow: &WorkflowId,
) -> Result<Vec<RunJob>, StoreError> {
    let rows = query(
        "SELECT id, name, requires, outcome, coalesce(kept_from, id) AS ran_as \
         FROM jobs WHERE workflow = $1 ORDER BY position",
    )
    .bind(workflow.as_str())
    .fetch_all(conn)
    .await?;
    let job = |row: &Row| {
        Ok(RunJob {
            id: row.try_get::<String>("id")?.into(),
            name: row.try_get("name")?,
            requires: json(row, "requires")?,
            outcome: parse_maybe(row, "outcome")?,
            ran_as: row.try_get::<String>("ran_as")?.into(),
        })
    };
    rows.iter().map(job).collect()
}

/// A further run to add.
#[derive(Debug)]
pub(crate) struct NewRun<'a> {
    pub(crate) id: &'a WorkflowId,
    pub(crate) of: &'a Run,
    pub(crate) number: u32,
    pub(crate) kind: RerunKind,
    pub(crate) by: &'a str,
    pub(crate) now_ms: i64,
}

/// Future of a job in a further run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    /// With the job whose failed tests are to run alone.
    Again(Option<JobId>),
}

/// Adds a further run; what runs again is blocked. Returns the jobs that run again, each with its new id.
pub(crate) async fn insert<'a>(
    tx: &mut WriteTx,
    new: &NewRun<'_>,
    jobs: &'a [(RunJob, Fate)],
) -> Result<Vec<(&'a RunJob, JobId)>, StoreError> {
    let again = jobs.iter().filter(|(_, fate)| *fate != Fate::Kept).count();
    let mut number = projects::take_job_numbers(tx, &new.of.pipeline, again as u64).await?;
    query(
        "INSERT INTO workflows (id, pipeline, position, name, phase, rev, run, origin, rerun_of, \
         rerun_kind, rerun_by, rerun_ms, continued) \
         SELECT CAST($1 AS TEXT), pipeline, (SELECT max(position) + 1 FROM workflows \
         WHERE pipeline = $2), name, 'queued', CAST($3 AS BIGINT), CAST($4 AS BIGINT), \
         coalesce(origin, id), id, CAST($5 AS TEXT), CAST($6 AS TEXT), CAST($7 AS BIGINT), continued \
         FROM workflows WHERE id = $8",
    )
    .bind(new.id.as_str())
    .bind(new.of.pipeline.as_str())
    .bind(tx.rev())
    .bind(new.number)
    .bind(new.kind.as_str())
    .bind(new.by)
    .bind(new.now_ms)
    .bind(new.of.id.as_str())
    .execute(tx)
    .await?;
    let mut repeated = Vec::with_capacity(again);
    for (job, fate) in jobs {
        match fate {
            Fate::Kept => keep(tx, new.id, job).await?,
            Fate::Again(failed_tests_of) => {
                let id = repeat(tx, new.id, job, number, failed_tests_of.as_ref()).await?;
                repeated.push((job, id));
                number += 1;
            }
        }
    }
    Ok(repeated)
}

/// Adds a row that stands for a job of the earlier run.
async fn keep(tx: &mut WriteTx, run: &WorkflowId, job: &RunJob) -> Result<(), StoreError> {
    query(
        "INSERT INTO jobs (id, workflow, pipeline, position, number, name, kind, requires, statuses, \
         class, serial_group, contexts, parallelism, max_reruns, reruns, phase, outcome, message, \
         queued_ms, started_ms, ended_ms, runner, rev, xcode, project, decided_by, kept_from) \
         SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), pipeline, position, number, name, kind, requires, \
         statuses, class, serial_group, contexts, parallelism, max_reruns, reruns, phase, outcome, \
         message, queued_ms, started_ms, ended_ms, runner, CAST($3 AS BIGINT), xcode, project, \
         decided_by, coalesce(kept_from, id) FROM jobs WHERE id = $4",
    )
    .bind(JobId::generate().as_str())
    .bind(run.as_str())
    .bind(tx.rev())
    .bind(job.id.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds a row for a job that runs again, with the same specification. Returns its id.
async fn repeat(
    tx: &mut WriteTx,
    run: &WorkflowId,
    job: &RunJob,
    number: u64,
    failed_tests_of: Option<&JobId>,
) -> Result<JobId, StoreError> {
    let id = JobId::generate();
    query(
        "INSERT INTO jobs (id, workflow, pipeline, position, number, name, kind, requires, statuses, \
         class, serial_group, contexts, parallelism, max_reruns, phase, rev, xcode, project, \
         failed_tests_of) \
         SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), pipeline, position, CAST($3 AS BIGINT), name, \
         kind, requires, statuses, class, serial_group, contexts, parallelism, max_reruns, 'blocked', \
         CAST($4 AS BIGINT), xcode, project, CAST($5 AS TEXT) FROM jobs WHERE id = $6",
    )
    .bind(id.as_str())
    .bind(run.as_str())
    .bind(int_value(number))
    .bind(tx.rev())
    .bind(failed_tests_of.map(JobId::as_str))
    .bind(job.id.as_str())
    .execute(tx)
    .await?;
    query(
        "INSERT INTO job_specs (job, version, spec) \
         SELECT CAST($1 AS TEXT), version, spec FROM job_specs WHERE job = $2",
    )
    .bind(id.as_str())
    .bind(job.ran_as.as_str())
    .execute(tx)
    .await?;
    Ok(id)
}

/// Notes that a setup went on with a workflow, as the further run of one of an earlier time.
pub(crate) async fn set_continuation(
    tx: &mut WriteTx,
    id: &WorkflowId,
    earlier: Option<&Run>,
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "UPDATE workflows SET continued = 1, run = $1, origin = $2, rerun_of = $3, rerun_kind = $4, \
         rerun_ms = $5 WHERE id = $6",
    )
    .bind(earlier.map_or(1, |run| run.number + 1))
    .bind(earlier.map(|run| run.first.as_str()))
    .bind(earlier.map(|run| run.id.as_str()))
    .bind(earlier.map(|_| RerunKind::FromStart.as_str()))
    .bind(earlier.map(|_| now_ms))
    .bind(id.as_str())
    .execute(tx)
    .await?;
    Ok(())
}
