//! States of workflows and jobs that are reported to the host of their repository, noted by the transaction that
//! changes them: a server that is killed loses none.

use russet_protocol::ids::{JobId, PipelineId, WorkflowId};
use russet_protocol::outcome::Outcome;
use russet_protocol::projects::ReportedStatuses;

use super::commit_statuses::{self, NewStatus, StatusKey};
use super::rows::{count_column, count_maybe, parse, parse_maybe};
use super::sql::{Row, query};
use super::{StoreError, WriteTx, test_results};
use crate::commit_status::{Progress, Subject, state_of};
use crate::scheduler::workflow::Kind;

/// Notes that the states of a pipeline are reported, where the host of its project takes any. A pipeline
/// that somebody submits with files of their own says nothing of the commit, and is not reported.
pub(crate) async fn begin_reports(
    tx: &mut WriteTx,
    pipeline: &PipelineId,
) -> Result<(), StoreError> {
    query(
        "UPDATE pipelines SET reports = 1 WHERE id = $1 AND EXISTS (SELECT 1 FROM git_connections AS c \
         WHERE c.project = pipelines.project AND c.call_group IS NOT NULL)",
    )
    .bind(pipeline.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes the state of a job. Jobs that people approve, and those that never were to run, have none.
pub(super) async fn report_job(
    tx: &mut WriteTx,
    id: &JobId,
    now_ms: i64,
) -> Result<(), StoreError> {
    let row = query(
        "SELECT p.project, p.revision, w.name AS workflow_name, coalesce(s.statuses, 'both') AS statuses, \
         j.name AS job_name, j.number, j.kind, j.phase, j.outcome, j.started_ms, j.ended_ms \
         FROM jobs AS j JOIN workflows AS w ON w.id = j.workflow JOIN pipelines AS p ON p.id = j.pipeline \
         JOIN git_connections AS c ON c.project = p.project AND c.url = p.repository_url \
         LEFT JOIN project_settings AS s ON s.project = p.project \
         WHERE j.id = $1 AND p.reports = 1 AND p.revision IS NOT NULL",
    )
    .bind(id.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let (workflow, job): (String, String) =
        (row.try_get("workflow_name")?, row.try_get("job_name")?);
    let subject = Subject::Job(&workflow, &job);
    if !is_wanted(subject, &row)? || parse::<Kind>(&row, "kind")? != Kind::Build {
        return Ok(());
    }
    let key = key_of(subject, &row)?;
    let outcome: Option<Outcome> = parse_maybe(&row, "outcome")?;
    if outcome == Some(Outcome::NotRun) && !commit_statuses::exists(tx, &key).await? {
        return Ok(());
    }
    let (started, ended) = (count_maybe(&row, "started_ms")?, count_maybe(&row, "ended_ms")?);
    let mut parts = None;
    if outcome.is_some() {
        let counts = test_results::counts(tx, [id.as_str()]).await?;
        parts = counts.get(id.as_str()).map(|of| {
            let count = |name: &str| of.get(name).copied().unwrap_or_default();
            (count("failure") + count("error"), of.values().sum())
        });
    }
    let progress = Progress {
        phase: Some(parse(&row, "phase")?),
        outcome,
        took_ms: started.zip(ended).map(|(from, to)| to.saturating_sub(from)),
        parts,
    };
    let path = format!("/jobs/{id}");
    put(tx, (subject, key), progress, (count_column(&row, "number")?, path), now_ms).await
}

/// Notes the state of a workflow.
pub(super) async fn report_workflow(
    tx: &mut WriteTx,
    id: &WorkflowId,
    now_ms: i64,
) -> Result<(), StoreError> {
    let row = query(
        "SELECT p.project, p.revision, p.id AS pipeline, w.name AS workflow_name, w.phase, w.outcome, \
         coalesce(s.statuses, 'both') AS statuses, coalesce(w.rerun_ms, p.created_ms) AS began_ms, \
         (SELECT max(j.number) FROM jobs AS j WHERE j.workflow = w.id) AS number, \
         (SELECT count(*) FROM jobs AS j WHERE j.workflow = w.id) AS jobs, \
         (SELECT count(*) FROM jobs AS j WHERE j.workflow = w.id \
         AND j.outcome IN ('failed', 'timedout', 'infrastructure_fail')) AS failed \
         FROM workflows AS w JOIN pipelines AS p ON p.id = w.pipeline \
         JOIN git_connections AS c ON c.project = p.project AND c.url = p.repository_url \
         LEFT JOIN project_settings AS s ON s.project = p.project \
         WHERE w.id = $1 AND p.reports = 1 AND p.revision IS NOT NULL",
    )
    .bind(id.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let workflow: String = row.try_get("workflow_name")?;
    let subject = Subject::Workflow(&workflow);
    if !is_wanted(subject, &row)? {
        return Ok(());
    }
    let key = key_of(subject, &row)?;
    let began_ms = row.try_get::<i64>("began_ms")?;
    let progress = Progress {
        phase: Some(parse(&row, "phase")?),
        outcome: parse_maybe(&row, "outcome")?,
        took_ms: u64::try_from(now_ms.saturating_sub(began_ms)).ok(),
        parts: Some((count_column(&row, "failed")?, count_column(&row, "jobs")?)),
    };
    let path = format!("/pipelines/{}", row.try_get::<String>("pipeline")?);
    put(tx, (subject, key), progress, (count_column(&row, "number")?, path), now_ms).await
}

fn is_wanted(subject: Subject<'_>, row: &Row) -> Result<bool, StoreError> {
    Ok(subject.is_wanted(parse::<ReportedStatuses>(row, "statuses")?))
}

fn key_of(subject: Subject<'_>, row: &Row) -> Result<StatusKey, StoreError> {
    Ok(StatusKey {
        project: row.try_get("project")?,
        revision: row.try_get("revision")?,
        context: subject.context(),
    })
}

async fn put(
    tx: &mut WriteTx,
    (subject, key): (Subject<'_>, StatusKey),
    progress: Progress,
    (number, path): (u64, String),
    now_ms: i64,
) -> Result<(), StoreError> {
    let (state, description) = state_of(subject, progress);
    let new = NewStatus { key, number, state, description, path };
    commit_statuses::put(tx, &new, now_ms).await
}
