//! Payloads of CircleCI's outbound webhooks, `workflow-completed` and `job-completed`, as
//! circleci.com/docs/reference/outbound-webhooks-reference has them. They are open maps, so ours has one
//! more key, `russet`. A payload is stored in the outbox: fields are only added.

use russet_protocol::ids::{JobId, PipelineId, WorkflowId};
use russet_protocol::notifications::NotifyEvent;
use russet_protocol::outcome::Outcome;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::name_ids::{ORGANIZATION, uuid_of};
use crate::people::namespace_of;
use crate::schedules::TRIGGER_SOURCE;
use crate::slugs::provider_of;
use crate::text::rfc3339;

/// Type of CircleCI's test event.
pub(crate) const PING: &str = "ping";

/// Facts of a workflow that ended, or of a job of one.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) project: String,
    pub(crate) pipeline: PipelineId,
    pub(crate) number: u64,
    pub(crate) created_ms: i64,
    pub(crate) branch: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) revision: Option<String>,
    pub(crate) repository_url: Option<String>,
    pub(crate) author: Option<String>,
    pub(crate) trigger_source: Option<String>,
    pub(crate) workflow: WorkflowId,
    pub(crate) workflow_name: String,
    /// Time at which this run of the workflow was made, in milliseconds since 1970.
    pub(crate) workflow_ms: i64,
    /// Set for the event of a job.
    pub(crate) job: Option<JobFacts>,
    pub(crate) outcome: Outcome,
}

/// Facts of a job.
#[derive(Debug)]
pub(crate) struct JobFacts {
    pub(crate) id: JobId,
    pub(crate) name: String,
    pub(crate) number: u64,
    pub(crate) started_ms: Option<i64>,
}

impl Facts {
    /// Returns the branch or the tag; empty where there is neither.
    pub(crate) fn reference(&self) -> &str {
        self.branch.as_deref().or(self.tag.as_deref()).unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> NotifyEvent {
        match self.job {
            Some(_) => NotifyEvent::JobCompleted,
            None => NotifyEvent::WorkflowCompleted,
        }
    }

    /// Returns the id of the event for a target: the same however often it is made.
    pub(crate) fn message_id(&self, target: &str) -> String {
        let of = self.job.as_ref().map_or(self.workflow.as_str(), |job| job.id.as_str());
        uuid_of(self.kind().as_str(), &format!("{of}\0{target}"))
    }
}

/// A payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CompletedEvent {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: NotifyEvent,
    pub(crate) happened_at: String,
    webhook: Named,
    project: ProjectPart,
    organization: Named,
    pub(crate) workflow: WorkflowPart,
    pub(crate) pipeline: PipelinePart,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<JobPart>,
    pub(crate) russet: RussetPart,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Named {
    id: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ProjectPart {
    id: String,
    name: String,
    slug: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkflowPart {
    id: WorkflowId,
    pub(crate) name: String,
    created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped_at: Option<String>,
    /// Page of the pipeline. Its path in the outbox: the server that delivers knows the origin.
    pub(crate) url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PipelinePart {
    id: PipelineId,
    pub(crate) number: u64,
    created_at: String,
    trigger: Trigger,
    pub(crate) vcs: Vcs,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Trigger {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vcs {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin_repository_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_repository_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobPart {
    id: JobId,
    pub(crate) name: String,
    number: u64,
    started_at: String,
    stopped_at: String,
    status: String,
}

/// What CircleCI's payloads do not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RussetPart {
    /// Name of the project here.
    pub(crate) project: String,
    pub(crate) outcome: Outcome,
    /// Outcome before, for targets that hear of changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) author: Option<String>,
}

impl CompletedEvent {
    /// Makes the payload of an event that happens now, for a target.
    pub(crate) fn of(
        facts: &Facts,
        (target, label): (&str, &str),
        previous: Option<String>,
        now_ms: i64,
    ) -> Self {
        let now = rfc3339(now_ms);
        let status = status_name(facts.outcome).to_owned();
        let is_workflow = facts.job.is_none();
        Self {
            id: facts.message_id(target),
            kind: facts.kind(),
            happened_at: now.clone(),
            webhook: Named { id: target.to_owned(), name: label.to_owned() },
            project: project_part(facts),
            organization: Named {
                id: ORGANIZATION.to_owned(),
                name: namespace_of(&facts.project).unwrap_or_else(|| "russet".to_owned()),
            },
            workflow: WorkflowPart {
                id: facts.workflow.clone(),
                name: facts.workflow_name.clone(),
                created_at: rfc3339(facts.workflow_ms),
                stopped_at: is_workflow.then(|| now.clone()),
                url: format!("/pipelines/{}", facts.pipeline),
                status: is_workflow.then(|| status.clone()),
            },
            pipeline: pipeline_part(facts),
            job: facts.job.as_ref().map(|job| JobPart {
                id: job.id.clone(),
                name: job.name.clone(),
                number: job.number,
                started_at: job.started_ms.map_or_else(|| now.clone(), rfc3339),
                stopped_at: now,
                status,
            }),
            russet: RussetPart {
                project: facts.project.clone(),
                outcome: facts.outcome,
                previous,
                author: facts.author.clone(),
            },
        }
    }
}

fn project_part(facts: &Facts) -> ProjectPart {
    let provider = provider_of(facts.repository_url.as_deref()).unwrap_or("circleci");
    ProjectPart {
        id: uuid_of("project", &facts.project),
        name: facts.project.rsplit('/').next().unwrap_or_default().to_owned(),
        slug: format!("{provider}/{}", facts.project),
    }
}

fn pipeline_part(facts: &Facts) -> PipelinePart {
    let url = facts.repository_url.clone();
    PipelinePart {
        id: facts.pipeline.clone(),
        number: facts.number,
        created_at: rfc3339(facts.created_ms),
        trigger: Trigger { kind: trigger_type(facts.trigger_source.as_deref()).to_owned() },
        vcs: Vcs {
            provider_name: provider_of(url.as_deref()).map(str::to_owned),
            origin_repository_url: url.clone(),
            target_repository_url: url,
            revision: facts.revision.clone(),
            branch: facts.branch.clone(),
            tag: facts.tag.clone(),
        },
    }
}

/// Returns the type that payloads have for a value of `pipeline.trigger_source`: the two differ.
pub(crate) fn trigger_type(source: Option<&str>) -> &str {
    match source.unwrap_or("api") {
        TRIGGER_SOURCE => "schedule",
        other => other,
    }
}

/// Returns the status that CircleCI's payloads have for an outcome.
fn status_name(outcome: Outcome) -> &'static str {
    match outcome {
        // One none of whose jobs had to run is as it should be.
        Outcome::Success | Outcome::NotRun => "success",
        Outcome::Failed | Outcome::TimedOut | Outcome::InfrastructureFail => "failed",
        Outcome::Canceled => "canceled",
        Outcome::Unauthorized => "unauthorized",
    }
}

/// Returns the body of a test event.
pub(crate) fn ping_body(id: &str, target: &str, label: &str, now_ms: i64) -> Value {
    json!({
        "type": PING,
        "id": id,
        "happened_at": rfc3339(now_ms),
        "webhook": {"id": target, "name": label},
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn facts() -> Facts {
        Facts {
            project: "acme/app".to_owned(),
            pipeline: "p1".into(),
            number: 12,
            created_ms: 1_000,
            branch: Some("main".to_owned()),
            tag: None,
            revision: Some("1dc6aa69429bff4806ad6afe58d3d8f57e25973e".to_owned()),
            repository_url: Some("git@github.com:acme/app.git".to_owned()),
            author: Some("ada".to_owned()),
            trigger_source: None,
            workflow: "w1".into(),
            workflow_name: "build".to_owned(),
            workflow_ms: 1_000,
            job: None,
            outcome: Outcome::TimedOut,
        }
    }

    #[test]
    fn an_event_has_the_same_id_each_time_and_another_for_each_target_and_job() {
        let (workflow, job) = (facts(), job_facts());
        assert_eq!(workflow.message_id("t"), facts().message_id("t"));
        let ids = [
            workflow.message_id("t"),
            workflow.message_id("u"),
            job.message_id("t"),
            job.message_id("u"),
        ];
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        let event = CompletedEvent::of(&workflow, ("t", "hook"), None, 9);
        assert_eq!(event.id, workflow.message_id("t"));
    }

    fn job_facts() -> Facts {
        let job =
            JobFacts { id: "j1".into(), name: "test".to_owned(), number: 3, started_ms: Some(2) };
        Facts { job: Some(job), ..facts() }
    }

    #[test]
    fn a_payload_of_a_job_has_its_status_and_that_of_the_workflow_left_out() {
        let event = CompletedEvent::of(&job_facts(), ("t", "hook"), None, 9_000);
        let value = serde_json::to_value(&event).unwrap();
        assert_eq!(value["type"], "job-completed");
        assert_eq!(value["job"]["status"], "failed");
        assert_eq!(value["job"]["started_at"], "1970-01-01T00:00:00.002Z");
        assert_eq!(value["workflow"].get("status"), None);
        assert_eq!(value["pipeline"]["trigger"]["type"], "api");
        assert_eq!(value["project"]["slug"], "github/acme/app");
        assert_eq!(value["pipeline"]["vcs"].get("tag"), None);
    }

    #[test]
    fn a_payload_that_a_newer_version_wrote_is_read() {
        let event = CompletedEvent::of(&facts(), ("t", "hook"), None, 9_000);
        let mut value = serde_json::to_value(&event).unwrap();
        value["later"] = json!(1);
        value["pipeline"]["vcs"]["later"] = json!(1);
        assert_eq!(serde_json::from_value::<CompletedEvent>(value).unwrap(), event);
    }

    #[test]
    fn a_scheduled_pipeline_has_the_type_that_payloads_have_for_it() {
        assert_eq!(trigger_type(Some("scheduled_pipeline")), "schedule");
        assert_eq!((trigger_type(Some("webhook")), trigger_type(None)), ("webhook", "api"));
    }

    #[test]
    fn a_provider_is_known_by_the_host_of_the_repository() {
        for (url, provider) in [
            ("https://github.com/acme/app", Some("github")),
            ("ssh://git@gitlab.com:22/acme/app", Some("gitlab")),
            ("https://git.example.com/github.com/app", None),
        ] {
            assert_eq!(provider_of(Some(url)), provider, "{url}");
        }
    }
}
