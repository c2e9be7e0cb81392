//! Record of a task's steps, as people read it: beginnings, ends, and lines in their output. No
//! secret gets into it.

use std::fmt::Display;
use std::io;
use std::sync::Arc;

use russet_protocol::runner::EventKind;

use super::events::Events;
use super::spool::{Spool, StepLog};
use super::step_end::StepEnd;
use crate::mask::Masks;

/// Masked record of a task's steps. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    masks: Masks,
    spool: Arc<Spool>,
    events: Arc<Events>,
}

impl Journal {
    pub(crate) fn new(masks: Masks, spool: Arc<Spool>, events: Arc<Events>) -> Self {
        Self { masks, spool, events }
    }

    /// Secrets that the record does not show.
    pub(crate) fn masks(&self) -> &Masks {
        &self.masks
    }

    /// Opens the output of a step.
    pub(crate) fn open_output(&self, step: u32) -> io::Result<StepOutput> {
        Ok(StepOutput { masks: self.masks.clone(), log: self.spool.log(step)? })
    }

    /// Records that a step begins.
    pub(crate) fn step_started(
        &self,
        step: u32,
        name: &str,
        background: bool,
        detail: Option<String>,
    ) {
        let name = self.masks.apply(name);
        let detail = detail.map(|text| self.masks.apply(&text));
        self.events.add(EventKind::StepStarted { step, name, background, detail });
    }

    /// Records that a step has ended, and its output is complete.
    pub(crate) fn step_finished(&self, step: u32, end: &StepEnd) {
        let output_bytes = self.spool.close(step);
        self.events.add(EventKind::StepFinished {
            step,
            outcome: end.outcome,
            exit_code: end.exit_code,
            message: end.message.as_deref().map(|text| self.masks.apply(text)),
            output_bytes,
        });
    }

    /// Records a step that consists of its text.
    pub(crate) fn show_step(&self, step: u32, name: &str, text: &str, end: &StepEnd) {
        self.step_started(step, name, false, None);
        if let Ok(output) = self.open_output(step) {
            output.say(text);
        }
        self.step_finished(step, end);
    }
}

/// Output of a step, to which the agent adds lines of its own. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct StepOutput {
    masks: Masks,
    log: Arc<StepLog>,
}

impl StepOutput {
    /// The log on disk. What is appended there has to be masked.
    pub(crate) fn log(&self) -> &Arc<StepLog> {
        &self.log
    }

    /// Secrets that the output does not show.
    pub(crate) fn masks(&self) -> &Masks {
        &self.masks
    }

    /// Adds text in lines of its own.
    pub(crate) fn say(&self, text: &str) {
        self.log.append(self.masks.apply(&format!("{text}\n")).as_bytes());
    }

    /// Adds an error, and returns the end of the step that it fails.
    pub(crate) fn fail(&self, error: impl Display) -> StepEnd {
        let message = error.to_string();
        self.say(&format!("error: {message}"));
        StepEnd::failed(message)
    }
}
