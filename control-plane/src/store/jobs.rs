//! Tables `jobs` and `job_specs`.

use std::collections::{BTreeMap, HashMap};

use russet_protocol::admin::Job;
use russet_protocol::ids::{JobId, PipelineId, SourceId, WorkflowId};
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::resource_class::ResourceClass;
use russet_protocol::task::{JobInfo, Step};
use serde::{Deserialize, Serialize};

use super::abilities::need_from_row;
use super::rows::{count_column, count_maybe, int_value, json, keys, parse, parse_maybe, to_json};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx, artifacts, completions, reports, test_results};
use crate::scheduler::workflow::{Kind, Statuses};
use crate::trace_events::Ended;

/// A job to add.
#[derive(Debug)]
pub(crate) struct NewJob {
    pub(crate) id: JobId,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) requires: Vec<String>,
    pub(crate) statuses: Statuses,
    /// None for a job without steps.
    pub(crate) class: Option<ResourceClass>,
    pub(crate) serial_group: Option<String>,
    pub(crate) contexts: Vec<String>,
    pub(crate) parallelism: u32,
    pub(crate) max_reruns: u32,
    pub(crate) spec: JobSpec,
}

/// Specification of a job, as the compiler made it. Stored as JSON: fields are only added, with
/// defaults.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobSpec {
    #[serde(default)]
    pub(crate) shell: Option<String>,
    #[serde(default)]
    pub(crate) working_directory: Option<String>,
    #[serde(default)]
    pub(crate) environment: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) xcode: Option<String>,
    pub(crate) steps: Vec<Step>,
}

/// Version of the documents in `job_specs`.
const SPEC_VERSION: i64 = 1;

/// A job and where it belongs.
#[derive(Clone, Debug)]
pub(crate) struct JobRow {
    pub(crate) job: Job,
    pub(crate) workflow: WorkflowId,
    pub(crate) pipeline: PipelineId,
    /// The commit that changed it last.
    pub(crate) rev: i64,
}

/// The class of a job; empty where it needs none.
fn job_class(row: &Row) -> Result<Option<ResourceClass>, StoreError> {
    match row.try_get::<String>("class")?.as_str() {
        "" => Ok(None),
        _ => parse(row, "class").map(Some),
    }
}

pub(super) fn job_row(row: &Row) -> Result<JobRow, StoreError> {
    Ok(JobRow {
        job: Job {
            id: row.try_get::<String>("id")?.into(),
            number: count_column(row, "number")?,
            name: row.try_get("name")?,
            requires: json(row, "requires")?,
            resource_class: job_class(row)?,
            parallelism: row.try_get("parallelism")?,
            xcode: row.try_get("xcode")?,
            ssh: need_from_row(row)?,
            phase: parse(row, "phase")?,
            outcome: parse_maybe(row, "outcome")?,
            message: row.try_get("message")?,
            waiting: None,
            decided_by: row.try_get("decided_by")?,
            kept_from: row.try_get::<Option<String>>("kept_from")?.map(Into::into),
            failed_tests_of: row.try_get::<Option<String>>("failed_tests_of")?.map(Into::into),
            queued_ms: count_maybe(row, "queued_ms")?,
            started_ms: count_maybe(row, "started_ms")?,
            ended_ms: count_maybe(row, "ended_ms")?,
            runner: row.try_get("runner")?,
            steps: Vec::new(),
            tests: BTreeMap::new(),
            artifacts: 0,
        },
        workflow: row.try_get::<String>("workflow")?.into(),
        pipeline: row.try_get::<String>("pipeline")?.into(),
        rev: row.try_get("rev")?,
    })
}

/// Adds a job that is blocked.
pub(super) async fn insert(
    tx: &mut WriteTx,
    pipeline: &PipelineId,
    workflow: &WorkflowId,
    position: usize,
    number: u64,
    new: &NewJob,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO jobs (id, workflow, pipeline, position, number, name, kind, requires, \
         statuses, class, serial_group, contexts, parallelism, max_reruns, phase, rev, xcode, project) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'blocked', $15, $16, \
         (SELECT project FROM pipelines WHERE id = $17))",
    )
    .bind(new.id.as_str())
    .bind(workflow.as_str())
    .bind(pipeline.as_str())
    .bind(int_value(position as u64))
    .bind(int_value(number))
    .bind(&new.name)
    .bind(new.kind.as_str())
    .bind(to_json(&new.requires)?)
    .bind(to_json(&new.statuses)?)
    .bind(new.class.as_ref().map_or("", ResourceClass::as_str))
    .bind(&new.serial_group)
    .bind(to_json(&new.contexts)?)
    .bind(new.parallelism)
    .bind(new.max_reruns)
    .bind(tx.rev())
    .bind(&new.spec.xcode)
    .bind(pipeline.as_str())
    .execute(tx)
    .await?;
    query("INSERT INTO job_specs (job, version, spec) VALUES ($1, $2, $3)")
        .bind(new.id.as_str())
        .bind(SPEC_VERSION)
        .bind(to_json(&new.spec)?)
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns a job's specification.
pub(crate) async fn read_spec(conn: &mut Conn, id: &JobId) -> Result<JobSpec, StoreError> {
    let row = query("SELECT spec FROM job_specs WHERE job = $1")
        .bind(id.as_str())
        .fetch_one(conn)
        .await?;
    json(&row, "spec")
}

/// The class and the contexts of a job.
pub(crate) async fn needed_jobs(
    conn: &mut Conn,
    id: &JobId,
) -> Result<(Option<ResourceClass>, Vec<String>), StoreError> {
    let row = query("SELECT class, contexts FROM jobs WHERE id = $1")
        .bind(id.as_str())
        .fetch_one(conn)
        .await?;
    Ok((job_class(&row)?, json(&row, "contexts")?))
}

/// Reads jobs, with what is counted elsewhere; only those that began have anything.
async fn with_counts(conn: &mut Conn, rows: &[Row]) -> Result<Vec<JobRow>, StoreError> {
    let mut jobs = rows.iter().map(job_row).collect::<Result<Vec<_>, _>>()?;
    let ran_as = |job: &Job| job.kept_from.as_ref().unwrap_or(&job.id).to_string();
    let began = jobs.iter().filter(|row| row.job.started_ms.is_some());
    let began: Vec<String> = began.map(|row| ran_as(&row.job)).collect();
    if began.is_empty() {
        return Ok(jobs);
    }
    let began = || began.iter().map(String::as_str);
    let tests = test_results::counts(conn, began()).await?;
    let artifacts = artifacts::counts(conn, began()).await?;
    for row in jobs.iter_mut().filter(|row| row.job.started_ms.is_some()) {
        let ran_as = ran_as(&row.job);
        row.job.tests = tests.get(&ran_as).cloned().unwrap_or_default();
        row.job.artifacts = artifacts.get(&ran_as).copied().unwrap_or_default();
    }
    Ok(jobs)
}

/// A job, without its steps.
pub(crate) async fn get(conn: &mut Conn, id: &JobId) -> Result<Option<JobRow>, StoreError> {
    let row = query("SELECT * FROM jobs WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(&mut *conn)
        .await?;
    match row {
        Some(row) => Ok(with_counts(conn, &[row]).await?.pop()),
        None => Ok(None),
    }
}

/// The jobs of workflows, by workflow, each in the order of the configuration, without their steps.
pub(super) async fn of_workflows(
    conn: &mut Conn,
    workflows: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, Vec<Job>>, StoreError> {
    let rows = query(
        "SELECT * FROM jobs WHERE workflow IN (SELECT value FROM json_each($1)) \
         ORDER BY workflow, position",
    )
    .bind(keys(workflows)?)
    .fetch_all(&mut *conn)
    .await?;
    let mut by_workflow = HashMap::<String, Vec<Job>>::new();
    for row in with_counts(conn, &rows).await? {
        by_workflow.entry(row.workflow.to_string()).or_default().push(row.job);
    }
    Ok(by_workflow)
}

/// A job as its workflow sees it.
#[derive(Debug)]
pub(crate) struct JobHead {
    pub(crate) id: JobId,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) requires: Vec<String>,
    pub(crate) statuses: Statuses,
    pub(crate) class: Option<ResourceClass>,
    pub(crate) serial_group: Option<String>,
    pub(crate) contexts: Vec<String>,
    pub(crate) parallelism: u32,
    pub(crate) phase: Phase,
    pub(crate) outcome: Option<Outcome>,
}

/// Returns the facts that decide a workflow's next transitions: of every job these, and no more,
/// since they are read each time that a job ends.
pub(crate) async fn job_heads(
    conn: &mut Conn,
    workflow: &WorkflowId,
) -> Result<Vec<JobHead>, StoreError> {
    let rows = query(
        "SELECT id, name, kind, requires, statuses, class, serial_group, contexts, \
         parallelism, phase, outcome FROM jobs WHERE workflow = $1 ORDER BY position",
    )
    .bind(workflow.as_str())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(JobHead {
                id: row.try_get::<String>("id")?.into(),
                name: row.try_get("name")?,
                kind: parse(row, "kind")?,
                requires: json(row, "requires")?,
                statuses: json(row, "statuses")?,
                class: job_class(row)?,
                serial_group: row.try_get("serial_group")?,
                contexts: json(row, "contexts")?,
                parallelism: row.try_get("parallelism")?,
                phase: parse(row, "phase")?,
                outcome: parse_maybe(row, "outcome")?,
            })
        })
        .collect()
}

/// The jobs of a pipeline that were changed after commit `rev`, without their steps.
pub(crate) async fn changed_since(
    conn: &mut Conn,
    pipeline: &PipelineId,
    rev: i64,
) -> Result<Vec<JobRow>, StoreError> {
    let rows = query("SELECT * FROM jobs WHERE pipeline = $1 AND rev > $2 ORDER BY number")
        .bind(pipeline.as_str())
        .bind(rev)
        .fetch_all(&mut *conn)
        .await?;
    with_counts(conn, &rows).await
}

/// Existence of jobs of a workflow that have not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// Some wait for others.
    pub(crate) blocked: bool,
    /// Some have not ended.
    pub(crate) any: bool,
}

/// Looks for jobs of a workflow that have not ended, in constant time.
pub(crate) async fn unfinished(
    conn: &mut Conn,
    workflow: &WorkflowId,
) -> Result<Unfinished, StoreError> {
    let row = query(
        "SELECT EXISTS (SELECT 1 FROM jobs WHERE workflow = $1 AND phase != 'ended' \
         AND phase = 'blocked') AS blocked, \
         EXISTS (SELECT 1 FROM jobs WHERE workflow = $1 AND phase != 'ended') AS any_open",
    )
    .bind(workflow.as_str())
    .fetch_one(conn)
    .await?;
    Ok(Unfinished { blocked: row.try_get("blocked")?, any: row.try_get("any_open")? })
}

/// A job that has not ended.
#[derive(Debug)]
pub(crate) struct OpenJob {
    pub(crate) id: JobId,
    /// Its number in its project.
    pub(crate) number: u64,
    pub(crate) phase: Phase,
}

/// The jobs of a pipeline that have not ended, from behind a number on, `limit` of them at most.
pub(crate) async fn open_of_pipeline(
    conn: &mut Conn,
    pipeline: &PipelineId,
    after: u64,
    limit: u32,
) -> Result<Vec<OpenJob>, StoreError> {
    let rows = query(
        "SELECT jobs.id, jobs.number, jobs.phase FROM workflows \
         CROSS JOIN jobs WHERE jobs.workflow = workflows.id AND jobs.phase != 'ended' \
         AND workflows.pipeline = $1 AND jobs.number > $2 ORDER BY jobs.number LIMIT $3",
    )
    .bind(pipeline.as_str())
    .bind(int_value(after))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(OpenJob {
                id: row.try_get::<String>("id")?.into(),
                number: count_column(row, "number")?,
                phase: parse(row, "phase")?,
            })
        })
        .collect()
}

/// The serial groups that jobs of a pipeline belong to.
pub(crate) async fn serial_groups(
    conn: &mut Conn,
    pipeline: &PipelineId,
) -> Result<Vec<String>, StoreError> {
    let rows = query(
        "SELECT DISTINCT serial_group FROM jobs WHERE pipeline = $1 AND serial_group IS NOT NULL",
    )
    .bind(pipeline.as_str())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok(row.try_get("serial_group")?)).collect()
}

/// Returns the job whose failed tests a job is to run alone, if any.
pub(crate) async fn failed_tests_of(
    conn: &mut Conn,
    id: &JobId,
) -> Result<Option<JobId>, StoreError> {
    let row = query("SELECT failed_tests_of FROM jobs WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    let of = row.map(|row| row.try_get::<Option<String>>("failed_tests_of")).transpose()?.flatten();
    Ok(of.map(Into::into))
}

/// Notes who approved, denied or canceled a job.
pub(crate) async fn set_decided_by(
    tx: &mut WriteTx,
    id: &JobId,
    by: &str,
) -> Result<(), StoreError> {
    query("UPDATE jobs SET decided_by = $1, rev = $2 WHERE id = $3")
        .bind(by)
        .bind(tx.rev())
        .bind(id.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns true if a job is one that people approve.
pub(crate) async fn is_approval(conn: &mut Conn, id: &JobId) -> Result<bool, StoreError> {
    let row =
        query("SELECT kind FROM jobs WHERE id = $1").bind(id.as_str()).fetch_optional(conn).await?;
    Ok(row.is_some_and(|row| row.try_get("kind").is_ok_and(|kind: String| kind == "approval")))
}

/// Notes that a job waits for an approval.
pub(crate) async fn set_on_hold(tx: &mut WriteTx, id: &JobId) -> Result<(), StoreError> {
    query("UPDATE jobs SET phase = 'on_hold', rev = $1 WHERE id = $2")
        .bind(tx.rev())
        .bind(id.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Identity of a job whose end has consequences.
#[derive(Debug)]
pub(crate) struct Of {
    pub(crate) workflow: WorkflowId,
    pub(crate) pipeline: PipelineId,
    pub(crate) serial_group: Option<String>,
    /// Set if it had room in limits of tasks, which others may wait for.
    pub(crate) had_room: bool,
}

/// Notes that a job waits for a runner, anew or for the first time.
pub(crate) async fn set_queued(
    tx: &mut WriteTx,
    id: &JobId,
    message: Option<&str>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let row = query(
        "UPDATE jobs SET phase = 'queued', queued_ms = coalesce(queued_ms, $1), \
         started_ms = NULL, runner = NULL, message = $2, rev = $3 WHERE id = $4 RETURNING workflow, \
         EXISTS (SELECT 1 FROM pipelines AS p WHERE p.id = jobs.pipeline AND p.reports = 1) AS is_reported",
    )
    .bind(now_ms)
    .bind(message)
    .bind(tx.rev())
    .bind(id.as_str())
    .fetch_one(&mut *tx)
    .await?;
    if row.try_get("is_reported")? {
        reports::report_job(tx, id, now_ms).await?;
        reports::report_workflow(tx, &row.try_get::<String>("workflow")?.into(), now_ms).await?;
    }
    Ok(())
}

/// Notes that a runner has the job, or one more of its tasks.
pub(crate) async fn set_running(
    tx: &mut WriteTx,
    id: &JobId,
    runner: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "UPDATE jobs SET phase = $1, started_ms = coalesce(started_ms, $2), runner = $3, \
         message = NULL, rev = $4 WHERE id = $5",
    )
    .bind(Phase::Running.as_str())
    .bind(now_ms)
    .bind(runner)
    .bind(tx.rev())
    .bind(id.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes how the job ended. Answers what it is a part of.
pub(crate) async fn set_ended(
    tx: &mut WriteTx,
    id: &JobId,
    outcome: Outcome,
    message: Option<&str>,
    now_ms: i64,
) -> Result<Of, StoreError> {
    let row = query(
        "UPDATE jobs SET phase = 'ended', outcome = $1, message = $2, ended_ms = $3, rev = $4, \
         awaits_room = 0 WHERE id = $5 RETURNING workflow, pipeline, serial_group, room, EXISTS (SELECT 1 \
         FROM alert_targets AS t WHERE t.project = jobs.project AND t.hears_jobs = 1) AS is_heard, \
         EXISTS (SELECT 1 FROM pipelines AS p WHERE p.id = jobs.pipeline AND p.reports = 1) AS is_reported",
    )
    .bind(outcome.as_str())
    .bind(message)
    .bind(now_ms)
    .bind(tx.rev())
    .bind(id.as_str())
    .fetch_one(&mut *tx)
    .await?;
    tx.note_ended(|| Ended::Job(id.clone()));
    if row.try_get("is_heard")? {
        completions::tell_of_job(tx, id, now_ms).await?;
    }
    if row.try_get("is_reported")? {
        reports::report_job(tx, id, now_ms).await?;
    }
    Ok(Of {
        workflow: row.try_get::<String>("workflow")?.into(),
        pipeline: row.try_get::<String>("pipeline")?.into(),
        serial_group: row.try_get("serial_group")?,
        had_room: row.try_get::<i64>("room")? > 0,
    })
}

/// Takes one of the runs that a job has left after it failed. Answers its number from 1, and how
/// many there may be; `None` where none is left.
pub(crate) async fn take_rerun(tx: &mut WriteTx, id: &JobId) -> Result<Option<Rerun>, StoreError> {
    let row = query(
        "UPDATE jobs SET reruns = reruns + 1, rev = $1 WHERE id = $2 AND reruns < max_reruns \
         RETURNING reruns, max_reruns, parallelism, class",
    )
    .bind(tx.rev())
    .bind(id.as_str())
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let Some(class) = job_class(&row)? else { return Ok(None) };
    Ok(Some(Rerun {
        number: row.try_get("reruns")?,
        of: row.try_get("max_reruns")?,
        parallelism: row.try_get("parallelism")?,
        class,
    }))
}

/// One more run of a job that failed.
#[derive(Debug)]
pub(crate) struct Rerun {
    /// Its number, from 1.
    pub(crate) number: u32,
    pub(crate) of: u32,
    pub(crate) parallelism: u32,
    pub(crate) class: ResourceClass,
}

/// Marks the job as changed, for what is counted elsewhere.
pub(crate) async fn touch(tx: &mut WriteTx, id: &JobId) -> Result<(), StoreError> {
    query("UPDATE jobs SET rev = $1 WHERE id = $2")
        .bind(tx.rev())
        .bind(id.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Pipeline and workflow of a job, and its source.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) info: JobInfo,
    pub(crate) source: Option<SourceId>,
}

/// Returns pipeline and workflow of a job; without its link.
pub(crate) async fn surroundings(conn: &mut Conn, id: &JobId) -> Result<Surroundings, StoreError> {
    let row = query(
        "SELECT jobs.name, jobs.number, jobs.workflow, jobs.pipeline, workflows.name AS workflow_name, \
         pipelines.number AS pipeline_number, pipelines.project, branch, tag, revision, repository_url, source \
         FROM jobs JOIN workflows ON workflows.id = jobs.workflow \
         JOIN pipelines ON pipelines.id = jobs.pipeline WHERE jobs.id = $1",
    )
    .bind(id.as_str())
    .fetch_one(conn)
    .await?;
    Ok(Surroundings {
        info: JobInfo {
            job_id: Some(id.clone()),
            name: row.try_get("name")?,
            number: count_column(&row, "number")?,
            workflow_id: Some(row.try_get::<String>("workflow")?.into()),
            workflow: row.try_get("workflow_name")?,
            pipeline_id: Some(row.try_get::<String>("pipeline")?.into()),
            pipeline_number: count_column(&row, "pipeline_number")?,
            project: row.try_get("project")?,
            branch: row.try_get("branch")?,
            tag: row.try_get("tag")?,
            revision: row.try_get("revision")?,
            repository_url: row.try_get("repository_url")?,
            url: None,
            // Of one of its tasks, which the caller knows.
            node_index: 0,
            node_total: 1,
        },
        source: row.try_get::<Option<String>>("source")?.map(Into::into),
    })
}
