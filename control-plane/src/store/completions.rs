//! Events of workflows and jobs that end, put into the outbox by the transaction that ends them: so a
//! server that is killed loses none, and none is there twice, since its id follows from what ended.

use russet_protocol::ids::{JobId, WorkflowId};
use russet_protocol::notifications::NotifyOn;
use russet_protocol::outcome::Outcome;

use super::notify_targets::{Hearer, OutcomeKey, hearers, note_outcome};
use super::rows::{count_column, parse, to_json};
use super::sql::{Row, query};
use super::{StoreError, WriteTx, outbox};
use crate::notify::{CompletedEvent, Facts, JobFacts, Previous, counts_for_change, is_wanted};
use crate::scheduler::workflow::Kind;

fn facts_from_row(row: &Row, job: Option<JobFacts>) -> Result<Facts, StoreError> {
    let created_ms: i64 = row.try_get("created_ms")?;
    let outcome: Option<String> = row.try_get("outcome")?;
    Ok(Facts {
        project: row.try_get("project")?,
        pipeline: row.try_get::<String>("pipeline")?.into(),
        number: count_column(row, "number")?,
        created_ms,
        branch: row.try_get("branch")?,
        tag: row.try_get("tag")?,
        revision: row.try_get("revision")?,
        repository_url: row.try_get("repository_url")?,
        author: row.try_get("author")?,
        trigger_source: row.try_get("trigger_source")?,
        workflow: row.try_get::<String>("workflow")?.into(),
        workflow_name: row.try_get("workflow_name")?,
        workflow_ms: row.try_get::<Option<i64>>("rerun_ms")?.unwrap_or(created_ms),
        job,
        outcome: match outcome {
            Some(_) => parse(row, "outcome")?,
            None => Outcome::NotRun,
        },
    })
}

/// Tells the targets of a project that a workflow has ended.
pub(super) async fn tell_of_workflow(
    tx: &mut WriteTx,
    id: &WorkflowId,
    now_ms: i64,
) -> Result<(), StoreError> {
    let row = query(
        "SELECT p.project, p.id AS pipeline, p.number, p.created_ms, p.branch, p.tag, p.revision, \
         p.repository_url, p.author, p.trigger_source, w.id AS workflow, w.name AS workflow_name, \
         w.rerun_ms, w.outcome FROM workflows AS w JOIN pipelines AS p ON p.id = w.pipeline \
         WHERE w.id = $1",
    )
    .bind(id.as_str())
    .fetch_one(tx)
    .await?;
    tell(tx, &facts_from_row(&row, None)?, now_ms).await
}

/// Tells the targets of a project that a job has ended. CircleCI tells neither of approvals nor of jobs
/// that were never to run.
pub(super) async fn tell_of_job(
    tx: &mut WriteTx,
    id: &JobId,
    now_ms: i64,
) -> Result<(), StoreError> {
    let row = query(
        "SELECT p.project, p.id AS pipeline, p.number, p.created_ms, p.branch, p.tag, p.revision, \
         p.repository_url, p.author, p.trigger_source, w.id AS workflow, w.name AS workflow_name, \
         w.rerun_ms, j.outcome, j.name AS job_name, j.number AS job_number, j.started_ms, j.kind \
         FROM jobs AS j JOIN workflows AS w ON w.id = j.workflow \
         JOIN pipelines AS p ON p.id = j.pipeline WHERE j.id = $1",
    )
    .bind(id.as_str())
    .fetch_one(tx)
    .await?;
    let job = JobFacts {
        id: id.clone(),
        name: row.try_get("job_name")?,
        number: count_column(&row, "job_number")?,
        started_ms: row.try_get("started_ms")?,
    };
    let facts = facts_from_row(&row, Some(job))?;
    if facts.outcome == Outcome::NotRun || parse::<Kind>(&row, "kind")? != Kind::Build {
        return Ok(());
    }
    tell(tx, &facts, now_ms).await
}

async fn tell(tx: &mut WriteTx, facts: &Facts, now_ms: i64) -> Result<(), StoreError> {
    let mut all = hearers(tx, &facts.project).await?;
    all.retain(|hearer| hearer.events.contains(&facts.kind()));
    let mut previous = Previous::None;
    if all.iter().any(|hearer| hearer.on == NotifyOn::Change) && counts_for_change(facts.outcome) {
        let key = OutcomeKey {
            project: &facts.project,
            reference: facts.reference(),
            workflow: &facts.workflow_name,
            job: facts.job.as_ref().map_or("", |job| &job.name),
        };
        let outcome = facts.outcome.as_str();
        previous = note_outcome(tx, key, facts.number, outcome, now_ms).await?;
    }
    // Only now: a change is one of the branch, whoever submitted what was there before.
    let is_theirs =
        |of: &Hearer| of.author.as_ref().is_none_or(|author| facts.author.as_ref() == Some(author));
    let told = all.iter().filter(|of| is_theirs(of) && is_wanted(of.on, facts.outcome, &previous));
    for hearer in told {
        let before = match &previous {
            Previous::Outcome(before) if hearer.on == NotifyOn::Change => Some(before.clone()),
            _ => None,
        };
        let event = CompletedEvent::of(facts, (&hearer.id, &hearer.label), before, now_ms);
        outbox::insert(tx, &event.id, &hearer.id, &to_json(&event)?, now_ms).await?;
        tx.wake_messages();
    }
    Ok(())
}
