//! Directories of the home that outlive tasks of one project, class and kind of branch: cloned in
//! before the steps, and out again after a success.
//!
//! Threat: what a job left in them is read by the next job of its project, and may be anything:
//! links to elsewhere, FIFOs, set-uid files, trees without end. So both ways are walked by the slot's
//! user, from one open directory to the next and through no link; what is no file, directory or link
//! is left out; files lose all bits but those of reading, writing and running; and bytes, entries,
//! levels and time are limited. A job of another project reaches none of it: the sets lie in a
//! directory of root's, are opened here before root is given up, and no step inherits a descriptor.

mod copy;
mod restore;
mod save;
mod sets;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use russet_protocol::supervise::Assignment;
use russet_protocol::task::{RESTORE_KEPT_STEP, SAVE_KEPT_STEP};

use self::restore::restore_sets;
use self::save::save_sets;
pub(crate) use self::sets::open_gone;
use self::sets::{OpenSet, open_sets};
use super::journal::Journal;
use super::step_end::StepEnd;
use super::stop::StopSignal;

/// Directories of a task's home that outlive it.
#[derive(Debug)]
pub(crate) struct KeptDirectories {
    home: PathBuf,
    sets: Arc<Mutex<Vec<OpenSet>>>,
}

impl KeptDirectories {
    /// Opens those of a task. Call it before privileges are dropped.
    pub(crate) fn open(assignment: &Assignment) -> Self {
        let sets = Arc::new(Mutex::new(open_sets(assignment)));
        Self { home: assignment.dirs.home.clone(), sets }
    }

    /// Clones them into the home, as a step of its own. The task goes on whatever comes of it.
    pub(crate) async fn restore(&self, journal: &Journal, stop: &StopSignal) {
        let title = "Restore kept directories";
        self.run_step(RESTORE_KEPT_STEP, title, journal, stop, restore_sets).await;
    }

    /// Clones them out of the home, as a step of its own.
    pub(crate) async fn save(&self, journal: &Journal, stop: &StopSignal) {
        let is_wanted = self.lock().iter().any(|set| set.to.is_some());
        if is_wanted {
            let work = |sets: &mut [OpenSet], home: &Path, stopped: &AtomicBool| {
                save_sets(sets, home, stopped)
            };
            self.run_step(SAVE_KEPT_STEP, "Save kept directories", journal, stop, work).await;
        }
    }

    async fn run_step(
        &self,
        step: u32,
        title: &str,
        journal: &Journal,
        stop: &StopSignal,
        work: impl FnOnce(&mut [OpenSet], &Path, &AtomicBool) -> Vec<String> + Send + 'static,
    ) {
        if self.lock().is_empty() {
            return;
        }
        journal.step_started(step, title, false, None);
        let stopped = Arc::new(AtomicBool::new(stop.is_set()));
        let (sets, home, flag) = (Arc::clone(&self.sets), self.home.clone(), Arc::clone(&stopped));
        // Heartbeats go on meanwhile.
        let mut working = tokio::task::spawn_blocking(move || {
            work(&mut sets.lock().unwrap_or_else(PoisonError::into_inner), &home, &flag)
        });
        let done = tokio::select! {
            done = &mut working => done,
            () = stop.requested() => {
                stopped.store(true, Ordering::Relaxed);
                working.await
            }
        };
        let said = done.unwrap_or_else(|error| vec![format!("warning: {error}")]);
        if let Ok(output) = journal.open_output(step) {
            said.iter().for_each(|line| output.say(line));
        }
        journal.step_finished(step, &StepEnd::success());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<OpenSet>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
