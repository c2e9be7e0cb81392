//! Events as text for people.
//!
//! While one job runs, its output stands as it is, under a heading for each step. While several
//! run, each line begins with the name of its job. Lines of different steps never mix: a line
//! that is not complete is held until its end comes, and one so long that it is passed on in
//! pieces is ended before anything else is printed.

mod order;
mod steps;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use russet_protocol::admin::{Job, Pipeline, StreamEvent, Workflow};
use russet_protocol::ids::JobId;
use russet_protocol::machine::Waiting;
use russet_protocol::outcome::{Outcome, Phase};

use crate::client::Next;
use crate::color::{Paint, outcome_sign};
use crate::render::numbers::{counted, duration_between};
use crate::render::terminal::Cleaner;
use crate::render::{plain, split_hint};

/// The view.
#[derive(Debug)]
pub(super) struct TextView {
    paint: Paint,
    buffer: String,
    jobs: Vec<JobView>,
    /// The step whose output was printed last.
    current: Option<(usize, u32)>,
    /// Set if the last line that was printed lacks its end.
    line_is_open: bool,
    /// Length of the longest name of a job.
    name_width: usize,
}

#[derive(Debug)]
struct JobView {
    id: JobId,
    /// The task of the job whose steps these are. The first one stands for the job as well.
    task: u32,
    /// Number of tasks of the job at a time.
    parallelism: u32,
    /// Name of the job, and with several tasks at a time the index of this one.
    name: String,
    job_name: String,
    requires: Vec<String>,
    phase: Phase,
    started_ms: u64,
    steps: BTreeMap<u32, StepView>,
    /// The step in the foreground that is being shown.
    active: Option<u32>,
    /// Events of later steps while output of the active one was still on its way.
    waiting: VecDeque<Next>,
    /// Reason of its failure, for the summary.
    failure: Option<String>,
    /// Xcode that it names.
    xcode: Option<String>,
    /// Reason why it waits for a runner, as far as the control plane says it.
    wait: Option<Waiting>,
}

#[derive(Debug)]
struct StepView {
    name: Option<String>,
    background: bool,
    has_ended: bool,
    /// Output from before the announcement.
    held: Vec<u8>,
    cleaner: Cleaner,
}

impl TextView {
    pub(super) fn new(paint: Paint) -> Self {
        Self {
            paint,
            buffer: String::new(),
            jobs: Vec::new(),
            current: None,
            line_is_open: false,
            name_width: 0,
        }
    }

    /// Takes the text to write.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.buffer)
    }

    /// Adds text as it is.
    pub(super) fn push(&mut self, text: &str) {
        self.close_line();
        self.buffer.push_str(text);
    }

    /// Adds a line.
    pub(super) fn push_line(&mut self, text: &str) {
        self.buffer.push_str(text);
        self.buffer.push('\n');
    }

    /// Ends a line that waits for its end.
    pub(super) fn close_line(&mut self) {
        if std::mem::take(&mut self.line_is_open) {
            self.buffer.push('\n');
        }
    }

    /// Returns the reason of each failed job, by its name.
    pub(super) fn failures(&self) -> BTreeMap<JobId, String> {
        let failed =
            self.jobs.iter().filter_map(|job| Some((job.id.clone(), job.failure.clone()?)));
        failed.collect()
    }

    /// The first lines: what runs.
    pub(super) fn header(&mut self, pipeline: &Pipeline, project: &str) {
        let at = match (&pipeline.branch, &pipeline.revision) {
            (Some(branch), Some(revision)) => format!(" at {branch} ({})", short(revision)),
            (Some(branch), None) => format!(" at {branch}"),
            (None, Some(revision)) => format!(" at {}", short(revision)),
            (None, None) => String::new(),
        };
        let title = format!("{}{}", self.paint.strong(&plain(project)), plain(&at));
        self.push_line(&title);
        self.workflows(&pipeline.current_workflows().collect::<Vec<_>>());
    }

    /// Adds the workflows that a setup goes on with.
    pub(super) fn continued(&mut self, workflows: &[Workflow]) {
        self.close_line();
        let is_again = workflows.iter().any(|workflow| workflow.rerun.is_some());
        let title = if is_again { "Runs again" } else { "The setup goes on with" };
        let title = self.paint.strong(title);
        self.push_line(&title);
        self.workflows(&workflows.iter().collect::<Vec<_>>());
    }

    fn workflows(&mut self, workflows: &[&Workflow]) {
        for workflow in workflows {
            let jobs = counted(u64::try_from(workflow.jobs.len()).unwrap_or_default(), "job");
            let names: Vec<String> = workflow.jobs.iter().map(|job| plain(&job.name)).collect();
            let run = match workflow.run {
                1 => String::new(),
                run => format!(" (run {run})"),
            };
            let text = format!("  {}{run}: {jobs}: {}", plain(&workflow.name), names.join(", "));
            self.push_line(&text);
        }
    }

    fn show(&mut self, next: Next) {
        match next {
            Next::Event(event) => match *event {
                StreamEvent::Job { job, .. } => self.job(job),
                StreamEvent::Step { job, step } => self.step(&job, step),
                StreamEvent::Output { .. } | StreamEvent::End { .. } => {}
            },
            Next::Output { job, task, step, bytes, .. } => {
                let at = self.index(&job, task);
                self.output(at, step, &bytes);
            }
            Next::Away { reason } => {
                let text = format!("{}; asking again until it is back", plain(&reason));
                let line = self.paint.warn(&text);
                self.push_line(&line);
            }
        }
    }

    /// The status line, at `now_ms`. Empty where nothing waits or runs.
    pub(super) fn status(&self, now_ms: u64) -> String {
        let shown = self.jobs.iter().filter_map(|job| match job.phase {
            Phase::Ended => None,
            Phase::Blocked => {
                Some(self.paint.dim(&format!("{} after {}", job.name, job.requires.join(", "))))
            }
            Phase::OnHold => Some(format!("{} waits for an approval", job.name)),
            Phase::Queued if job.wait.is_some() => {
                let text = job.wait.as_ref().map_or("", |waiting| waiting.text.as_str());
                Some(format!("{} waits: {}", job.name, plain(text)))
            }
            Phase::Queued => {
                let with = job.xcode.as_ref().map(|xcode| format!(" with Xcode {xcode}"));
                Some(format!("{} waits for a runner{}", job.name, with.unwrap_or_default()))
            }
            Phase::Running => {
                let step = job.steps.values().rev().find(|step| !step.has_ended);
                let step = step.and_then(|step| step.name.as_deref()).unwrap_or("starting");
                let since = russet_text::format_duration(std::time::Duration::from_secs(
                    now_ms.saturating_sub(job.started_ms) / 1000,
                ));
                Some(format!("{} {since} · {step}", self.paint.strong(&job.name)))
            }
        });
        shown.collect::<Vec<_>>().join("  │  ")
    }

    fn index(&mut self, id: &JobId, task: u32) -> usize {
        if let Some(at) = self.jobs.iter().position(|job| job.id == *id && job.task == task) {
            return at;
        }
        // A further task of a job is where the job is.
        let of = self.jobs.iter().find(|job| job.id == *id);
        let (phase, parallelism) = of.map_or((Phase::Blocked, 1), |of| (of.phase, of.parallelism));
        let name = of.map_or_else(|| id.to_string(), |of| of.job_name.clone());
        self.jobs.push(JobView {
            id: id.clone(),
            task,
            parallelism,
            name: named(&name, task, parallelism),
            job_name: name,
            requires: Vec::new(),
            phase,
            started_ms: of.map_or(0, |of| of.started_ms),
            steps: BTreeMap::new(),
            active: None,
            waiting: VecDeque::new(),
            failure: None,
            xcode: None,
            wait: None,
        });
        self.jobs.len() - 1
    }

    fn job(&mut self, job: Job) {
        let first = self.index(&job.id, 0);
        let paint = self.paint;
        let before = self.jobs.get(first).map(|view| view.phase);
        let waited = self.jobs.get(first).and_then(|view| view.wait.as_ref());
        let waited = waited.map(|waiting| waiting.reason);
        if job.phase == Phase::Ended {
            // Nothing more comes: what waits is shown as it is.
            for view in self.jobs.iter_mut().filter(|view| view.id == job.id) {
                view.active = None;
            }
            let waiting = self.jobs.iter_mut().filter(|view| view.id == job.id);
            let waiting: Vec<Next> =
                waiting.flat_map(|view| std::mem::take(&mut view.waiting)).collect();
            for next in waiting {
                self.show(next);
            }
        }
        let name = plain(&job.name);
        for view in self.jobs.iter_mut().filter(|view| view.id == job.id) {
            view.job_name = name.clone();
            view.parallelism = job.parallelism;
            view.xcode = job.xcode.as_deref().map(plain);
            view.wait.clone_from(&job.waiting);
            view.name = named(&name, view.task, job.parallelism);
            view.phase = job.phase;
            view.requires.clone_from(&job.requires);
            view.started_ms = job.started_ms.unwrap_or_default();
            self.name_width = self.name_width.max(view.name.chars().count());
        }
        // Once for each kind of reason: numbers and times in it change all the time.
        if let Some(waiting) = job.waiting.as_ref().filter(|now| Some(now.reason) != waited) {
            let text = format!("{} {} waits: {}", paint.note("○"), name, plain(&waiting.text));
            self.push(&format!("{text}\n"));
            self.current = None;
        }
        if before == Some(job.phase) {
            return;
        }
        let name = paint.strong(&name);
        let Some(view) = self.jobs.get_mut(first) else { return };
        match (job.phase, job.outcome) {
            (Phase::Running, _) => {
                let runner = job.runner.map(|runner| format!(" on {}", plain(&runner)));
                self.push(&format!(
                    "\n{} {name} runs{}\n",
                    paint.note("●"),
                    runner.unwrap_or_default()
                ));
                self.current = None;
            }
            (Phase::Ended, Some(outcome)) => {
                if outcome != Outcome::Success && view.failure.is_none() {
                    view.failure = job.message.as_deref().map(|why| plain(split_hint(why).0));
                }
                let took = match (job.started_ms, job.ended_ms) {
                    (Some(start), Some(end)) => format!(" in {}", duration_between(start, end)),
                    _ => String::new(),
                };
                let why = job
                    .message
                    .map_or(String::new(), |why| format!(": {}", plain(split_hint(&why).0)));
                let mark = paint.outcome(outcome, outcome_sign(outcome));
                let word = paint.outcome(outcome, outcome.as_str());
                if outcome != Outcome::NotRun {
                    self.push(&format!("{mark} {name} {word}{took}{why}\n"));
                    self.current = None;
                }
            }
            _ => {}
        }
    }

    fn line(&mut self, at: usize, text: &str) {
        self.close_line();
        let prefix = self.prefix(at);
        self.buffer.push_str(&prefix);
        self.push_line(text);
    }

    fn has_prefix(&self) -> bool {
        self.jobs.iter().filter(|job| job.phase == Phase::Running).count() > 1
    }

    fn prefix(&self, at: usize) -> String {
        if !self.has_prefix() {
            return String::new();
        }
        let name = self.jobs.get(at).map_or("", |job| job.name.as_str());
        let padded = format!("{name:width$}", width = self.name_width);
        format!("{} {} ", self.paint.job(at, &padded), self.paint.dim("|"))
    }
}

/// Names a task: its job, and its index where there are several.
fn named(job: &str, task: u32, parallelism: u32) -> String {
    match task.checked_rem(parallelism) {
        Some(index) if parallelism > 1 => format!("{job}/{index}"),
        _ => job.to_owned(),
    }
}

/// The first digits of a commit.
fn short(revision: &str) -> &str {
    revision.get(..10).unwrap_or(revision)
}
