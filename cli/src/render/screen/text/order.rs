//! The order in which steps of a job are shown.

use russet_protocol::admin::StreamEvent;

use super::TextView;
use crate::client::Next;

impl TextView {
    /// Takes what happened.
    ///
    /// The agent announces a step as soon as it starts, while output of the one before may still
    /// be on its way. What is of the later step waits until the earlier one has ended, so that
    /// output stands under its own heading. Steps in the background are shown as they come.
    pub(in super::super) fn event(&mut self, next: Next) {
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
        let (id, task) = match next {
            Next::Output { job, task, .. } => (job, *task),
            Next::Event(event) => match event.as_ref() {
                StreamEvent::Step { job, step } => (job, step.task),
                _ => return None,
            },
            Next::Away { .. } => return None,
        };
        Some(self.index(id, task))
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
            Next::Away { .. } => false,
        }
    }
}
