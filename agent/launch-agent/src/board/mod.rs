//! State of the launch agent for people on this machine: kept up to date as things happen, so
//! that looking costs the agent nothing.
//!
//! The model is pure; [`Board`] adds a lock and a bell for those who watch.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russet_protocol::local::{
    Aside, HealthCheck, HealthLevel, LookAnswer, Status, Step, Task, TaskSsh, Update,
};
use russet_protocol::machine::{MachineReport, NO_PAUSE};
use russet_protocol::runner::HeldSlot;
use russet_protocol::xcode::Xcode;
use tokio::sync::watch;

use crate::requests::HoldSource;
use crate::state::View;
use history::History;
use model::{Model, is_page, short};

mod event;
mod history;
mod model;
mod report;
mod slots;
#[cfg(test)]
mod tests;

pub use event::Event;
pub(crate) use history::RECENT;

/// Longest reason of a hold that the control plane is told, in characters.
const MAX_REASON_CHARS: usize = 1_000;

/// Between two writes of the history.
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// The model and those who watch it.
#[derive(Debug)]
pub(crate) struct Board {
    model: Mutex<Model>,
    /// Counts changes.
    changes: watch::Sender<u64>,
    /// Counts tasks that ended.
    ends: watch::Sender<u64>,
    /// Held while the history is written.
    writing: Mutex<()>,
}

impl Default for Board {
    fn default() -> Self {
        let (changes, ends) = (watch::Sender::new(0), watch::Sender::new(0));
        Self { model: Mutex::default(), changes, ends, writing: Mutex::default() }
    }
}

impl Board {
    /// Sets the facts that never change.
    pub(crate) fn introduce(&self, name: &str, control_plane: &str, version: &str, now_ms: u64) {
        self.change(now_ms, |model| {
            model.status.name = name.to_owned();
            model.status.control_plane = control_plane.to_owned();
            version.clone_into(&mut model.status.agent_version);
            model.status.pid = std::process::id();
            model.status.started_ms = now_ms;
            model.status.since_ms = now_ms;
        });
    }

    /// The names of the classes, as far as the owner says them, and the class of each slot.
    pub(crate) fn slots(&self, classes: Vec<String>, slots: Vec<Option<usize>>, now_ms: u64) {
        self.change(now_ms, |model| (model.classes, model.slots) = (classes, slots));
    }

    /// The control plane says which class a token implies.
    pub(crate) fn name_class(&self, class: usize, name: &str, now_ms: u64) {
        self.change(now_ms, |model| {
            if let Some(known) = model.classes.get_mut(class) {
                *known = short(name);
            }
        });
    }

    /// Goes on with what an earlier agent remembered.
    pub(crate) fn remember(&self, state: &Path, now_ms: u64) {
        let path = state.join(history::NAME);
        match History::read(&path) {
            Ok(history) => self.change(now_ms, |model| {
                model.status.recent = history.recent().to_vec();
                model.history = history;
            }),
            Err(error) => tracing::warn!(
                file = %path.display(), %error,
                "could not read which tasks ended before; the list begins anew"
            ),
        }
    }

    /// Records an event.
    pub(crate) fn event(&self, event: &Event, now_ms: u64) {
        self.change(now_ms, |model| model.event(event, now_ms));
    }

    /// A task begins in a slot, or is found there.
    pub(crate) fn begin(&self, slot: u32, mut task: Task, now_ms: u64) {
        for text in [&mut task.class, &mut task.project, &mut task.job] {
            *text = text.as_deref().map(short);
        }
        task.url = task.url.filter(|url| is_page(url));
        if task.since_ms == 0 {
            task.since_ms = now_ms;
        }
        self.change(now_ms, |model| {
            let index = usize::try_from(slot).ok().and_then(|number| number.checked_sub(1));
            let index = index.and_then(|index| *model.slots.get(index)?);
            if let (Some(name), Some(class)) =
                (index.and_then(|index| model.classes.get_mut(index)), &task.class)
            {
                name.clone_from(class);
            }
            model.tasks.insert(slot, task);
        });
    }

    /// Returns the time at which the task of a slot is ended at the latest.
    pub(crate) fn deadline(&self, slot: u32, deadline_ms: u64, now_ms: u64) {
        self.about(slot, now_ms, |task| task.deadline_ms = Some(deadline_ms));
    }

    /// The step that the task of a slot is at, by the word of the task itself.
    pub(crate) fn step(&self, slot: u32, number: u32, name: &str, now_ms: u64) {
        let step = Some(Step { number, name: short(name) });
        self.about(slot, now_ms, |task| task.step = step);
    }

    /// Records the state of a task's SSH, by the word of the task itself.
    pub(crate) fn ssh(&self, slot: u32, ssh: TaskSsh, now_ms: u64) {
        self.about(slot, now_ms, |task| task.ssh = Some(ssh));
    }

    /// Records the findings about the machine. Numbers change all the time; who watches is told
    /// when something is better or worse than before.
    pub(crate) fn health(&self, health: Vec<HealthCheck>) {
        let levels = |checks: &[HealthCheck]| -> Vec<(String, HealthLevel)> {
            checks.iter().map(|check| (check.name.clone(), check.level)).collect()
        };
        let mut model = self.lock();
        let is_same = levels(&model.health) == levels(&health);
        model.health = health;
        model.sum_up_health();
        drop(model);
        if !is_same {
            self.ring();
        }
    }

    /// Records the progress of an update, shortened: it goes with every claim.
    pub(crate) fn update(&self, update: Update, now_ms: u64) {
        self.change(now_ms, |model| model.status.update = Some(update.shortened()));
    }

    /// Records the answers to those who asked for a look, the newest last.
    pub(crate) fn update_answers(&self, answers: Vec<LookAnswer>, now_ms: u64) {
        self.change(now_ms, |model| {
            model.status.update_looks = Some(answers.last().map_or(0, |answer| answer.look));
            model.status.update_answers = Some(answers);
        });
    }

    /// Records the state machine's view.
    pub(crate) fn view(&self, view: View, now_ms: u64) {
        self.change(now_ms, |model| model.see(view, now_ms));
    }

    /// Records the times at which holds of these sources end by themselves, or cancel what runs. The
    /// holds themselves are in the view.
    pub(crate) fn until(&self, sources: &[HoldSource], until: Vec<(HoldSource, u64)>, now_ms: u64) {
        self.change(now_ms, |model| {
            model.until.retain(|(source, _)| !sources.contains(source));
            model.until.extend(until);
        });
    }

    /// Everything, now.
    pub(crate) fn status(&self) -> Status {
        self.lock().status.clone()
    }

    /// Returns the slots of a class that cannot be used, with the reasons.
    pub(crate) fn held_slots(&self, class: usize) -> Vec<HeldSlot> {
        let model = self.lock();
        slots::held_slots(&model.status.slots, &model.slots, class)
    }

    /// Returns the reasons for which a class is held by itself.
    pub(crate) fn class_holds(&self, label: &str) -> Vec<String> {
        let model = self.lock();
        let of_class = model.view.holds.iter().filter(|(_, of, _)| of.as_deref() == Some(label));
        of_class
            // The control plane knows its own.
            .filter(|(source, _, _)| *source != HoldSource::Server)
            .map(|(source, _, reason)| {
                let text = format!("{}: {reason}", source.as_str());
                russet_text::one_line_within(&text, MAX_REASON_CHARS)
            })
            .collect()
    }

    /// Returns the report about this machine for a class.
    pub(crate) fn machine_report(&self, class: usize, label: &str) -> MachineReport {
        report::report_of(&self.lock(), class, label)
    }

    /// Records the pauses of the control plane that are known here, and those that were lifted here:
    /// classes with ids.
    pub(crate) fn server_pauses(
        &self,
        known: Vec<(String, String)>,
        lifted: Vec<(String, String)>,
        now_ms: u64,
    ) {
        self.change(now_ms, |model| (model.pauses, model.lifted) = (known, lifted));
    }

    /// Returns the id of the control plane's pause of a class, as far as it is known here.
    pub(crate) fn known_pause(&self, label: &str) -> String {
        let model = self.lock();
        let known = model.pauses.iter().find(|(of, _)| of == label);
        known.map_or_else(|| NO_PAUSE.to_owned(), |(_, id)| id.clone())
    }

    /// Records the Xcodes and simulator runtimes of this machine.
    pub(crate) fn xcodes(&self, xcodes: Vec<Xcode>, runtimes: Vec<String>) {
        let mut model = self.lock();
        let is_same =
            model.status.xcodes.as_ref() == Some(&xcodes) && model.status.runtimes == runtimes;
        (model.status.xcodes, model.status.runtimes) = (Some(xcodes), runtimes);
        drop(model);
        if !is_same {
            self.ring();
        }
    }

    /// Records what of a slot is kept aside, if anything is.
    pub(crate) fn aside(&self, slot: u32, aside: Option<Aside>, now_ms: u64) {
        self.change(now_ms, |model| match aside {
            Some(aside) => drop(model.aside.insert(slot, aside)),
            None => drop(model.aside.remove(&slot)),
        });
    }

    /// Rings when anything has changed.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Writes down which tasks ended, until it is aborted.
    pub(crate) async fn keep_history(self: Arc<Self>, state: PathBuf) {
        let mut ends = self.ends.subscribe();
        while ends.changed().await.is_ok() {
            let (board, path) = (Arc::clone(&self), state.clone());
            // A panic in it is one in writing a file; the next end tries again.
            drop(tokio::task::spawn_blocking(move || board.write_history(&path)).await);
            // The plain timer: nothing is due at a certain time.
            tokio::time::sleep(WRITE_PAUSE).await;
        }
    }

    /// Writes down which tasks ended, if any has.
    pub(crate) fn write_history(&self, state: &Path) {
        if *self.ends.borrow() == 0 {
            return;
        }
        let _writing = self.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let history = self.lock().history.clone();
        let path = state.join(history::NAME);
        if let Err(error) = history.write(&path) {
            tracing::warn!(file = %path.display(), %error, "could not write which tasks ended");
        }
    }

    fn ring(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn about(&self, slot: u32, now_ms: u64, change: impl FnOnce(&mut Task)) {
        self.change(now_ms, |model| {
            if let Some(task) = model.tasks.get_mut(&slot) {
                change(task);
            }
        });
    }

    fn change(&self, now_ms: u64, change: impl FnOnce(&mut Model)) {
        let mut model = self.lock();
        let ended = model.history.recent().first().cloned();
        change(&mut model);
        model.sum_up(now_ms);
        let has_ended = model.history.recent().first() != ended.as_ref();
        drop(model);
        self.ring();
        if has_ended {
            self.ends.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Model> {
        // A panic while it was held cannot have left half a change that matters: the next one
        // sums everything up anew.
        self.model.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
