//! Decisions of the launch agent: inputs in, actions out.
//!
//! Pure: no clock, no I/O, no async. The time is an argument, and [`Machine::next_wakeup`] says
//! when to come again without an input. The agent has a phase ([`Phase`]), and each slot a state
//! of its own ([`slot::State`]); everything that follows from both is here and in `slot`.

use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::Failure;

use russet_platform::clock::BootTime;

pub(crate) mod holds;
pub(super) mod slot;
#[cfg(test)]
mod tests;

use crate::local_api::UpdateMode;
use holds::{HoldSource, Holds};
use slot::{Slot, State};

/// Number of a slot in the machine, from 0.
pub(super) type SlotIndex = usize;

/// Parts of the configuration that the state machine needs.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Exit after one task.
    pub(super) single_task: bool,
    /// Exit when there was no task for this long.
    pub(super) idle_timeout: Option<Duration>,
    /// A drain that takes longer cancels.
    pub(super) drain_limit: Duration,
    /// Time that a canceled task agent has to end, before it is killed.
    pub(super) cancel_patience: Duration,
    /// Give interrupted tasks back instead of failing them.
    pub(super) unsafe_retries: bool,
    /// The class of each slot; `None` for one that only has a task to end.
    pub(super) classes: Vec<Option<usize>>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Time passed.
    Tick,
    /// The agent is to end.
    Stop(super::Stop),
    /// Claims of a class (`None`: of all) are held back, or a hold is lifted.
    Hold {
        /// By whom.
        source: HoldSource,
        /// The class.
        class: Option<usize>,
        /// Reason; `None` lifts the hold.
        reason: Option<String>,
    },
    /// Running tasks are to be canceled, for this reason, and the agent goes on.
    CancelTasks(String),
    /// A new version lies ready, and this is how far the agent may go for it; or it does not any
    /// more.
    Update(Option<UpdateMode>),
    /// Something happened in a slot.
    Slot(SlotIndex, slot::Input),
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Something to do in a slot.
    Slot(SlotIndex, slot::Action),
    /// Nothing is left to do: end the process.
    Exit(End),
}

/// Reason why the machine is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was told to end.
    Stopped,
    /// The one task of single-task mode has ended.
    SingleTask,
    /// No task came.
    Idle,
    /// Tasks live on.
    Left,
    /// No task runs, and none can come: a new version may take this one's place.
    Updated,
}

/// Phase of the agent as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Claims and runs.
    Working,
    /// Claims nothing and waits for what runs.
    Draining {
        /// Reason that it gives at the end.
        end: End,
        /// Time at which it loses patience.
        cancel_at: Option<BootTime>,
    },
    /// Everything was told to end.
    Canceling,
    /// Ends itself alone.
    Leaving,
    /// Has said [`Action::Exit`].
    Ended,
}

/// State of the machine that people may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// Set if it has begun.
    pub(crate) is_ready: bool,
    /// Set if the agent is about to end.
    pub(crate) is_ending: bool,
    /// Set if it is for another version to take its place.
    pub(crate) is_updating: bool,
    /// Which slots have a task.
    pub(crate) busy: Vec<bool>,
    /// Reason why the task of each slot is being ended, where it is.
    pub(crate) ending: Vec<Option<String>>,
    /// Holds, the most important first, with the class as people know it.
    pub(crate) holds: Vec<(HoldSource, Option<String>, String)>,
}

/// The launch agent's state.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    settings: Settings,
    phase: Phase,
    slots: Vec<Slot>,
    holds: Holds,
    /// A new version lies ready.
    update: Option<UpdateMode>,
    /// Tasks that were claimed so far.
    taken: u64,
    /// Since when no slot has a task.
    idle_since: Option<BootTime>,
}

impl Machine {
    /// A machine whose slots are all to be cleaned, or adopted.
    pub(super) fn new(settings: Settings, now: BootTime) -> Self {
        let slots = settings.classes.iter().map(|class| Slot::new(*class)).collect();
        let holds = Holds::default();
        let (phase, idle_since) = (Phase::Working, Some(now));
        Self { settings, phase, slots, holds, update: None, taken: 0, idle_since }
    }

    /// Begins: every slot in which nothing was adopted or orphaned is cleaned.
    pub(super) fn start(&mut self, now: BootTime, actions: &mut Vec<Action>) {
        self.each_slot(actions, |slot, _, todo| {
            if matches!(slot.state, State::Cleaning { .. }) {
                slot.clean(0, todo);
            }
        });
        self.follow_up(now, actions);
    }

    /// Takes an input; what is to be done about it is added to `actions`.
    pub(super) fn handle(&mut self, now: BootTime, input: Input, actions: &mut Vec<Action>) {
        if self.phase == Phase::Ended {
            return;
        }
        match input {
            Input::Tick => {}
            Input::Stop(stop) => self.stop(now, stop, actions),
            Input::Hold { source, class, reason } => {
                self.holds.set(source, class, reason);
            }
            Input::Update(mode) => self.update = mode,
            Input::CancelTasks(reason) => self.interrupt_all(now, &reason, actions),
            Input::Slot(index, input) => self.slot_input(now, index, input, actions),
        }
        self.pass_time(now, actions);
        self.follow_up(now, actions);
    }

    /// Returns the state that people may see. `label` names a class.
    pub(super) fn view(&self, label: impl Fn(usize) -> String) -> View {
        let holds = self.holds.iter();
        View {
            is_ready: true,
            is_ending: self.phase != Phase::Working,
            is_updating: self.is_updating(),
            busy: self.slots.iter().map(Slot::has_task).collect(),
            ending: self.slots.iter().map(|slot| slot.ending().map(str::to_owned)).collect(),
            holds: holds
                .map(|(source, class, reason)| (source, class.map(&label), reason.to_owned()))
                .collect(),
        }
    }

    /// Returns the time at which something is due although nothing happens.
    pub(super) fn next_wakeup(&self) -> Option<BootTime> {
        let drain = match self.phase {
            Phase::Draining { cancel_at, .. } => cancel_at,
            Phase::Ended => return None,
            _ => None,
        };
        self.slots
            .iter()
            .filter_map(Slot::next_wakeup)
            .chain(drain)
            .chain(self.idle_deadline())
            .min()
    }

    fn idle_deadline(&self) -> Option<BootTime> {
        match (self.phase, self.settings.idle_timeout, self.idle_since) {
            (Phase::Working, Some(timeout), Some(since)) => Some(since.after(timeout)),
            _ => None,
        }
    }

    fn slot_input(
        &mut self,
        now: BootTime,
        index: SlotIndex,
        input: slot::Input,
        actions: &mut Vec<Action>,
    ) {
        // A task that comes when none is wanted any more: the claim was on its way.
        let unwanted = matches!(input, slot::Input::Claimed { .. }) && !self.accepts_late(index);
        if matches!(input, slot::Input::Claimed { refused: None } | slot::Input::Adopted { .. })
            && !unwanted
        {
            self.taken += 1;
        }
        let input = match input {
            slot::Input::Claimed { .. } if unwanted => slot::Input::ClaimedTooLate,
            other => other,
        };
        let Some(slot) = self.slots.get_mut(index) else { return };
        let mut todo = Vec::new();
        slot.handle(now, input, &self.settings, &mut todo);
        actions.extend(todo.into_iter().map(|action| Action::Slot(index, action)));
    }

    fn stop(&mut self, now: BootTime, stop: super::Stop, actions: &mut Vec<Action>) {
        match (stop, self.phase) {
            (super::Stop::Drain, Phase::Working) => self.drain(now, End::Stopped),
            (super::Stop::Cancel, Phase::Working | Phase::Draining { .. }) => {
                self.cancel_all(now, "the runner was stopped", actions);
            }
            (super::Stop::Cancel, Phase::Canceling) => {
                self.each_slot(actions, |slot, _, todo| slot.kill_now(todo));
            }
            (super::Stop::Leave, Phase::Working | Phase::Draining { .. }) => {
                self.phase = Phase::Leaving;
            }
            _ => {}
        }
    }

    fn drain(&mut self, now: BootTime, end: End) {
        let cancel_at = Some(now.after(self.settings.drain_limit));
        self.phase = Phase::Draining { end, cancel_at };
    }

    fn is_updating(&self) -> bool {
        matches!(self.phase, Phase::Draining { end: End::Updated, .. })
    }

    /// Returns true if this version makes way for another one: **the one place that decides it**.
    /// It does while no task runs; one that is cleaned up after is waited for. Where the owner set
    /// a window it takes no more tasks in it, and no task is ever ended for an update.
    fn make_way(&mut self, busy: bool) {
        let may_begin = match self.update {
            Some(UpdateMode::Drain) => true,
            Some(UpdateMode::WhenIdle) => !busy,
            None => false,
        };
        match self.phase {
            Phase::Working if may_begin => {
                self.phase = Phase::Draining { end: End::Updated, cancel_at: None };
            }
            // The window has closed before the last task ended, or the version was withdrawn.
            Phase::Draining { end: End::Updated, .. } if !may_begin => self.phase = Phase::Working,
            _ => {}
        }
    }

    fn cancel_all(&mut self, now: BootTime, reason: &str, actions: &mut Vec<Action>) {
        self.phase = Phase::Canceling;
        self.interrupt_all(now, reason, actions);
    }

    fn interrupt_all(&mut self, now: BootTime, reason: &str, actions: &mut Vec<Action>) {
        let failure = Failure { outcome: Outcome::Canceled, message: reason.to_owned() };
        self.each_slot(actions, |slot, settings, todo| {
            slot.interrupt(now, failure.clone(), settings, todo);
        });
    }

    fn each_slot(
        &mut self,
        actions: &mut Vec<Action>,
        mut change: impl FnMut(&mut Slot, &Settings, &mut Vec<slot::Action>),
    ) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let mut todo = Vec::new();
            change(slot, &self.settings, &mut todo);
            actions.extend(todo.into_iter().map(|action| Action::Slot(index, action)));
        }
    }

    fn pass_time(&mut self, now: BootTime, actions: &mut Vec<Action>) {
        self.each_slot(actions, |slot, _, todo| slot.pass_time(now, todo));
        if let Phase::Draining { cancel_at: Some(at), .. } = self.phase
            && at <= now
        {
            self.cancel_all(now, "the runner drained for longer than max_run_time", actions);
        }
        if self.idle_deadline().is_some_and(|at| at <= now) {
            self.drain(now, End::Idle);
        }
    }

    /// Returns true if tasks are wanted.
    fn accepts(&self) -> bool {
        self.phase == Phase::Working && !(self.settings.single_task && self.taken > 0)
    }

    /// Returns true if tasks are wanted in a slot.
    fn accepts_in(&self, index: SlotIndex) -> bool {
        let class = self.slots.get(index).and_then(|slot| slot.class);
        self.accepts() && !self.holds.holds(class)
    }

    /// Returns true if a task is run that comes with a claim which was on its way. An update that
    /// comes when the machine is idle waits for it: that is sooner for the task than to be given
    /// back.
    fn accepts_late(&self, index: SlotIndex) -> bool {
        let class = self.slots.get(index).and_then(|slot| slot.class);
        let waits = self.is_updating() && self.update == Some(UpdateMode::WhenIdle);
        self.accepts_in(index) || (waits && !self.holds.holds(class))
    }

    /// Adds the actions that the present state calls for: claims to make or to drop, and the end.
    fn follow_up(&mut self, now: BootTime, actions: &mut Vec<Action>) {
        let busy = self.slots.iter().any(Slot::has_task);
        self.make_way(busy);
        for index in 0..self.slots.len() {
            let accepts = self.accepts_in(index);
            let Some(slot) = self.slots.get(index) else { continue };
            let wanted = accepts && slot.may_claim() && !self.class_is_served(index);
            let Some(slot) = self.slots.get_mut(index) else { continue };
            if wanted && !slot.claiming {
                slot.claiming = true;
                actions.push(Action::Slot(index, slot::Action::Claim));
            } else if !accepts && slot.claiming && !slot.claim_dropped {
                slot.claim_dropped = true;
                actions.push(Action::Slot(index, slot::Action::DropClaim));
            }
        }
        // A machine that is held back is not without work: nobody asks whether there is some.
        self.idle_since = match (busy || !self.holds.is_empty(), self.idle_since) {
            (true, _) => None,
            (false, None) => Some(now),
            (false, since) => since,
        };
        if let Some(end) = self.end(busy) {
            self.phase = Phase::Ended;
            actions.push(Action::Exit(end));
        }
    }

    /// In single-task mode one claim of a class is enough: two could both bring a task.
    fn class_is_served(&self, index: SlotIndex) -> bool {
        let class = self.slots.get(index).and_then(|slot| slot.class);
        self.settings.single_task
            && self
                .slots
                .iter()
                .enumerate()
                .any(|(other, slot)| other != index && slot.class == class && slot.claiming)
    }

    fn end(&self, busy: bool) -> Option<End> {
        if self.slots.iter().any(|slot| slot.claiming) {
            return None;
        }
        // A slot is cleaned before the process goes, unless that failed already.
        let cleaning = self.slots.iter().any(|slot| matches!(slot.state, State::Cleaning { .. }));
        let done = !busy && !cleaning;
        match self.phase {
            Phase::Draining { end, .. } if done => Some(end),
            Phase::Canceling if done => Some(End::Stopped),
            Phase::Working if done && self.settings.single_task && self.taken > 0 => {
                Some(End::SingleTask)
            }
            Phase::Leaving if !self.slots.iter().any(Slot::is_between) => Some(End::Left),
            _ => None,
        }
    }
}
