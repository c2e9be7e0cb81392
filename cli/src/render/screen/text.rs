//! Events as text for people.
//!
//! While one job runs, its output stands as it is, under a heading for each step. While several
//! run, each line begins with the name of its job. Lines of different steps never mix: a line
//! that is not complete is held until its end comes, and one so long that it is passed on in
//! pieces is ended before anything else is printed.

use std::collections::{BTreeMap, VecDeque};

use russet_protocol::admin::{Job, Pipeline, StepState, StreamEvent};
use russet_protocol::ids::JobId;
use russet_protocol::outcome::{Outcome, Phase};

use crate::client::Next;
use crate::render::color::{Paint, sign};
use crate::render::numbers::{between, count, elapsed};
use crate::render::terminal::{Cleaner, Piece};

/// Output that came before the announcement of its step is held up to this size.
const HELD: usize = 64 * 1024;

/// A step that took less than this ends without a line of its own, where it succeeded.
const WORTH_TELLING_MS: u64 = 1000;

/// The view.
#[derive(Debug)]
pub(super) struct TextView {
    paint: Paint,
    buffer: String,
    jobs: Vec<JobView>,
    /// The step whose output was printed last.
    current: Option<(usize, u32)>,
    /// Whether the last line that was printed lacks its end.
    line_is_open: bool,
    /// Length of the longest name of a job.
    name_width: usize,
}

#[derive(Debug)]
struct JobView {
    id: JobId,
    name: String,
    requires: Vec<String>,
    phase: Phase,
    started_ms: u64,
    steps: BTreeMap<u32, StepView>,
    /// The step in the foreground that is being shown.
    active: Option<u32>,
    /// What came of later steps while output of the active one was still on its way.
    waiting: VecDeque<Next>,
    /// Why it failed, for the summary.
    failure: Option<String>,
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

    /// What is to be written.
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

    /// Why each failed job did, by its name.
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
        for workflow in &pipeline.workflows {
            let jobs = count(u64::try_from(workflow.jobs.len()).unwrap_or_default(), "job");
            let names: Vec<String> = workflow.jobs.iter().map(|job| plain(&job.name)).collect();
            let text = format!("  {}: {jobs}: {}", plain(&workflow.name), names.join(", "));
            self.push_line(&text);
        }
    }

    /// Takes what happened.
    ///
    /// The agent announces a step as soon as it starts, while output of the one before may still
    /// be on its way. What is of the later step waits until the earlier one has ended, so that
    /// output stands under its own heading. Steps in the background are shown as they come.
    pub(super) fn event(&mut self, next: Next) {
        let Some(at) = self.job_of(&next) else { return self.show(next) };
        if self.has_to_wait(at, &next) {
            if let Some(job) = self.jobs.get_mut(at) {
                job.waiting.push_back(next);
            }
            return;
        }
        self.show(next);
        self.show_waiting(at);
    }

    /// Shows what waits, as far as the end of the active step allows.
    fn show_waiting(&mut self, at: usize) {
        let mut waiting = match self.jobs.get_mut(at) {
            Some(job) => std::mem::take(&mut job.waiting),
            None => return,
        };
        while let Some(next) = waiting.pop_front() {
            if self.has_to_wait(at, &next) {
                waiting.push_front(next);
                break;
            }
            self.show(next);
        }
        if let Some(job) = self.jobs.get_mut(at) {
            job.waiting = waiting;
        }
    }

    /// The job that an event of a step is about.
    fn job_of(&mut self, next: &Next) -> Option<usize> {
        let id = match next {
            Next::Output { job, .. } => job,
            Next::Event(event) => match event.as_ref() {
                StreamEvent::Step { job, .. } => job,
                _ => return None,
            },
        };
        Some(self.index(id))
    }

    fn has_to_wait(&self, at: usize, next: &Next) -> bool {
        let Some(job) = self.jobs.get(at) else { return false };
        let Some(active) = job.active else { return false };
        match next {
            Next::Output { step, .. } => *step != active && !job.steps.contains_key(step),
            Next::Event(event) => match event.as_ref() {
                StreamEvent::Step { step, .. } => {
                    step.number != active
                        && !step.background
                        && !job.steps.contains_key(&step.number)
                }
                _ => false,
            },
        }
    }

    fn show(&mut self, next: Next) {
        match next {
            Next::Event(event) => match *event {
                StreamEvent::Job { job, .. } => self.job(job),
                StreamEvent::Step { job, step } => self.step(&job, step),
                StreamEvent::Output { .. } | StreamEvent::End { .. } => {}
            },
            Next::Output { job, step, bytes, .. } => self.output(&job, step, &bytes),
        }
    }

    /// The status line, at `now_ms`. Empty where nothing waits or runs.
    pub(super) fn status(&self, now_ms: u64) -> String {
        let shown = self.jobs.iter().filter_map(|job| match job.phase {
            Phase::Ended => None,
            Phase::Blocked => {
                Some(self.paint.dim(&format!("{} after {}", job.name, job.requires.join(", "))))
            }
            Phase::Queued => Some(format!("{} waits for a runner", job.name)),
            Phase::Running => {
                let step = job.steps.values().rev().find(|step| !step.has_ended);
                let step = step.and_then(|step| step.name.as_deref()).unwrap_or("starting");
                let since = elapsed(std::time::Duration::from_secs(
                    now_ms.saturating_sub(job.started_ms) / 1000,
                ));
                let since = since.replace(".0 s", " s").replace("0.00 s", "0 s");
                Some(format!("{} {since} · {step}", self.paint.strong(&job.name)))
            }
        });
        shown.collect::<Vec<_>>().join("  │  ")
    }

    fn index(&mut self, id: &JobId) -> usize {
        if let Some(at) = self.jobs.iter().position(|job| job.id == *id) {
            return at;
        }
        self.jobs.push(JobView {
            id: id.clone(),
            name: id.to_string(),
            requires: Vec::new(),
            phase: Phase::Blocked,
            started_ms: 0,
            steps: BTreeMap::new(),
            active: None,
            waiting: VecDeque::new(),
            failure: None,
        });
        self.jobs.len() - 1
    }

    fn job(&mut self, job: Job) {
        let at = self.index(&job.id);
        let paint = self.paint;
        let Some(view) = self.jobs.get_mut(at) else { return };
        let before = view.phase;
        if job.phase == Phase::Ended {
            // Nothing more comes: what waits is shown as it is.
            view.active = None;
            for next in std::mem::take(&mut view.waiting) {
                self.show(next);
            }
        }
        let Some(view) = self.jobs.get_mut(at) else { return };
        view.name = plain(&job.name);
        view.phase = job.phase;
        view.requires = job.requires;
        view.started_ms = job.started_ms.unwrap_or_default();
        self.name_width = self.name_width.max(view.name.chars().count());
        if before == job.phase {
            return;
        }
        let name = paint.strong(&view.name);
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
                    view.failure = job.message.as_deref().map(plain);
                }
                let took = match (job.started_ms, job.ended_ms) {
                    (Some(start), Some(end)) => format!(" in {}", between(start, end)),
                    _ => String::new(),
                };
                let why = job.message.map_or(String::new(), |why| format!(": {}", plain(&why)));
                let mark = paint.outcome(outcome, sign(outcome));
                let word = paint.outcome(outcome, outcome.as_str());
                if outcome != Outcome::NotRun {
                    self.push(&format!("{mark} {name} {word}{took}{why}\n"));
                    self.current = None;
                }
            }
            _ => {}
        }
    }

    fn step(&mut self, job: &JobId, step: StepState) {
        let at = self.index(job);
        if step.outcome == Some(Outcome::NotRun) {
            return;
        }
        let name = plain(&step.name);
        let view = self.step_view(at, step.number);
        let is_new = view.name.is_none();
        view.name = Some(name.clone());
        view.background = step.background;
        let had_ended = std::mem::replace(&mut view.has_ended, step.outcome.is_some());
        if is_new
            && !step.background
            && let Some(job) = self.jobs.get_mut(at)
        {
            job.active = Some(step.number);
        }
        if is_new {
            let view = self.step_view(at, step.number);
            let held = std::mem::take(&mut view.held);
            self.heading(at, step.number, "");
            self.print(at, step.number, &held);
        }
        if let Some(outcome) = step.outcome
            && !had_ended
        {
            self.finish_step(at, step.number);
            if let Some(job) = self.jobs.get_mut(at)
                && job.active == Some(step.number)
            {
                job.active = None;
            }
            self.step_ended(at, &step, outcome);
        }
    }

    fn step_ended(&mut self, at: usize, step: &StepState, outcome: Outcome) {
        let took = step.ended_ms.unwrap_or(step.started_ms).saturating_sub(step.started_ms);
        let shown = between(0, took);
        if outcome == Outcome::Success {
            if took >= WORTH_TELLING_MS {
                let text = self.paint.dim(&format!("  {shown}"));
                self.line(at, &text);
            }
            return;
        }
        let why = match (&step.message, step.exit_code) {
            (Some(message), _) => plain(message),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => outcome.to_string(),
        };
        let name = plain(&step.name);
        let text = self.paint.outcome(outcome, &format!("{} {name}: {why}", sign(outcome)));
        self.line(at, &format!("{text} {}", self.paint.dim(&format!("({shown})"))));
        if let Some(job) = self.jobs.get_mut(at)
            && job.failure.is_none()
        {
            job.failure = Some(format!("`{name}`: {why}"));
        }
    }

    fn step_view(&mut self, at: usize, number: u32) -> &mut StepView {
        let new = || StepView {
            name: None,
            background: false,
            has_ended: false,
            held: Vec::new(),
            cleaner: Cleaner::new(self.paint.is_on()),
        };
        // `at` comes from `index`, so the job is there; should it not be, the last one serves.
        let at = at.min(self.jobs.len().saturating_sub(1));
        self.jobs[at].steps.entry(number).or_insert_with(new)
    }

    fn output(&mut self, job: &JobId, step: u32, bytes: &[u8]) {
        let at = self.index(job);
        let view = self.step_view(at, step);
        if view.name.is_none() {
            view.held.extend_from_slice(bytes);
            if view.held.len() < HELD {
                return;
            }
            view.name = Some(format!("Step {step}"));
            let held = std::mem::take(&mut view.held);
            self.heading(at, step, "");
            return self.print(at, step, &held);
        }
        self.print(at, step, bytes);
    }

    fn print(&mut self, at: usize, step: u32, bytes: &[u8]) {
        let mut pieces = Vec::new();
        self.step_view(at, step).cleaner.feed(bytes, |piece| pieces.push(piece));
        self.pieces(at, step, pieces);
    }

    fn finish_step(&mut self, at: usize, step: u32) {
        let mut pieces = Vec::new();
        self.step_view(at, step).cleaner.finish(|piece| pieces.push(piece));
        self.pieces(at, step, pieces);
    }

    fn pieces(&mut self, at: usize, step: u32, pieces: Vec<Piece>) {
        for piece in pieces {
            if self.current != Some((at, step)) {
                self.close_line();
                // With a prefix, a line says of which job it is; the step has to be said where
                // another one of the same job came between.
                if !matches!(self.current, Some((job, _)) if job != at && self.has_prefix()) {
                    self.heading(at, step, " (goes on)");
                }
                self.current = Some((at, step));
            }
            if !self.line_is_open {
                let prefix = self.prefix(at);
                self.buffer.push_str(&prefix);
            }
            self.buffer.push_str(&piece.text);
            self.line_is_open = !piece.ends_line;
            if piece.ends_line {
                self.buffer.push('\n');
            }
        }
    }

    fn heading(&mut self, at: usize, step: u32, suffix: &str) {
        let view = self.step_view(at, step);
        let background = if view.background { " (in the background)" } else { "" };
        let name = view.name.clone().unwrap_or_else(|| format!("Step {step}"));
        let text = format!("{} {}", self.paint.note("▶"), self.paint.strong(&name));
        self.line(at, &format!("{text}{}", self.paint.dim(&format!("{background}{suffix}"))));
        self.current = Some((at, step));
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

/// Names come from the project: control characters in them must not reach the terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The first digits of a commit.
fn short(revision: &str) -> &str {
    revision.get(..10).unwrap_or(revision)
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
