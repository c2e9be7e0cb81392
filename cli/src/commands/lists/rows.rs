//! Pipelines, workflows and jobs as rows of lists.

use russet_protocol::admin::{JobItem, Pipeline, PipelineHead, WorkflowItem};
use russet_protocol::outcome::{Outcome, Phase};

use crate::client::Listed;
use crate::render::numbers;

/// Element of a list for people.
pub(crate) trait Row: Listed + serde::Serialize {
    /// Headings of the columns.
    const HEADINGS: [&'static str; 7];

    /// Sentence for an empty list.
    const NONE: &'static str;

    /// Cells of its row.
    fn cells(&self, now_ms: u64) -> [String; 7];

    /// Times of the beginning and the end, in milliseconds since 1970.
    fn times(&self) -> (Option<u64>, Option<u64>);

    /// Duration in milliseconds; `None` for what did not begin. What runs counts so far.
    fn duration_ms(&self) -> Option<u64> {
        let (start, end) = self.times();
        start.map(|start| end.unwrap_or_else(numbers::now_ms).saturating_sub(start))
    }
}

/// Time that something took; of what runs, so far.
fn time_text((start, end): (Option<u64>, Option<u64>), now_ms: u64) -> String {
    match (start, end) {
        (Some(start), Some(end)) => numbers::duration_between(start, end),
        (Some(start), None) => format!("{} so far", numbers::duration_between(start, now_ms)),
        (None, _) => String::new(),
    }
}

impl Row for Pipeline {
    const HEADINGS: [&'static str; 7] =
        ["ID", "PROJECT", "NUMBER", "BRANCH", "STATE", "TIME", "SUBMITTED"];
    const NONE: &'static str = "No pipelines.";

    fn cells(&self, now_ms: u64) -> [String; 7] {
        [
            self.id.to_string(),
            self.project.clone(),
            self.number.to_string(),
            self.branch.clone().unwrap_or_default(),
            pipeline_state(self).to_owned(),
            time_text(self.times(), now_ms),
            numbers::local_time(self.created_ms),
        ]
    }

    /// From the first claim of a job to the end of the last one, over all runs.
    fn times(&self) -> (Option<u64>, Option<u64>) {
        let ran = || {
            let jobs = self.workflows.iter().flat_map(|workflow| &workflow.jobs);
            jobs.filter(|job| job.kept_from.is_none())
        };
        let has_ended = self.workflows.iter().all(|workflow| workflow.phase == Phase::Ended);
        let end = ran().filter_map(|job| job.ended_ms).max().filter(|_| has_ended);
        (ran().filter_map(|job| job.started_ms).min(), end)
    }
}

impl Row for WorkflowItem {
    const HEADINGS: [&'static str; 7] =
        ["ID", "PIPELINE", "WORKFLOW", "BRANCH", "STATE", "TIME", "SUBMITTED"];
    const NONE: &'static str = "No workflows.";

    fn cells(&self, now_ms: u64) -> [String; 7] {
        [
            self.id.to_string(),
            pipeline_name(&self.pipeline),
            run_name(&self.name, self.run),
            self.pipeline.branch.clone().unwrap_or_default(),
            self.phase.with_outcome(self.outcome).to_owned(),
            time_text(self.times(), now_ms),
            numbers::local_time(self.pipeline.created_ms),
        ]
    }

    fn times(&self) -> (Option<u64>, Option<u64>) {
        (self.started_ms, self.ended_ms)
    }
}

impl Row for JobItem {
    const HEADINGS: [&'static str; 7] =
        ["ID", "PIPELINE", "WORKFLOW", "JOB", "STATE", "TIME", "SUBMITTED"];
    const NONE: &'static str = "No jobs.";

    fn cells(&self, now_ms: u64) -> [String; 7] {
        [
            self.id.to_string(),
            pipeline_name(&self.pipeline),
            run_name(&self.workflow_name, self.run),
            self.name.clone(),
            self.phase.with_outcome(self.outcome).to_owned(),
            time_text(self.times(), now_ms),
            numbers::local_time(self.pipeline.created_ms),
        ]
    }

    fn times(&self) -> (Option<u64>, Option<u64>) {
        (self.started_ms, self.ended_ms)
    }
}

/// A pipeline as it may be named wherever an id is.
fn pipeline_name(pipeline: &PipelineHead) -> String {
    format!("{}#{}", pipeline.project, pipeline.number)
}

fn run_name(name: &str, run: u32) -> String {
    if run == 1 { name.to_owned() } else { format!("{name} (run {run})") }
}

/// The state of a whole pipeline in one word: that of the last runs of its workflows.
pub(crate) fn pipeline_state(pipeline: &Pipeline) -> &'static str {
    let phases = || pipeline.current_workflows().map(|workflow| workflow.phase);
    if phases().any(|phase| phase == Phase::Running) {
        return Phase::Running.as_str();
    }
    let mut jobs = pipeline.current_workflows().flat_map(|workflow| &workflow.jobs);
    if jobs.any(|job| job.phase == Phase::OnHold) {
        return Phase::OnHold.as_str();
    }
    if let Some(waits) = phases().find(|phase| *phase != Phase::Ended) {
        return waits.as_str();
    }
    let mut outcomes = pipeline.current_workflows().filter_map(|workflow| workflow.outcome);
    outcomes.find(|outcome| !outcome.is_success()).unwrap_or(Outcome::Success).as_str()
}
