//! The pure model behind the board: events in, the status out.

use std::collections::{BTreeMap, BTreeSet};

use russet_protocol::local::{
    Aside, HealthCheck, Hold, HoldOwner, Recent, Slot, State, Status, Task, Update,
};
use russet_protocol::outcome::Outcome;

use super::event::Event;
use super::history::History;
use super::slots;
use crate::requests::HoldSource;
use crate::state::View;
use crate::state::slot::SlotView;

/// Longest name that is shown, in characters: a job may say what it likes of itself.
pub(super) const MAX_NAME_CHARS: usize = 200;

/// Everything that the status is made of.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) status: Status,
    pub(super) view: View,
    pub(super) offline: Option<String>,
    pub(super) tasks: BTreeMap<u32, Task>,
    /// Names of the classes.
    pub(super) classes: Vec<String>,
    /// The class of each slot.
    pub(super) slots: Vec<Option<usize>>,
    pub(super) history: History,
    /// Directories of each slot that are kept aside.
    pub(super) aside: BTreeMap<u32, Aside>,
    /// Findings about the machine, without those about slots.
    pub(super) health: Vec<HealthCheck>,
    /// Times at which holds of a source end, or act.
    pub(super) until: Vec<(HoldSource, u64)>,
    /// Pauses of the control plane that are known: classes with ids.
    pub(super) pauses: Vec<(String, String)>,
    /// Pauses of the control plane that were lifted here, and of which it does not know that.
    pub(super) lifted: Vec<(String, String)>,
}

/// A name without what would move a cursor, and no longer than a name is.
pub(super) fn short(text: &str) -> String {
    russet_text::one_line_within(text, MAX_NAME_CHARS)
}

/// Threat: whoever looks at the status opens this with one click. What is no page of a web server
/// (a file, a program's own scheme) is not shown.
pub(super) fn is_page(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && url.len() <= 1000
        && url.chars().all(|c| c.is_ascii_graphic())
}

impl Model {
    pub(super) fn event(&mut self, event: &Event, now_ms: u64) {
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
    pub(super) fn see(&mut self, view: View, now_ms: u64) {
        for (index, number) in (0..view.slots.len()).zip(1..) {
            let had = self.view.slots.get(index).is_some_and(SlotView::has_task);
            if had && view.slots.get(index).is_some_and(|slot| !slot.has_task()) {
                self.ended(number, None, now_ms);
            }
        }
        self.view = view;
    }

    pub(super) fn sum_up(&mut self, now_ms: u64) {
        let holds = self.view.holds.iter().map(|(source, class, reason)| Hold {
            source: source.as_str().to_owned(),
            owner: source.owner(),
            class: class.clone(),
            reason: reason.clone(),
            until_ms: self.until.iter().find(|(of, _)| of == source).map(|(_, until)| *until),
        });
        let update = self.update_hold();
        self.status.holds = holds.chain(update).collect();
        self.status.slots = (1..).zip(0..self.view.slots.len()).map(|at| self.slot(at)).collect();
        self.sum_up_health();
        let (state, reason) = self.state();
        if state != self.status.state {
            self.status.since_ms = now_ms;
        }
        self.status.state = state;
        self.status.reason = reason;
    }

    /// Returns the hold of an update of the agent's own, which takes no more tasks in its window.
    fn update_hold(&self) -> Option<Hold> {
        if !(self.view.is_updating && self.view.is_busy()) {
            return None;
        }
        let version = match &self.status.update {
            Some(Update::WaitingForIdle { version }) => format!("version {version}"),
            _ => "a new version".to_owned(),
        };
        Some(Hold {
            source: "update".to_owned(),
            owner: HoldOwner::Update,
            reason: format!("{version} waits for the tasks that run"),
            ..Hold::default()
        })
    }

    /// Lists the findings about the machine, and after them those about slots.
    pub(super) fn sum_up_health(&mut self) {
        self.status.health.clone_from(&self.health);
        self.status.health.extend(slots::check_slots(&self.status.slots));
        self.status.health.extend(slots::check_aside(&self.status.slots));
    }

    fn slot(&self, (number, index): (u32, usize)) -> Slot {
        let class = self.slots.get(index).copied().flatten();
        let class = class.and_then(|class| self.classes.get(class)).cloned();
        let view = self.view.slots.get(index);
        let task = self.tasks.get(&number).map(|task| {
            let names = task.project.as_deref().zip(task.job.as_deref());
            Task {
                usual_ms: names.and_then(|(project, job)| self.history.usual_ms(project, job)),
                canceling: view.and_then(SlotView::ending).map(str::to_owned),
                ..task.clone()
            }
        });
        let (state, reason) = view.map(slots::shown_state).unwrap_or_default();
        Slot { number, class, task, state, reason, aside: self.aside.get(&number).cloned() }
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
        let is_busy = self.view.is_busy();
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
                HoldSource::Drain | HoldSource::Pause | HoldSource::Server => State::Paused,
                HoldSource::Machine
                | HoldSource::Health
                | HoldSource::Session
                | HoldSource::Xcode
                | HoldSource::Failures => State::Unhealthy,
                HoldSource::Installer => State::Updating,
            };
            return (state, Some(reason.clone()));
        }
        if let Some(reason) = &self.offline {
            return (State::Offline, Some(reason.clone()));
        }
        if let Some(reason) = slots::describe_total_loss(&self.status.slots) {
            return (State::Unhealthy, Some(reason));
        }
        (if is_busy { State::Running } else { State::Idle }, None)
    }
}
