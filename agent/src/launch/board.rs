//! What people on this machine can see of the launch agent: kept up to date as things happen, so
//! that looking costs the agent nothing.
//!
//! The model is pure; [`Board`] adds a lock and a bell for those who watch.

use std::collections::BTreeMap;
use std::sync::Mutex;

use russet_protocol::local::{Hold, Recent, Slot, State, Status, Task};
use tokio::sync::watch;

use super::Event;
use super::state::View;

/// How many ended tasks are remembered.
const RECENT: usize = 50;

/// The model and those who watch it.
#[derive(Debug)]
pub(crate) struct Board {
    model: Mutex<Model>,
    /// Counts changes.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Model {
    status: Status,
    view: View,
    offline: Option<String>,
    tasks: BTreeMap<u32, Task>,
}

impl Default for Board {
    fn default() -> Self {
        Self { model: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Board {
    /// What never changes.
    pub(super) fn introduce(&self, name: &str, control_plane: &str, now_ms: u64) {
        self.change(now_ms, |model| {
            model.status.name = name.to_owned();
            model.status.control_plane = control_plane.to_owned();
            model.status.agent_version = env!("CARGO_PKG_VERSION").to_owned();
            model.status.pid = std::process::id();
            model.status.started_ms = now_ms;
            model.status.since_ms = now_ms;
        });
    }

    /// What happens.
    pub(super) fn event(&self, event: &Event, now_ms: u64) {
        self.change(now_ms, |model| model.event(event, now_ms));
    }

    /// What the state machine is about.
    pub(crate) fn view(&self, view: View, now_ms: u64) {
        self.change(now_ms, |model| model.see(view, now_ms));
    }

    /// Everything, now.
    pub(crate) fn status(&self) -> Status {
        self.lock().status.clone()
    }

    /// Rings when anything has changed.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn change(&self, now_ms: u64, change: impl FnOnce(&mut Model)) {
        let mut model = self.lock();
        change(&mut model);
        model.sum_up(now_ms);
        drop(model);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Model> {
        // A panic while it was held can not have left half a change that matters: the next one
        // sums everything up anew.
        self.model.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Model {
    fn event(&mut self, event: &Event, now_ms: u64) {
        match event {
            Event::Offline { reason } => self.offline = Some(reason.clone()),
            Event::Online => self.offline = None,
            Event::Claimed { slot, job } => {
                let task = Task { job: job.clone(), since_ms: now_ms, ..Task::default() };
                self.tasks.insert(*slot, task);
            }
            Event::Started { slot, job, project } => {
                let task = self
                    .tasks
                    .entry(*slot)
                    .or_insert_with(|| Task { since_ms: now_ms, ..Task::default() });
                task.job = Some(job.clone());
                task.project = Some(project.clone());
            }
            Event::Ended { slot, outcome } => self.ended(*slot, *outcome, now_ms),
            Event::Claiming { .. } | Event::Notice(_) => {}
        }
    }

    fn ended(
        &mut self,
        slot: u32,
        outcome: Option<russet_protocol::outcome::Outcome>,
        now_ms: u64,
    ) {
        let Some(task) = self.tasks.remove(&slot) else { return };
        let Task { project, job, since_ms, .. } = task;
        self.status.recent.insert(
            0,
            Recent {
                slot,
                project,
                job,
                outcome,
                started_ms: since_ms,
                ended_ms: now_ms,
                ..Recent::default()
            },
        );
        self.status.recent.truncate(RECENT);
    }

    /// A slot that has no task any more although no task agent ended in it gave its task back.
    fn see(&mut self, view: View, now_ms: u64) {
        for (number, is_busy) in (1..).zip(&view.busy) {
            if !is_busy {
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
        });
        self.status.holds = holds.collect();
        let slots = (1..).zip(&self.view.busy).map(|(number, _)| Slot {
            number,
            task: self.tasks.get(&number).cloned(),
            ..Slot::default()
        });
        self.status.slots = slots.collect();
        let (state, reason) = self.state();
        if state != self.status.state {
            self.status.since_ms = now_ms;
        }
        self.status.state = state;
        self.status.reason = reason;
    }

    /// What a person asked for comes first, then what is wrong, then what goes on.
    fn state(&self) -> (State, Option<String>) {
        use super::state::holds::HoldSource;
        if !self.view.is_ready {
            return (State::Starting, None);
        }
        let is_busy = self.view.busy.contains(&true);
        if self.view.is_ending {
            return (State::Draining, Some("the agent is about to end".to_owned()));
        }
        // The holds are in the order of their importance; one on a single class leaves the rest
        // of the agent at work.
        if let Some((source, _, reason)) =
            self.view.holds.iter().find(|(_, class, _)| class.is_none())
        {
            let state = match source {
                HoldSource::Drain if is_busy => State::Draining,
                HoldSource::Drain | HoldSource::Pause => State::Paused,
                HoldSource::Health => State::Unhealthy,
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
    use super::{Board, Event, State, View};
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
        board.event(&Event::Claimed { slot: 2, job: None }, 5);
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
        board.event(&Event::Claimed { slot: 1, job: None }, 5);
        board.view(view(&[true]), 5);
        board.view(view(&[false]), 6);
        assert_eq!(board.status().slots[0].task, None);
        assert_eq!(board.status().recent[0].outcome, None);
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
}
