//! Steps: their headings, their output, their ends.

use russet_protocol::admin::StepState;
use russet_protocol::ids::JobId;
use russet_protocol::outcome::Outcome;

use super::{StepView, TextView};
use crate::color::outcome_sign;
use crate::render::numbers::duration_between;
use crate::render::terminal::{Cleaner, Piece};
use crate::render::{plain, split_hint};

/// Output that came before the announcement of its step is held up to this size.
const HELD: usize = 64 * 1024;

/// A step that took less than this ends without a line of its own, where it succeeded.
const WORTH_TELLING_MS: u64 = 1000;

impl TextView {
    pub(super) fn step(&mut self, job: &JobId, step: StepState) {
        let at = self.index(job, step.task);
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
        let shown = duration_between(0, took);
        if outcome == Outcome::Success {
            if took >= WORTH_TELLING_MS {
                let text = self.paint.dim(&format!("  {shown}"));
                self.line(at, &text);
            }
            return;
        }
        let (message, hint) = split_hint(step.message.as_deref().unwrap_or_default());
        let why = match (&step.message, step.exit_code) {
            (Some(_), _) => plain(message),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => outcome.to_string(),
        };
        let name = plain(&step.name);
        let text = self.paint.outcome(outcome, &format!("{} {name}: {why}", outcome_sign(outcome)));
        self.line(at, &format!("{text} {}", self.paint.dim(&format!("({shown})"))));
        if let Some(hint) = hint {
            self.line(at, &format!("  hint: {}", plain(hint)));
        }
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

    pub(super) fn output(&mut self, at: usize, step: u32, bytes: &[u8]) {
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
}
