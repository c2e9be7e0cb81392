//! Spans of a pipeline and its parts, from what is stored. Pure.
//!
//! pipeline → compile, and workflow → job → queued, task → steps. Names of attributes are those of
//! OpenTelemetry's conventions for CI/CD
//! (<https://opentelemetry.io/docs/specs/semconv/cicd/cicd-spans/>); what they have no name for begins
//! with `russet.`. Threat: who may read traces may not be who may read pipelines: so no output, no
//! message, no variable and no address of a repository is in them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;
use russet_protocol::outcome::Outcome;

use super::ids::{TraceParent, span_of, trace_of_pipeline};
use crate::store::StepRow;
use crate::store::traced::{TracedJob, TracedPipeline, TracedTask, TracedWorkflow};

/// Longest name of a span, in characters.
const MAX_NAME: usize = 128;

/// Trace of a pipeline.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    id: TraceId,
    /// Span of the call that submitted the pipeline.
    parent: SpanId,
    /// The pipeline's own.
    root: SpanId,
    /// Beginning of links to pages, without a slash at its end.
    origin: Option<String>,
}

/// One span, as far as all have it in common.
struct Part<'a> {
    id: SpanId,
    parent: SpanId,
    kind: SpanKind,
    name: &'a str,
    /// Begin and end, in milliseconds since 1970.
    times: (i64, i64),
    outcome: Option<Outcome>,
    attributes: Vec<KeyValue>,
}

impl Trace {
    /// Returns the trace of a pipeline; `None` where the caller that submitted it records none.
    pub(super) fn of(pipeline: &TracedPipeline, origin: Option<&str>) -> Option<Self> {
        let parent = pipeline.parent.as_deref().and_then(TraceParent::parse);
        if parent.is_some_and(|parent| !parent.is_sampled) {
            return None;
        }
        let id = pipeline.id.as_str();
        Some(Self {
            id: parent.map_or_else(|| trace_of_pipeline(id), |parent| parent.trace),
            parent: parent.map_or(SpanId::INVALID, |parent| parent.span),
            root: span_of("pipeline", id),
            origin: origin.map(str::to_owned),
        })
    }

    /// Returns the span of the submit: what was compiled, until it was stored.
    pub(super) fn compile(&self, pipeline: &TracedPipeline) -> SpanData {
        self.span(Part {
            id: span_of("compile", pipeline.id.as_str()),
            parent: self.root,
            kind: SpanKind::Internal,
            name: "compile",
            times: (pipeline.submitted_ms, pipeline.created_ms),
            outcome: None,
            attributes: Vec::new(),
        })
    }

    /// Returns the span of the whole pipeline.
    pub(super) fn pipeline(&self, pipeline: &TracedPipeline, outcome: Outcome) -> SpanData {
        let id = pipeline.id.as_str();
        let mut attributes = vec![
            KeyValue::new("cicd.pipeline.name", pipeline.project.clone()),
            KeyValue::new("cicd.pipeline.action.name", "RUN"),
            KeyValue::new("cicd.pipeline.run.id", id.to_owned()),
            KeyValue::new("cicd.pipeline.result", result_of(outcome)),
            KeyValue::new("russet.pipeline.number", pipeline.number),
        ];
        if let Some(origin) = &self.origin {
            let url = format!("{origin}/pipelines/{id}");
            attributes.push(KeyValue::new("cicd.pipeline.run.url.full", url));
        }
        let head = match (&pipeline.branch, &pipeline.tag) {
            (Some(branch), _) => Some((branch, "branch")),
            (None, Some(tag)) => Some((tag, "tag")),
            (None, None) => None,
        };
        if let Some((name, kind)) = head {
            attributes.push(KeyValue::new("vcs.ref.head.name", name.clone()));
            attributes.push(KeyValue::new("vcs.ref.head.type", kind));
        }
        if let Some(revision) = &pipeline.revision {
            attributes.push(KeyValue::new("vcs.ref.head.revision", revision.clone()));
        }
        let name = format!("RUN {}", pipeline.project);
        let ended_ms = pipeline.ended_ms.unwrap_or(pipeline.created_ms);
        self.span(Part {
            id: self.root,
            parent: self.parent,
            kind: SpanKind::Server,
            name: &name,
            times: (pipeline.submitted_ms, ended_ms),
            outcome: Some(outcome),
            attributes,
        })
    }

    /// Returns the span of a run of a workflow.
    pub(super) fn workflow(&self, workflow: &TracedWorkflow, created_ms: i64) -> SpanData {
        let started_ms = workflow.started_ms.unwrap_or(created_ms);
        let id = workflow.id.as_str();
        self.span(Part {
            id: span_of("workflow", id),
            parent: self.root,
            kind: SpanKind::Internal,
            name: &workflow.name,
            times: (started_ms, workflow.ended_ms.unwrap_or(started_ms)),
            outcome: workflow.outcome,
            attributes: vec![KeyValue::new("russet.workflow.id", id.to_owned())],
        })
    }

    /// Returns the span of a job, from the line to its end.
    pub(super) fn job(&self, job: &TracedJob) -> SpanData {
        let ended_ms = job.ended_ms.or(job.queued_ms).unwrap_or_default();
        let id = job.id.as_str();
        let mut attributes = vec![
            KeyValue::new("cicd.pipeline.task.name", job.name.clone()),
            KeyValue::new("cicd.pipeline.task.run.id", id.to_owned()),
            KeyValue::new("russet.job.number", job.number),
            KeyValue::new("russet.resource_class", job.class.clone()),
        ];
        if let Some(outcome) = job.outcome {
            let result = KeyValue::new("cicd.pipeline.task.run.result", result_of(outcome));
            attributes.push(result);
        }
        if let Some(origin) = &self.origin {
            let url = format!("{origin}/jobs/{id}");
            attributes.push(KeyValue::new("cicd.pipeline.task.run.url.full", url));
        }
        self.span(Part {
            id: span_of("job", id),
            parent: span_of("workflow", job.workflow.as_str()),
            kind: SpanKind::Internal,
            name: &job.name,
            times: (job.queued_ms.unwrap_or(ended_ms), ended_ms),
            outcome: job.outcome,
            attributes,
        })
    }

    /// Returns the spans of a task: its wait for a machine, itself, and its steps.
    pub(super) fn task(&self, task: &TracedTask, steps: &[StepRow]) -> Vec<SpanData> {
        let id = task.id.as_str();
        let ended_ms = task.ended_ms.or(task.claimed_ms).unwrap_or_default();
        let queued_ms = task.queued_ms.or(task.claimed_ms).unwrap_or(ended_ms);
        let mut spans = vec![self.span(Part {
            id: span_of("wait", id),
            parent: span_of("job", task.job.as_str()),
            kind: SpanKind::Internal,
            name: "queued",
            times: (queued_ms, task.claimed_ms.unwrap_or(ended_ms)),
            outcome: None,
            attributes: vec![KeyValue::new("russet.resource_class", task.class.clone())],
        })];
        let Some(claimed_ms) = task.claimed_ms else { return spans };
        let mut attributes = vec![
            KeyValue::new("russet.task.id", id.to_owned()),
            KeyValue::new("russet.task.number", task.ordinal),
            KeyValue::new("russet.resource_class", task.class.clone()),
        ];
        if let Some(runner) = &task.runner {
            attributes.push(KeyValue::new("cicd.worker.name", runner.clone()));
        }
        spans.push(self.span(Part {
            id: span_of("task", id),
            parent: span_of("job", task.job.as_str()),
            kind: SpanKind::Internal,
            name: "task",
            times: (claimed_ms, ended_ms),
            outcome: task.outcome,
            attributes,
        }));
        spans.extend(steps.iter().map(|row| self.step(id, row, ended_ms)));
        spans
    }

    fn step(&self, task: &str, row: &StepRow, task_ended_ms: i64) -> SpanData {
        let step = &row.step;
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let ended_ms = step.ended_ms.map_or(task_ended_ms, ms);
        let mut attributes = vec![
            KeyValue::new("russet.step.number", i64::from(step.number)),
            KeyValue::new("russet.step.background", step.background),
        ];
        if let Some(code) = step.exit_code {
            attributes.push(KeyValue::new("process.exit.code", i64::from(code)));
        }
        self.span(Part {
            id: span_of("step", &format!("{task}\0{}", step.number)),
            parent: span_of("task", task),
            kind: SpanKind::Internal,
            name: &step.name,
            times: (ms(step.started_ms), ended_ms),
            outcome: step.outcome,
            attributes,
        })
    }

    fn span(&self, part: Part<'_>) -> SpanData {
        let Part { id, parent, kind, name, times: (start_ms, end_ms), outcome, mut attributes } =
            part;
        let error = outcome.filter(|outcome| is_error(*outcome)).map(Outcome::as_str);
        if let Some(error) = error {
            attributes.push(KeyValue::new("error.type", error));
        }
        let flags = TraceFlags::SAMPLED;
        SpanData {
            span_context: SpanContext::new(self.id, id, flags, false, TraceState::default()),
            parent_span_id: parent,
            parent_span_is_remote: id == self.root && parent != SpanId::INVALID,
            span_kind: kind,
            name: name.chars().take(MAX_NAME).collect::<String>().into(),
            start_time: time_of(start_ms),
            // Clocks of servers and machines differ a little; a span does not end before it begins.
            end_time: time_of(end_ms.max(start_ms)),
            attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: match (error, outcome) {
                (Some(error), _) => Status::error(error),
                (None, Some(Outcome::Success)) => Status::Ok,
                (None, _) => Status::Unset,
            },
            instrumentation_scope: InstrumentationScope::builder("russet").build(),
        }
    }
}

fn time_of(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

fn is_error(outcome: Outcome) -> bool {
    use Outcome::{Canceled, Failed, InfrastructureFail, NotRun, Success, TimedOut, Unauthorized};
    match outcome {
        Failed | TimedOut | InfrastructureFail | Unauthorized => true,
        Success | Canceled | NotRun => false,
    }
}

/// Returns the word of the conventions for an outcome.
fn result_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Failed | Outcome::Unauthorized => "failure",
        Outcome::Canceled => "cancellation",
        Outcome::TimedOut => "timeout",
        Outcome::InfrastructureFail => "error",
        Outcome::NotRun => "skip",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pipeline(parent: Option<&str>) -> TracedPipeline {
        TracedPipeline {
            id: "p".into(),
            project: "acme/app".to_owned(),
            number: 7,
            branch: Some("main".to_owned()),
            tag: None,
            revision: None,
            parent: parent.map(str::to_owned),
            submitted_ms: 1000,
            created_ms: 1200,
            ended_ms: Some(9000),
        }
    }

    #[test]
    fn a_pipeline_is_a_part_of_the_trace_of_its_caller_unless_that_is_not_recorded() {
        let own = pipeline(None);
        let trace = Trace::of(&own, Some("https://ci")).unwrap();
        let span = trace.pipeline(&own, Outcome::Failed);
        assert_eq!(span.parent_span_id, SpanId::INVALID);
        assert_eq!(span.end_time.duration_since(span.start_time).unwrap(), Duration::from_secs(8));
        assert_eq!(span.status, Status::error("failed"));
        assert_eq!(trace.compile(&own).parent_span_id, span.span_context.span_id());
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let theirs = pipeline(Some(parent));
        let span = Trace::of(&theirs, None).unwrap().pipeline(&theirs, Outcome::Success);
        assert_eq!(span.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
        assert!(span.parent_span_is_remote);
        assert!(Trace::of(&pipeline(Some(&parent.replace("-01", "-00"))), None).is_none());
    }

    #[test]
    fn a_task_that_nobody_had_has_a_wait_alone_and_no_span_ends_before_it_begins() {
        let trace = Trace::of(&pipeline(None), None).unwrap();
        let task = TracedTask {
            id: "t".into(),
            job: "j".into(),
            pipeline: "p".into(),
            class: "acme/mini".to_owned(),
            ordinal: 0,
            outcome: Some(Outcome::Canceled),
            runner: None,
            queued_ms: Some(5000),
            claimed_ms: None,
            ended_ms: Some(4000),
        };
        let spans = trace.task(&task, &[]);
        assert_eq!(spans.len(), 1);
        assert_eq!(spans[0].start_time, spans[0].end_time);
        assert_eq!(spans[0].parent_span_id, span_of("job", "j"));
        let had = TracedTask { claimed_ms: Some(5500), ended_ms: Some(6000), ..task };
        assert_eq!(trace.task(&had, &[]).len(), 2);
    }
}
