//! The live view of a pipeline: what `russet run` and `russet pipeline watch` show.
//!
//! [`text`] and [`json`] turn events into text and know no terminal; this module writes it out,
//! above a status line where there is a terminal for one.

mod json;
mod summary;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use russet_protocol::admin::{Job, Pipeline, StreamEvent, Workflow};
use russet_protocol::ids::{JobId, WorkflowId};
use russet_protocol::runner::TestResult;

use super::Format;
use super::numbers::now_ms;
use crate::client::Next;
use crate::color::Paint;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use json::JsonView;
use text::TextView;

pub(crate) use summary::exit_of;

/// Interval of drawing the status line.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// A file that was fetched.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    /// Name of the job.
    pub(crate) job: String,
    /// Path within the job's artifacts.
    pub(crate) path: String,
    /// Size in bytes.
    pub(crate) size: u64,
    /// File that it was put into.
    pub(crate) file: std::path::PathBuf,
}

/// View of a pipeline.
#[derive(Debug)]
pub(crate) struct Screen {
    view: View,
    status: Option<ProgressBar>,
    paint: Paint,
    /// Text of a status line while no job is there yet.
    doing: String,
    /// The workflows that were told of.
    workflows: BTreeSet<WorkflowId>,
    /// Jobs of earlier runs, and those that stand for them: their story was told.
    past: BTreeSet<JobId>,
}

#[derive(Debug)]
enum View {
    Text(TextView),
    Json(JsonView),
}

/// Returns the jobs of a pipeline that do not run now: those of earlier runs, and those that are
/// kept from them.
fn past_jobs(pipeline: &Pipeline) -> BTreeSet<JobId> {
    let current: BTreeSet<&WorkflowId> =
        pipeline.current_workflows().map(|workflow| &workflow.id).collect();
    let is_past =
        |workflow: &Workflow, job: &Job| !current.contains(&workflow.id) || job.kept_from.is_some();
    let jobs = pipeline
        .workflows
        .iter()
        .flat_map(|workflow| workflow.jobs.iter().filter(move |job| is_past(workflow, job)));
    jobs.map(|job| job.id.clone()).collect()
}

/// Returns the job that an event is about.
fn job_of(next: &Next) -> Option<&JobId> {
    match next {
        Next::Event(event) => match event.as_ref() {
            StreamEvent::Job { job, .. } => Some(&job.id),
            StreamEvent::Step { job, .. } | StreamEvent::Output { job, .. } => Some(job),
            StreamEvent::End { .. } => None,
        },
        Next::Output { job, .. } => Some(job),
        Next::Away { .. } => None,
    }
}

impl Screen {
    /// A screen on standard output. There is a status line where both standard output and
    /// standard error are a terminal.
    pub(crate) fn new(format: Format) -> Self {
        let paint = if format == Format::Text { Paint::stdout() } else { Paint::PLAIN };
        let is_live = format == Format::Text
            && std::io::stdout().is_terminal()
            && std::io::stderr().is_terminal()
            && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let status = is_live.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        let view = match format {
            Format::Text => View::Text(TextView::new(paint)),
            Format::Json => View::Json(JsonView::default()),
        };
        Self {
            view,
            status,
            paint,
            doing: String::new(),
            workflows: BTreeSet::new(),
            past: BTreeSet::new(),
        }
    }

    /// The colours of this screen.
    pub(crate) fn paint(&self) -> Paint {
        self.paint
    }

    /// Shows what is being prepared, on the status line only.
    pub(crate) fn doing(&mut self, what: impl Into<String>) {
        self.doing = what.into();
        self.tick();
    }

    /// Prints a line for people: above the status line, or to standard error under JSON.
    pub(crate) fn say(&mut self, text: &str) -> Result<()> {
        match &mut self.view {
            View::Text(view) => {
                view.close_line();
                view.push_line(text);
                self.flush()
            }
            View::Json(_) => {
                super::print_note(text);
                Ok(())
            }
        }
    }

    /// Returns true if a workflow was shown.
    pub(crate) fn knows(&self, workflow: &WorkflowId) -> bool {
        self.workflows.contains(workflow)
    }

    /// Tells which workflows a setup goes on with.
    pub(crate) fn continued(&mut self, pipeline: &Pipeline) -> Result<()> {
        let is_new = |workflow: &&Workflow| !self.workflows.contains(&workflow.id);
        let new: Vec<Workflow> = pipeline.workflows.iter().filter(is_new).cloned().collect();
        self.workflows.extend(new.iter().map(|workflow| workflow.id.clone()));
        self.past = past_jobs(pipeline);
        match &mut self.view {
            View::Text(view) => view.continued(&new),
            View::Json(view) => view.continued(&new),
        }
        self.flush()
    }

    /// Tells which pipeline this is.
    pub(crate) fn pipeline(&mut self, pipeline: &Pipeline, project: &str) -> Result<()> {
        self.workflows.extend(pipeline.workflows.iter().map(|workflow| workflow.id.clone()));
        self.past = past_jobs(pipeline);
        match &mut self.view {
            View::Text(view) => view.header(pipeline, project),
            View::Json(view) => view.pipeline(pipeline),
        }
        self.flush()
    }

    /// Shows what happened.
    pub(crate) fn event(&mut self, next: Next) -> Result<()> {
        if job_of(&next).is_some_and(|job| self.past.contains(job)) {
            return Ok(());
        }
        match &mut self.view {
            View::Text(view) => view.event(next),
            View::Json(view) => view.event(next),
        }
        self.flush()
    }

    /// Lists the artifacts that were fetched.
    pub(crate) fn artifacts(&mut self, fetched: &[Fetched], dir: &Path) -> Result<()> {
        match &mut self.view {
            View::Text(view) => view.push(&summary::artifacts(fetched, dir, self.paint)),
            View::Json(view) => view.artifacts(fetched),
        }
        self.flush()
    }

    /// Sums up test results, by job.
    pub(crate) fn tests(&mut self, tests: &BTreeMap<String, Vec<TestResult>>) -> Result<()> {
        match &mut self.view {
            View::Text(view) => view.push(&summary::tests(tests, self.paint)),
            View::Json(view) => view.tests(tests),
        }
        self.flush()
    }

    /// Ends the view: one line per job.
    pub(crate) fn end(&mut self, pipeline: &Pipeline, exit: Exit) -> Result<()> {
        self.clear();
        match &mut self.view {
            View::Text(view) => view.push(&summary::jobs(pipeline, view.failures(), self.paint)),
            View::Json(view) => view.result(pipeline, exit),
        }
        self.flush()
    }

    /// Takes the status line away.
    pub(crate) fn clear(&mut self) {
        if let Some(status) = self.status.take() {
            status.finish_and_clear();
        }
    }

    /// Draws the status line anew.
    pub(crate) fn tick(&mut self) {
        let (Some(status), View::Text(view)) = (&self.status, &self.view) else { return };
        let text = view.status(now_ms());
        status.set_message(if text.is_empty() { self.doing.clone() } else { text });
        status.tick();
    }

    /// A way to show progress in bytes from another task.
    pub(crate) fn progress(&self, label: String, total: u64) -> impl Fn(u64) + use<> {
        let status = self.status.clone();
        let sent = std::sync::atomic::AtomicU64::new(0);
        move |bytes| {
            let sent = sent.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed) + bytes;
            if let Some(status) = &status {
                let (sent, total) =
                    (russet_text::format_size(sent), russet_text::format_size(total));
                status.set_message(format!("{label} {sent} of {total}"));
                status.tick();
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        let text = match &mut self.view {
            View::Text(view) => view.take(),
            View::Json(view) => view.take(),
        };
        if text.is_empty() {
            return Ok(());
        }
        let write = || {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        };
        let written = match &self.status {
            // A line without its end stays open until the rest comes; the status line would
            // overwrite it, so it is not drawn meanwhile.
            Some(status) => status.suspend(write),
            None => write(),
        };
        written.map_err(|error| CliError::local("could not write to standard output", error))
    }
}
