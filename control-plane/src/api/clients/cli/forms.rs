//! Forms of runs, workflows and jobs as CircleCI's command line reads them. Pure.

use russet_protocol::admin::{Job, Pipeline, StepState, Workflow};
use russet_protocol::outcome::{Outcome, Phase};
use serde_json::{Value, json};

use crate::api::clients::maybe_time;
use crate::name_ids::uuid_of;
use crate::store::pipelines::Cause;
use crate::text::rfc3339_of as time;

/// Returns one thing.
pub(super) fn one(data: Value) -> Value {
    json!({"data": data})
}

/// Returns a list, and the cursor of the next page.
pub(super) fn list(data: &[Value], next: Option<String>) -> Value {
    json!({"data": data, "page": {"next": next, "prev": null}})
}

/// Returns the name of an outcome there.
pub(super) fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "succeeded",
        other => other.as_str(),
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Blocked => "created",
        Phase::OnHold | Phase::Queued => "queued",
        Phase::Running => "started",
        Phase::Ended => "ended",
    }
}

fn reference(kind: &str, id: &str) -> Value {
    json!({"id": id, "type": kind})
}

fn project_reference(project: &str) -> Value {
    reference("project", &uuid_of("project", project))
}

/// Phase, outcome and outcome so far of what consists of others.
type Standing = (Phase, Option<Outcome>, Option<Outcome>);

/// Returns how a workflow stands.
pub(super) fn workflow_standing(of: &Workflow) -> Standing {
    let failed = |job: &Job| job.outcome.filter(|outcome| counts_against(*outcome));
    (of.phase, of.outcome, of.outcome.or_else(|| of.jobs.iter().find_map(failed)))
}

fn counts_against(outcome: Outcome) -> bool {
    !outcome.is_success() && outcome != Outcome::NotRun
}

/// Returns how a pipeline stands: as the last runs of its workflows do.
pub(super) fn run_standing(of: &Pipeline) -> Standing {
    let all: Vec<Standing> = of.current_workflows().map(workflow_standing).collect();
    let worst =
        all.iter().filter_map(|standing| standing.2).find(|outcome| counts_against(*outcome));
    let any = all.iter().find_map(|standing| standing.2);
    let phase = if all.iter().all(|standing| standing.0 == Phase::Ended) {
        Phase::Ended
    } else if all.iter().all(|standing| matches!(standing.0, Phase::Blocked | Phase::Queued)) {
        Phase::Queued
    } else {
        Phase::Running
    };
    let so_far = worst.or_else(|| any.filter(|_| phase == Phase::Ended));
    // A rerun may change it later, so CircleCI gives a run no outcome of its own.
    (phase, None, so_far)
}

/// Returns the word that a search finds a run by.
pub(super) fn run_status(of: &Pipeline) -> &'static str {
    let has_hold =
        || of.workflows.iter().flat_map(|of| &of.jobs).any(|job| job.phase == Phase::OnHold);
    match run_standing(of) {
        (Phase::Ended, _, None) => "success",
        (Phase::Ended, _, Some(Outcome::TimedOut | Outcome::InfrastructureFail)) => "failed",
        (Phase::Ended, _, Some(outcome)) => outcome.as_str(),
        (Phase::Queued, ..) => "queued",
        (_, _, Some(_)) => "failing",
        _ if has_hold() => "on_hold",
        _ => "running",
    }
}

fn attributes(standing: Standing) -> Value {
    let (phase, outcome, so_far) = standing;
    let mut value = json!({"phase": phase_name(phase)});
    if let Some(outcome) = outcome {
        value["outcome"] = json!(outcome_name(outcome));
    }
    if let Some(outcome) = so_far {
        value["current_outcome"] = json!(outcome_name(outcome));
    }
    value
}

/// Returns a pipeline, which is called a run there.
pub(super) fn run(of: &Pipeline, cause: &Cause) -> Value {
    let mut shown = attributes(run_standing(of));
    shown["created_at"] = json!(time(of.created_ms));
    let vcs = json!({
        "branch": of.branch.as_deref().unwrap_or_default(),
        "tag": of.tag.as_deref().unwrap_or_default(),
        "revision": of.revision.as_deref().unwrap_or_default(),
        "origin_repository_url": cause.repository_url.as_deref().unwrap_or_default(),
    });
    json!({
        "id": of.id,
        "type": "run",
        "attributes": shown,
        "references": {
            "event": {"attributes": {
                "type": cause.trigger_source.as_deref().unwrap_or("api"), "vcs": vcs,
            }},
            "project": project_reference(&of.project),
        },
    })
}

/// Returns a workflow.
pub(super) fn workflow(of: &Workflow, pipeline: &Pipeline) -> Value {
    let created_ms = of.rerun.as_ref().map_or(pipeline.created_ms, |rerun| rerun.created_ms);
    let ended_ms = of.jobs.iter().filter_map(|job| job.ended_ms).max();
    let mut shown = attributes(workflow_standing(of));
    shown["name"] = json!(of.name);
    shown["created_at"] = json!(time(created_ms));
    shown["ended_at"] = maybe_time(ended_ms.filter(|_| of.phase == Phase::Ended));
    json!({
        "id": of.id,
        "type": "workflow",
        "attributes": shown,
        "references": {
            "run": reference("run", pipeline.id.as_str()),
            "project": project_reference(&pipeline.project),
        },
    })
}

/// Returns a job. `steps` are left out of lists.
pub(super) fn job(
    of: &Job,
    is_approval: bool,
    around: &Around<'_>,
    steps: Option<&[StepState]>,
) -> Value {
    let mut shown = attributes((of.phase, of.outcome, None));
    shown["name"] = json!(of.name);
    shown["type"] = json!(if is_approval { "approval" } else { "build" });
    shown["ended_at"] = maybe_time(of.ended_ms);
    if let Some(ms) = of.started_ms {
        shown["started_at"] = json!(time(ms));
    }
    if let Some(steps) = steps {
        shown["parallel_executions"] = executions(of.parallelism, steps);
    }
    json!({
        "id": of.id,
        "type": "job",
        "attributes": shown,
        "references": {
            "project": project_reference(around.project),
            "pipeline": reference("pipeline", around.pipeline),
            "workflow": reference("workflow", around.workflow),
        },
    })
}

/// Things that a job belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) project: &'a str,
    pub(super) pipeline: &'a str,
    pub(super) workflow: &'a str,
}

/// Returns the steps of each task. Their output is found by the number of the task, from 0.
fn executions(parallelism: u32, steps: &[StepState]) -> Value {
    let last = steps.iter().map(|step| step.task + 1).max().unwrap_or(0).max(parallelism);
    let of_task = |task: u32| {
        let all: Vec<Value> = steps.iter().filter(|step| step.task == task).map(step).collect();
        json!({"steps": all})
    };
    (0..last).map(of_task).collect()
}

fn step(of: &StepState) -> Value {
    let phase = if of.outcome.is_some() { Phase::Ended } else { Phase::Running };
    let mut shown = attributes((phase, of.outcome, None));
    shown["name"] = json!(of.name);
    shown["type"] = json!("run");
    shown["num"] = json!(of.number);
    shown["started_at"] = json!(time(of.started_ms));
    shown["ended_at"] = maybe_time(of.ended_ms);
    if let Some(code) = of.exit_code {
        shown["exit_code"] = json!(code);
    }
    shown
}
