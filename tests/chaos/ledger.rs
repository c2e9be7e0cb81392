//! The account of a run: each task has exactly one outcome, the right one, and its output is whole
//! and there once.
//!
//! A fault excuses no more than it ends by design: a task whose task agent was killed while a step
//! ran is an infrastructure failure that says so, and one that ran while its disk was full has
//! failed and says that. All others are as if nothing had happened.

use std::collections::BTreeMap;
use std::path::Path;

use russet_protocol::admin::{Job as JobState, Pipeline};
use russet_protocol::outcome::Outcome;

use crate::database::TaskRow;
use crate::driver::Submitted;
use crate::jobs::{Job, Kind};
use crate::striker::Hits;
use crate::support::Admin;

/// The faults that may have ended a task.
#[derive(Clone, Copy, Debug)]
struct Excuse {
    killed: bool,
    disk_was_full: bool,
}

/// Lists what is wrong with the tasks of these pipelines.
pub struct Ledger<'a> {
    /// The control plane.
    pub admin: &'a Admin,
    /// Rows of its tasks.
    pub tasks: &'a [TaskRow],
    /// Tasks that a fault may have ended.
    pub hits: &'a Hits,
}

impl Ledger<'_> {
    /// Checks every task of a pipeline.
    pub fn check(&self, submitted: &Submitted, found: &mut Vec<String>) {
        let jobs: BTreeMap<&str, &JobState> = jobs_by_name(&submitted.pipeline);
        for job in &submitted.batch.jobs {
            let Some(state) = jobs.get(job.name().as_str()) else {
                found.push(format!("{}: the pipeline has no such job", job.name()));
                continue;
            };
            let state = self.admin.job(&state.id);
            self.check_job(job, &state, found);
        }
    }

    fn check_job(&self, job: &Job, state: &JobState, found: &mut Vec<String>) {
        let id = state.id.to_string();
        let rows: Vec<&TaskRow> = self.tasks.iter().filter(|row| row.job == id).collect();
        if rows.len() != job.kind.parallelism() {
            found.push(format!("{} has {} tasks: {rows:?}", job.name(), rows.len()));
        }
        for row in rows {
            if let Err(what) = self.check_task(job, state, row) {
                let Job { key, kind } = job;
                found.push(format!(
                    "task {} (job {key}, {kind:?}, number {}, on {:?}): {what}\n    outcome {}, \
                     message {:?}, steps {:?}",
                    row.id, row.number, state.runner, row.outcome, row.message, state.steps
                ));
            }
        }
    }

    fn check_task(&self, job: &Job, state: &JobState, row: &TaskRow) -> Result<(), String> {
        let excuse = self.excuse_of(job, state, row);
        let expected = job.kind.outcome();
        let is_whole = row.outcome == expected.as_str();
        if !is_whole {
            self.check_failure(excuse, state, row)
                .map_err(|what| format!("{what}; {expected:?} expected"))?;
        }
        if job.kind == Kind::FillsDisk {
            return self.check_reason_is_disk(state);
        }
        // A task that was put back before it began has another number, and the same index.
        let index = row.number % job.kind.parallelism() as u64;
        for (step, expected) in job.output(index) {
            self.check_output(state, row.number, step, &expected, is_whole)?;
        }
        if is_whole && let Some(bytes) = job.artifact() {
            self.check_artifact(state, &bytes)?;
        }
        Ok(())
    }

    /// Says what is wrong with an outcome that is not the job's own.
    fn check_failure(&self, excuse: Excuse, state: &JobState, row: &TaskRow) -> Result<(), String> {
        let is = |wanted: Outcome| row.outcome == wanted.as_str();
        if excuse.disk_was_full && (is(Outcome::Failed) || is(Outcome::InfrastructureFail)) {
            return self.check_reason_is_disk(state);
        }
        if !excuse.killed {
            return Err("no fault explains that it ended so".to_owned());
        }
        if !is(Outcome::InfrastructureFail) {
            return Err("its task agent was killed, which is no failure of the job".to_owned());
        }
        if !row.has_begun {
            return Err(
                "its task agent was killed before a step began: it had to run again".to_owned()
            );
        }
        if !row.message.contains("task agent") {
            return Err("nothing says that its task agent was killed".to_owned());
        }
        Ok(())
    }

    fn check_reason_is_disk(&self, state: &JobState) -> Result<(), String> {
        let said = format!("{:?} {:?} {}", state.message, state.steps, self.admin.output(state));
        let is_said =
            ["space", "disk", "task agent was killed"].iter().any(|part| said.contains(part));
        if is_said { Ok(()) } else { Err("nothing says that the disk was full".to_owned()) }
    }

    fn excuse_of(&self, job: &Job, state: &JobState, row: &TaskRow) -> Excuse {
        let (start, end) = (state.started_ms.unwrap_or(0), state.ended_ms.unwrap_or(u64::MAX));
        let on_small = matches!(job.kind, Kind::OnSmallDisk | Kind::FillsDisk);
        let was_full = self.hits.disk_was_full.iter().any(|&(from, to)| start <= to && from <= end);
        Excuse { killed: self.hits.killed.contains(&row.id), disk_was_full: on_small && was_full }
    }

    fn check_output(
        &self,
        state: &JobState,
        task: u64,
        step: u32,
        expected: &[u8],
        is_whole: bool,
    ) -> Result<(), String> {
        let path =
            format!("/api/v3/jobs/{}/stdout?filter[task]={task}&filter[step_num]={step}", state.id);
        let (status, output) = self.admin.send(reqwest::Method::GET, &path, None).unwrap();
        let stored: u64 = state
            .steps
            .iter()
            .filter(|one| u64::from(one.task) == task && one.number == step)
            .map(|one| one.output_bytes)
            .sum();
        // A step that never began has no output to ask for.
        let output = if status == 200 { output } else { Vec::new() };
        if output.len() as u64 != stored {
            return Err(format!("step {step} has {} bytes, and {stored} by its row", output.len()));
        }
        let is_right = if is_whole { output == expected } else { expected.starts_with(&output) };
        if is_right { Ok(()) } else { Err(describe_difference(step, expected, &output)) }
    }

    fn check_artifact(&self, state: &JobState, expected: &[u8]) -> Result<(), String> {
        let list = self.admin.artifacts(state);
        let paths: Vec<&str> = list.iter().map(|item| item.path.as_str()).collect();
        let [item] = list.as_slice() else { return Err(format!("its artifacts are {paths:?}")) };
        let path = format!("/api/v3/jobs/{}/artifacts/{}", state.id, item.path);
        let (status, bytes) = self.admin.send(reqwest::Method::GET, &path, None).unwrap();
        if status == 200 && bytes == expected {
            return Ok(());
        }
        Err(format!(
            "artifact {} is not what was stored: {status}, {} bytes",
            item.path,
            bytes.len()
        ))
    }
}

fn jobs_by_name(pipeline: &Pipeline) -> BTreeMap<&str, &JobState> {
    let jobs = pipeline.workflows.iter().flat_map(|workflow| &workflow.jobs);
    jobs.map(|job| (job.name.as_str(), job)).collect()
}

/// Says where an output begins to be another one.
fn describe_difference(step: u32, expected: &[u8], found: &[u8]) -> String {
    let at = expected.iter().zip(found).take_while(|(one, other)| one == other).count();
    let from = at.saturating_sub(60);
    let part = |bytes: &[u8]| {
        String::from_utf8_lossy(&bytes[from.min(bytes.len())..bytes.len().min(at + 80)])
            .into_owned()
    };
    format!(
        "output of step {step} is wrong from byte {at} of {} (it has {}):\n    expected …{:?}\n    \
         found    …{:?}",
        expected.len(),
        found.len(),
        part(expected),
        part(found)
    )
}

/// Lists the tasks that began more than once, by the file to which each adds a line.
pub fn list_doubled(ran: &Path, unsure: usize) -> Vec<String> {
    let text = std::fs::read_to_string(ran).unwrap();
    let mut counts = BTreeMap::<&str, usize>::new();
    for line in text.lines() {
        *counts.entry(line).or_default() += 1;
    }
    // A submit whose answer was lost was made again, so its tasks may be there twice, as tasks of two
    // pipelines.
    counts.retain(|_, count| *count > 1 + unsure);
    counts.iter().map(|(line, count)| format!("task {line} began {count} times")).collect()
}
