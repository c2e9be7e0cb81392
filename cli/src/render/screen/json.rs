//! Events as JSON lines for machines.
//!
//! The lines are `russet_protocol::admin::StreamEvent`s as the control plane sends them, with
//! some of our own before and after: `pipeline`, `artifact`, `test`, `result`. docs/run.md
//! describes them.

use std::collections::BTreeMap;

use base64::Engine as _;
use russet_protocol::admin::{Pipeline, StreamEvent, Workflow};
use russet_protocol::runner::TestResult;
use serde::Serialize;
use serde_json::json;

use super::Fetched;
use crate::client::Next;
use crate::exit::Exit;

/// The view.
#[derive(Debug, Default)]
pub(super) struct JsonView {
    buffer: String,
}

impl JsonView {
    /// Takes the bytes to write.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.buffer)
    }

    fn line<T: Serialize>(&mut self, value: &T) {
        // Serializing these types to memory cannot fail: their keys are strings.
        if let Ok(text) = serde_json::to_string(value) {
            self.buffer.push_str(&text);
            self.buffer.push('\n');
        }
    }

    pub(super) fn pipeline(&mut self, pipeline: &Pipeline) {
        self.line(&json!({ "event": "pipeline", "pipeline": pipeline }));
    }

    pub(super) fn continued(&mut self, workflows: &[Workflow]) {
        self.line(&json!({ "event": "continued", "workflows": workflows }));
    }

    pub(super) fn event(&mut self, next: Next) {
        let event = match next {
            Next::Event(event) => *event,
            Next::Output { job, task, step, offset, bytes } => {
                let data = base64::engine::general_purpose::STANDARD.encode(bytes);
                StreamEvent::Output { job, task, step, offset, data }
            }
            Next::Away { reason } => {
                self.line(&json!({ "event": "away", "reason": reason }));
                return;
            }
        };
        self.line(&event);
    }

    pub(super) fn artifacts(&mut self, fetched: &[Fetched]) {
        for Fetched { job, path, size, file } in fetched {
            self.line(&json!({
                "event": "artifact", "job": job, "path": path, "size": size, "file": file,
            }));
        }
    }

    pub(super) fn tests(&mut self, tests: &BTreeMap<String, Vec<TestResult>>) {
        for (job, results) in tests {
            for result in results {
                self.line(&json!({ "event": "test", "job": job, "test": result }));
            }
        }
    }

    pub(super) fn result(&mut self, pipeline: &Pipeline, exit: Exit) {
        let jobs = pipeline.current_workflows().flat_map(|workflow| &workflow.jobs);
        let jobs: Vec<_> = jobs
            .map(|job| {
                json!({
                    "name": job.name,
                    "outcome": job.outcome,
                    "message": job.message,
                    "started_ms": job.started_ms,
                    "ended_ms": job.ended_ms,
                })
            })
            .collect();
        self.line(&json!({ "event": "result", "exit_code": exit.code(), "jobs": jobs }));
    }
}
