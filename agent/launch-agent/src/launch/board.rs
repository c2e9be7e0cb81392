//! State of the launch agent for people on this machine: kept up to date as things happen, so
//! that looking costs the agent nothing.
//!
//! The model is pure; [`Board`] adds a lock and a bell for those who watch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russet_protocol::local::{
    HealthCheck, HealthLevel, Hold, Recent, Slot, State, Status, Step, Task, Update,
};
use russet_protocol::outcome::Outcome;
use tokio::sync::watch;

use super::Event;
use super::history::{self, History};
use super::state::View;
use super::state::holds::HoldSource;

/// Names longer than this are cut: a job may say what it likes of itself.
const LONGEST_NAME: usize = 200;

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

#[derive(Debug, Default)]
struct Model {
    status: Status,
    view: View,
    offline: Option<String>,
    tasks: BTreeMap<u32, Task>,
    /// Names of the classes.
    classes: Vec<String>,
    /// The class of each slot.
    slots: Vec<Option<usize>>,
    history: History,
    /// Times at which holds of a source end, or act.
    until: Vec<(HoldSource, u64)>,
}

impl Default for Board {
    fn default() -> Self {
        let (changes, ends) = (watch::Sender::new(0), watch::Sender::new(0));
        Self { model: Mutex::default(), changes, ends, writing: Mutex::default() }
    }
}

impl Board {
    /// Sets the facts that never change.
    pub(super) fn introduce(&self, name: &str, control_plane: &str, version: &str, now_ms: u64) {
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
    pub(super) fn slots(&self, classes: Vec<String>, slots: Vec<Option<usize>>, now_ms: u64) {
        self.change(now_ms, |model| (model.classes, model.slots) = (classes, slots));
    }

    /// Goes on with what an earlier agent remembered.
    pub(super) fn remember(&self, state: &Path, now_ms: u64) {
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
    pub(super) fn event(&self, event: &Event, now_ms: u64) {
        self.change(now_ms, |model| model.event(event, now_ms));
    }

    /// A task begins in a slot, or is found there.
    pub(super) fn begin(&self, slot: u32, mut task: Task, now_ms: u64) {
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
    pub(super) fn deadline(&self, slot: u32, deadline_ms: u64, now_ms: u64) {
        self.about(slot, now_ms, |task| task.deadline_ms = Some(deadline_ms));
    }

    /// The step that the task of a slot is at, by the word of the task itself.
    pub(super) fn step(&self, slot: u32, number: u32, name: &str, now_ms: u64) {
        let step = Some(Step { number, name: short(name) });
        self.about(slot, now_ms, |task| task.step = step);
    }

    /// Records the findings about the machine. Numbers change all the time; who watches is told
    /// when something is better or worse than before.
    pub(crate) fn health(&self, health: Vec<HealthCheck>) {
        let levels = |checks: &[HealthCheck]| -> Vec<(String, HealthLevel)> {
            checks.iter().map(|check| (check.name.clone(), check.level)).collect()
        };
        let mut model = self.lock();
        let is_same = levels(&model.status.health) == levels(&health);
        model.status.health = health;
        drop(model);
        if !is_same {
            self.ring();
        }
    }

    /// Records the progress of an update.
    pub(crate) fn update(&self, update: Update, now_ms: u64) {
        self.change(now_ms, |model| model.status.update = Some(update));
    }

    /// Returns the number of looks for an update that have ended.
    pub(crate) fn update_looks(&self, number: u64, now_ms: u64) {
        self.change(now_ms, |model| model.status.update_looks = Some(number));
    }

    /// Records the state machine's view.
    pub(crate) fn view(&self, view: View, now_ms: u64) {
        self.change(now_ms, |model| model.see(view, now_ms));
    }

    /// Returns the time at which holds end by themselves, or cancel what runs. The holds themselves
    /// are in the view.
    pub(crate) fn until(&self, until: Vec<(HoldSource, u64)>, now_ms: u64) {
        self.change(now_ms, |model| model.until = until);
    }

    /// Everything, now.
    pub(crate) fn status(&self) -> Status {
        self.lock().status.clone()
    }

    /// Rings when anything has changed.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Writes down which tasks ended, until it is aborted.
    pub(super) async fn keep_history(self: Arc<Self>, state: PathBuf) {
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
    pub(super) fn write_history(&self, state: &Path) {
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
        // A panic while it was held can not have left half a change that matters: the next one
        // sums everything up anew.
        self.model.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A name without what would move a cursor, and no longer than a name is.
fn short(text: &str) -> String {
    russet_text::one_line_within(text, LONGEST_NAME)
}

/// Threat: whoever looks at the status opens this with one click. What is no page of a web server
/// (a file, a program's own scheme) is not shown.
fn is_page(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && url.len() <= 1000
        && url.chars().all(|c| c.is_ascii_graphic())
}

impl Model {
    fn event(&mut self, event: &Event, now_ms: u64) {
        match event {
            Event::Offline { reason } => self.offline = Some(reason.clone()),
            Event::Online => self.offline = None,
            Event::Started { slot, job, project } => {
                // The control plane's word is better than the task's own.
                if let Some(task) = self.tasks.get_mut(slot) {
                    task.job.get_or_insert_with(|| short(job));
                    task.project.get_or_insert_with(|| short(project));
                }
            }
            Event::Ended { slot, outcome } => self.ended(*slot, *outcome, now_ms),
            Event::Claimed { .. } | Event::Claiming { .. } | Event::Notice(_) => {}
        }
    }

    fn ended(&mut self, slot: u32, outcome: Option<Outcome>, now_ms: u64) {
        let Some(task) = self.tasks.remove(&slot) else { return };
        let Task { id, class, project, job, since_ms, url, step, .. } = task;
        self.history.record(Recent {
            id,
            slot,
            class,
            project,
            job,
            outcome,
            started_ms: since_ms,
            ended_ms: now_ms,
            url,
            // What it says is kept from its first step on (`output.rs`).
            has_log: step.is_some(),
        });
        self.status.recent = self.history.recent().to_vec();
    }

    /// A slot that has no task any more although no task agent ended in it gave its task back. One
    /// whose task is here, and that had none yet, is about to begin it: it is told after the claim.
    fn see(&mut self, view: View, now_ms: u64) {
        for (index, number) in (0..view.busy.len()).zip(1..) {
            let had = self.view.busy.get(index) == Some(&true);
            if had && view.busy.get(index) == Some(&false) {
                self.ended(number, None, now_ms);
            }
        }
        self.view = view;
    }

    fn sum_up(&mut self, now_ms: u64) {
        let holds = self.view.holds.iter().map(|(source, class, reason)| Hold {
            source: source.as_str().to_owned(),
            class: class.clone(),
            reason: reason.clone(),
            until_ms: self.until.iter().find(|(of, _)| of == source).map(|(_, until)| *until),
        });
        self.status.holds = holds.collect();
        self.status.slots = (1..).zip(0..self.view.busy.len()).map(|at| self.slot(at)).collect();
        let (state, reason) = self.state();
        if state != self.status.state {
            self.status.since_ms = now_ms;
        }
        self.status.state = state;
        self.status.reason = reason;
    }

    fn slot(&self, (number, index): (u32, usize)) -> Slot {
        let class = self.slots.get(index).copied().flatten();
        let class = class.and_then(|class| self.classes.get(class)).cloned();
        let task = self.tasks.get(&number).map(|task| {
            let names = task.project.as_deref().zip(task.job.as_deref());
            Task {
                usual_ms: names.and_then(|(project, job)| self.history.usual_ms(project, job)),
                canceling: self.view.ending.get(index).cloned().flatten(),
                ..task.clone()
            }
        });
        Slot { number, class, task }
    }

    /// Returns the hold of the whole agent. The holds are in the order of their importance; one on
    /// a single class leaves the rest of the agent at work, where there is a rest.
    fn foremost_hold(&self) -> Option<&(HoldSource, Option<String>, String)> {
        let holds = &self.view.holds;
        let held: BTreeSet<&String> =
            holds.iter().filter_map(|(_, class, _)| class.as_ref()).collect();
        let are_all = !held.is_empty() && held.len() >= self.classes.len();
        holds.iter().find(|(_, class, _)| class.is_none() || are_all)
    }

    /// Returns the state to show. A person's request comes first, then faults, then ordinary work.
    fn state(&self) -> (State, Option<String>) {
        if !self.view.is_ready {
            return (State::Starting, None);
        }
        let is_busy = self.view.busy.contains(&true);
        if self.view.is_updating {
            let reason = is_busy.then(|| "an update waits for the tasks that run".to_owned());
            return (State::Updating, reason);
        }
        if self.view.is_ending {
            return (State::Draining, Some("the agent is about to end".to_owned()));
        }
        if let Some((source, _, reason)) = self.foremost_hold() {
            let state = match source {
                HoldSource::Drain if is_busy => State::Draining,
                HoldSource::Drain | HoldSource::Pause => State::Paused,
                HoldSource::Health | HoldSource::Session => State::Unhealthy,
            };
            return (state, Some(reason.clone()));
        }
        if let Some(reason) = &self.offline {
            return (State::Offline, Some(reason.clone()));
        }
        (if is_busy { State::Running } else { State::Idle }, None)
    }
}

#[cfg(test)]
mod tests {
    use super::{Board, Event, State, Task, View};
    use crate::launch::state::holds::HoldSource;
    use russet_protocol::outcome::Outcome;

    fn view(busy: &[bool]) -> View {
        View { is_ready: true, busy: busy.to_vec(), ..View::default() }
    }

    #[test]
    fn a_task_is_seen_from_its_claim_to_its_end() {
        let board = Board::default();
        assert_eq!(board.status().state, State::Starting);
        board.view(view(&[false, false]), 1);
        assert_eq!(board.status().state, State::Idle);
        board.begin(2, Task::default(), 5);
        board.view(view(&[false, true]), 5);
        let started = Event::Started { slot: 2, job: "test".into(), project: "acme/app".into() };
        board.event(&started, 6);
        let status = board.status();
        assert_eq!((status.state, status.since_ms), (State::Running, 5));
        let task = status.slots[1].task.clone().unwrap();
        assert_eq!((task.job.as_deref(), task.since_ms), (Some("test"), 5));
        board.event(&Event::Ended { slot: 2, outcome: Some(Outcome::Failed) }, 9);
        board.view(view(&[false, false]), 9);
        let status = board.status();
        assert_eq!((status.state, status.recent.len()), (State::Idle, 1));
        assert_eq!(status.recent[0].outcome, Some(Outcome::Failed));
        assert_eq!(status.slots[1].task, None);
    }

    #[test]
    fn a_task_that_was_given_back_does_not_stay() {
        let board = Board::default();
        board.begin(1, Task::default(), 5);
        board.view(view(&[true]), 5);
        board.view(view(&[false]), 6);
        assert_eq!(board.status().slots[0].task, None);
        assert_eq!(board.status().recent[0].outcome, None);
    }

    #[test]
    fn a_task_that_is_about_to_begin_is_not_taken_for_one_that_was_given_back() {
        let board = Board::default();
        board.view(view(&[false, false]), 1);
        board.begin(2, Task::default(), 2);
        // The other slot's task, while the claim of this one is on its way to the state machine.
        board.view(view(&[true, false]), 3);
        board.view(view(&[true, true]), 4);
        assert_eq!(board.status().recent.len(), 0);
        assert!(board.status().slots[1].task.is_some());
        board.event(&Event::Ended { slot: 2, outcome: Some(Outcome::Success) }, 5);
        assert_eq!(board.status().recent[0].outcome, Some(Outcome::Success));
    }

    #[test]
    fn what_a_person_asked_for_comes_before_what_is_wrong() {
        let board = Board::default();
        board.event(&Event::Offline { reason: "refused".to_owned() }, 1);
        board.view(view(&[true]), 1);
        assert_eq!(board.status().state, State::Offline);
        let mut held = view(&[true]);
        held.holds = vec![
            (HoldSource::Drain, None, "new disk".to_owned()),
            (HoldSource::Health, None, "full".to_owned()),
        ];
        board.view(held.clone(), 2);
        assert_eq!(board.status().state, State::Draining);
        held.busy = vec![false];
        board.view(held.clone(), 3);
        assert_eq!(board.status().state, State::Paused);
        held.holds.remove(0);
        board.view(held, 4);
        assert_eq!(board.status().state, State::Unhealthy);
        assert_eq!(board.status().reason.as_deref(), Some("full"));
    }

    #[test]
    fn a_hold_on_a_class_is_told_and_stops_the_agent_only_where_no_class_is_left() {
        let board = Board::default();
        board.slots(vec!["a/gui".to_owned(), "a/mini".to_owned()], vec![Some(0), Some(1)], 0);
        let mut held = view(&[false, false]);
        let gone = |class: &str| {
            (HoldSource::Session, Some(class.to_owned()), "ci is not logged in".to_owned())
        };
        held.holds = vec![gone("runner.classes[0]")];
        board.view(held.clone(), 1);
        assert_eq!(board.status().state, State::Idle);
        assert_eq!(board.status().holds[0].source, "session");
        held.holds.push(gone("runner.classes[1]"));
        board.view(held, 2);
        assert_eq!(board.status().state, State::Unhealthy);
        assert_eq!(board.status().reason.as_deref(), Some("ci is not logged in"));
    }

    fn named(project: &str) -> Task {
        let (project, job) = (Some(project.to_owned()), Some("test".to_owned()));
        Task { project, job, class: Some("acme/mini".to_owned()), ..Task::default() }
    }

    #[test]
    fn a_task_has_its_step_its_deadline_and_what_the_job_takes_as_a_rule() {
        let board = Board::default();
        board.slots(vec!["api.auth_token".to_owned()], vec![Some(0)], 0);
        board.view(view(&[true]), 0);
        assert_eq!(board.status().slots[0].class.as_deref(), Some("api.auth_token"));
        for start in [100, 1_100] {
            board.begin(1, named("acme/app"), start);
            board.event(&Event::Ended { slot: 1, outcome: Some(Outcome::Success) }, start + 40);
        }
        board.begin(1, named("acme/app"), 2_000);
        board.deadline(1, 9_000, 2_001);
        board.step(1, 3, "swift test\u{1b}[31m", 2_002);
        let mut ending = view(&[true]);
        ending.ending = vec![Some("not needed".to_owned())];
        board.view(ending, 2_003);
        let slot = board.status().slots[0].clone();
        assert_eq!(slot.class.as_deref(), Some("acme/mini"));
        let task = slot.task.unwrap();
        assert_eq!((task.usual_ms, task.deadline_ms), (Some(40), Some(9_000)));
        assert_eq!(task.step.unwrap().name, "swift test\u{fffd}[31m");
        assert_eq!(task.canceling.as_deref(), Some("not needed"));
    }

    #[test]
    fn a_task_may_not_call_itself_otherwise_than_the_control_plane_does() {
        let board = Board::default();
        board.view(view(&[true]), 0);
        let mut task = named("acme/app");
        task.url = Some("file:///Applications/Calculator.app".to_owned());
        board.begin(1, task, 1);
        let (job, project) = ("x".repeat(10_000), "acme/secret".to_owned());
        board.event(&Event::Started { slot: 1, job, project }, 2);
        let task = board.status().slots[0].task.clone().unwrap();
        assert_eq!((task.project.as_deref(), task.url), (Some("acme/app"), None));
        board.begin(1, Task::default(), 3);
        let (job, project) = ("x".repeat(10_000), "acme/app".to_owned());
        board.event(&Event::Started { slot: 1, job, project }, 4);
        let task = board.status().slots[0].task.clone().unwrap();
        assert_eq!(task.job.unwrap().chars().count(), super::LONGEST_NAME);
    }

    #[test]
    fn the_last_tasks_outlive_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        let board = Board::default();
        board.write_history(dir.path());
        assert!(!dir.path().join("history.json").exists());
        board.begin(1, named("acme/app"), 5);
        board.event(&Event::Ended { slot: 1, outcome: Some(Outcome::Failed) }, 9);
        board.write_history(dir.path());
        let next = Board::default();
        next.remember(dir.path(), 10);
        assert_eq!(next.status().recent, board.status().recent);
        assert_eq!(next.status().recent[0].ended_ms, 9);
    }
}
