//! Forms of CircleCI's API v2 (<https://circleci.com/docs/api/v2/>). Pure.

use russet_protocol::admin::{ArtifactItem, Job, Pipeline, Workflow};
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::{TestOutcome, TestResult};
use serde_json::{Value, json};

use crate::api::clients::maybe_time;
use crate::name_ids::{ORGANIZATION, uuid_of};
use crate::notify::trigger_type;
use crate::slugs::{provider_label, slug_of};
use crate::store::jobs::JobHead;
use crate::store::pipelines::Cause;
use crate::text::rfc3339_of as time;

/// Returns a page of a list. `next` is the token of the next one.
pub(super) fn page(items: &[Value], next: Option<String>) -> Value {
    json!({"items": items, "next_page_token": next})
}

/// Returns the id of a person, who is known by a name here.
pub(super) fn person_id(name: &str) -> String {
    uuid_of("person", name)
}

/// Returns a pipeline. Its state says that its configuration was taken: one that was not is never made
/// here.
pub(super) fn pipeline(of: &Pipeline, cause: &Cause) -> Value {
    let url = cause.repository_url.as_deref();
    let ended = |workflow: &Workflow| workflow.jobs.iter().filter_map(|job| job.ended_ms).max();
    let updated_ms = of.workflows.iter().filter_map(ended).max().unwrap_or(of.created_ms);
    let mut value = json!({
        "id": of.id,
        "errors": [],
        "project_slug": slug_of(&of.project, url),
        "updated_at": time(updated_ms),
        "number": of.number,
        "state": "created",
        "created_at": time(of.created_ms),
        "trigger": {
            "type": match trigger_type(cause.trigger_source.as_deref()) {
                "schedule" => "scheduled_pipeline",
                other => other,
            },
            "received_at": time(of.created_ms),
            "actor": {"login": of.author, "avatar_url": null},
        },
    });
    if url.is_some() || of.revision.is_some() {
        let vcs = json!({
            "provider_name": provider_label(url).unwrap_or("Git"),
            "origin_repository_url": url,
            "target_repository_url": url,
            "revision": of.revision,
            "branch": of.branch,
            "tag": of.tag,
        });
        value["vcs"] = without_nulls(vcs);
    }
    value
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    }
}

/// Returns CircleCI's status of a workflow.
fn workflow_status(of: &Workflow) -> &'static str {
    if let Some(outcome) = of.outcome {
        return match outcome {
            Outcome::TimedOut | Outcome::InfrastructureFail => Outcome::Failed.as_str(),
            other => other.as_str(),
        };
    }
    let has_failed = |job: &Job| {
        job.outcome.is_some_and(|outcome| !outcome.is_success() && outcome != Outcome::NotRun)
    };
    let goes_on = |job: &Job| matches!(job.phase, Phase::Queued | Phase::Running);
    if of.jobs.iter().any(has_failed) {
        "failing"
    } else if of.jobs.iter().any(|job| job.phase == Phase::OnHold) && !of.jobs.iter().any(goes_on) {
        "on_hold"
    } else {
        "running"
    }
}

/// Returns a workflow of a pipeline.
pub(super) fn workflow(of: &Workflow, pipeline: &Pipeline, cause: &Cause) -> Value {
    let created_ms = of.rerun.as_ref().map_or(pipeline.created_ms, |rerun| rerun.created_ms);
    let by = of.rerun.as_ref().and_then(|rerun| rerun.by.as_ref()).or(pipeline.author.as_ref());
    let ended_ms = of.jobs.iter().filter_map(|job| job.ended_ms).max();
    let canceled_by =
        pipeline.canceled_by.as_deref().filter(|_| of.outcome == Some(Outcome::Canceled));
    let mut value = json!({
        "pipeline_id": pipeline.id,
        "id": of.id,
        "name": of.name,
        "project_slug": slug_of(&pipeline.project, cause.repository_url.as_deref()),
        "status": workflow_status(of),
        "started_by": person_id(by.map_or("", String::as_str)),
        "pipeline_number": pipeline.number,
        "created_at": time(created_ms),
        "stopped_at": maybe_time(ended_ms.filter(|_| of.phase == Phase::Ended)),
    });
    if let Some(tag) = &pipeline.tag {
        value["tag"] = json!(tag);
    }
    if let Some(name) = canceled_by {
        value["canceled_by"] = json!(person_id(name));
    }
    value
}

/// Returns CircleCI's status of a job.
fn job_status(of: &Job) -> &'static str {
    of.phase.with_outcome(of.outcome)
}

/// Returns a job as its workflow lists it. `all` are the jobs of the workflow.
pub(super) fn workflow_job(of: &Job, head: Option<&JobHead>, all: &[Job], slug: &str) -> Value {
    let is_approval = head.is_some_and(|head| head.kind.is_approval());
    let needed: Vec<_> = all.iter().filter(|job| of.requires.contains(&job.name)).collect();
    let ids: Vec<_> = needed.iter().map(|job| &job.id).collect();
    let statuses = |job: &Job| {
        let named = head.and_then(|head| head.statuses.get(&job.name));
        // Without any it is a success that is waited for.
        let wanted = named.map_or_else(|| json!([Outcome::Success]), |named| json!(named));
        (job.id.to_string(), wanted)
    };
    let requires: serde_json::Map<String, Value> = needed.iter().map(|job| statuses(job)).collect();
    let mut value = json!({
        "dependencies": ids,
        "requires": requires,
        "id": of.id,
        "started_at": maybe_time(of.started_ms),
        "name": of.name,
        "project_slug": slug,
        "status": job_status(of),
        "type": if is_approval { "approval" } else { "build" },
        "stopped_at": maybe_time(of.ended_ms),
    });
    match (is_approval, &of.decided_by) {
        (false, _) => value["job_number"] = json!(of.number),
        (true, None) => value["approval_request_id"] = json!(of.id),
        (true, Some(name)) => {
            value["approval_request_id"] = json!(of.id);
            value["approved_by"] = json!(person_id(name));
        }
    }
    value
}

/// Facts around a job.
#[derive(Debug)]
pub(super) struct Around<'a> {
    pub(super) project: &'a str,
    pub(super) cause: &'a Cause,
    pub(super) pipeline: &'a Pipeline,
    pub(super) workflow: &'a Workflow,
    pub(super) contexts: &'a [String],
    /// Origin of the pages.
    pub(super) origin: &'a str,
}

/// Returns a job with its details.
pub(super) fn job_details(of: &Job, around: &Around<'_>) -> Value {
    let url = around.cause.repository_url.as_deref();
    let duration = of.started_ms.zip(of.ended_ms).map(|(began, ended)| ended.saturating_sub(began));
    let status = job_status(of);
    let runs: Vec<Value> =
        (0..of.parallelism).map(|index| json!({"index": index, "status": status})).collect();
    let contexts: Vec<Value> = around.contexts.iter().map(|name| json!({"name": name})).collect();
    let messages: Vec<Value> =
        of.message.iter().map(|message| json!({"type": "info", "message": message})).collect();
    json!({
        "web_url": format!("{}/jobs/{}", around.origin, of.id),
        "project": {
            "id": uuid_of("project", around.project),
            "slug": slug_of(around.project, url),
            "name": short_name(around.project),
            "external_url": url,
        },
        "parallel_runs": runs,
        "started_at": maybe_time(of.started_ms),
        "latest_workflow": {"id": around.workflow.id, "name": around.workflow.name},
        "name": of.name,
        "executor": {"resource_class": of.resource_class, "type": "runner"},
        "parallelism": of.parallelism,
        "status": status,
        "number": of.number,
        "pipeline": {"id": around.pipeline.id},
        "duration": duration,
        "created_at": time(around.pipeline.created_ms),
        "messages": messages,
        "contexts": contexts,
        "organization": {"name": owner_name(around.project)},
        "queued_at": maybe_time(of.queued_ms),
        "stopped_at": maybe_time(of.ended_ms),
    })
}

/// Returns the name of a project without its owner.
pub(super) fn short_name(project: &str) -> &str {
    project.rsplit('/').next().unwrap_or(project)
}

/// Returns the name of a project's owner.
pub(super) fn owner_name(project: &str) -> &str {
    project.split_once('/').map_or("russet", |(owner, _)| owner)
}

/// Returns a project.
pub(super) fn project(name: &str, url: Option<&str>, default_branch: Option<&str>) -> Value {
    let slug = slug_of(name, url);
    json!({
        "slug": slug,
        "name": short_name(name),
        "id": uuid_of("project", name),
        "organization_name": owner_name(name),
        "organization_slug": crate::slugs::owner_slug(&slug),
        "organization_id": ORGANIZATION,
        "vcs_info": {
            "vcs_url": url.unwrap_or_default(),
            "provider": provider_label(url).unwrap_or("Git"),
            "default_branch": default_branch.unwrap_or("main"),
        },
    })
}

/// Returns an artifact. All are of the first node: which one stored it is not kept.
pub(super) fn artifact(of: &ArtifactItem, url: &str) -> Value {
    json!({"path": of.path, "node_index": 0, "url": url})
}

/// Returns the result of a test.
pub(in crate::api::clients) fn test(of: &TestResult) -> Value {
    let result = match of.result {
        TestOutcome::Success => "success",
        TestOutcome::Skipped => "skipped",
        TestOutcome::Failure | TestOutcome::Error => "failure",
    };
    json!({
        "message": of.message.as_deref().unwrap_or_default(),
        "source": "unknown",
        "run_time": of.run_time_s,
        "file": of.file.as_deref().unwrap_or_default(),
        "result": result,
        "name": of.name,
        "classname": of.classname,
    })
}
