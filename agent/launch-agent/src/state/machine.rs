//! The state machine of the whole agent: its phase, its slots, its holds.

use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::Failure;

use super::failures::Failures;
use super::holds::Holds;
use super::slot::{self, Slot};
use super::types::{Action, End, Input, Settings, SlotIndex, TaskEnd, TaskResult, View};
use crate::requests::{HoldSource, Stop, UpdateMode};
use russet_platform::clock::BootTime;

/// Time in which an agent that was told to end tries to tell the control plane how tasks ended.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);

/// The phase of the agent as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Claims and runs.
    Working,
    /// Claims nothing and waits for what runs.
    Draining {
        /// The end that follows.
        end: End,
        /// Time at which what still runs is canceled.
        cancel_at: Option<BootTime>,
    },
    /// Everything was told to end.
    Canceling {
        /// Time from which the control plane is not waited for any longer: the journals say to the
        /// next agent what this one could not.
        give_up_at: BootTime,
    },
    /// Ends itself alone.
    Leaving,
    /// Has said [`Action::Exit`].
    Ended,
}

/// The launch agent's state.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    settings: Settings,
    phase: Phase,
    slots: Vec<Slot>,
    /// Set once the first cleaning of a slot has ended, or a task was found in one.
    is_ready: bool,
    holds: Holds,
    /// Tasks that failed in a row for reasons of this machine.
    failures: Failures,
    /// A new version lies ready.
    update: Option<UpdateMode>,
    /// Tasks that were claimed so far.
    taken: u64,
    /// Since when no slot has a task.
    idle_since: Option<BootTime>,
}

impl Machine {
    /// A machine whose slots are all to be cleaned, or adopted.
    pub(crate) fn new(settings: Settings, now: BootTime) -> Self {
        let slots = settings.classes.iter().map(|class| Slot::new(*class)).collect();
        let (holds, failures) = (Holds::default(), Failures::default());
        let (phase, idle_since) = (Phase::Working, Some(now));
        let (update, taken, is_ready) = (None, 0, false);
        Self { settings, phase, slots, is_ready, holds, failures, update, taken, idle_since }
    }

    /// Begins: every slot in which nothing was adopted or orphaned is cleaned.
    pub(crate) fn start(&mut self, now: BootTime, actions: &mut Vec<Action>) {
        self.each_slot(actions, |slot, _, todo| slot.start(todo));
        self.follow_up(now, actions);
    }

    /// Takes an input; what is to be done about it is added to `actions`.
    pub(crate) fn handle(&mut self, now: BootTime, input: Input, actions: &mut Vec<Action>) {
        if self.phase == Phase::Ended {
            return;
        }
        match input {
            Input::Tick => {}
            Input::Stop(stop) => self.stop(now, stop, actions),
            Input::Hold { source, class, reason } => {
                self.holds.set(source, class, reason);
            }
            Input::Retry => self.failures.clear(),
            Input::TaskEnded(index, end) => self.note_end(now, index, end),
            Input::Update(mode) => self.update = mode,
            Input::CancelTasks(reason) => self.interrupt_all(now, &reason, actions),
            Input::Slot(index, input) => self.slot_input(now, index, input, actions),
        }
        self.pass_time(now, actions);
        self.follow_up(now, actions);
    }

    /// Returns what people see. `label` names a class.
    pub(crate) fn view(&self, label: impl Fn(usize) -> String) -> View {
        let holds = self.holds.iter();
        let holds = holds.map(|(source, class, reason)| (source, class, reason.to_owned()));
        let failures = self.failures.holds();
        let failures = failures.map(|(class, reason)| (HoldSource::Failures, Some(class), reason));
        View {
            is_ready: self.is_ready,
            is_ending: self.phase != Phase::Working,
            is_updating: self.is_updating(),
            slots: self.slots.iter().map(Slot::view).collect(),
            holds: holds
                .chain(failures)
                .map(|(source, class, reason)| (source, class.map(&label), reason))
                .collect(),
        }
    }

    /// The time at which something is due although nothing happens.
    pub(crate) fn next_wakeup(&self) -> Option<BootTime> {
        let drain = match self.phase {
            Phase::Draining { cancel_at, .. } => cancel_at,
            Phase::Canceling { give_up_at } => Some(give_up_at),
            Phase::Ended => return None,
            _ => None,
        };
        self.slots
            .iter()
            .filter_map(Slot::next_wakeup)
            .chain(drain)
            .chain(self.idle_deadline())
            .chain(self.failures.next_wakeup())
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
        if let slot::Input::NotStarted(reason) = &input {
            let result = TaskResult::Failed { reason: reason.clone(), has_begun: false };
            self.note_end(now, index, TaskEnd { result, project: None, took: None });
        }
        let input = match input {
            slot::Input::Claimed { .. } if unwanted => slot::Input::ClaimedTooLate,
            slot::Input::NotTakenBack if self.may_run_unwanted() => slot::Input::RunAnyway,
            other => other,
        };
        let Some(slot) = self.slots.get_mut(index) else { return };
        let mut todo = Vec::new();
        slot.handle(now, input, &self.settings, &mut todo);
        actions.extend(todo.into_iter().map(|action| Action::Slot(index, action)));
    }

    /// Counts failures of tasks that nobody ended.
    fn note_end(&mut self, now: BootTime, index: SlotIndex, end: TaskEnd) {
        let Some(slot) = self.slots.get(index) else { return };
        let counts = self.settings.holds_failing && slot.view().ending().is_none();
        if let Some(class) = slot.class.filter(|_| counts) {
            self.failures.note(now, class, &end);
        }
    }

    fn stop(&mut self, now: BootTime, stop: Stop, actions: &mut Vec<Action>) {
        match (stop, self.phase) {
            (Stop::Drain, Phase::Working) => self.drain(now, End::Stopped),
            (Stop::Cancel, Phase::Working | Phase::Draining { .. }) => {
                self.cancel_all(now, "the runner was stopped", actions);
            }
            (Stop::Cancel, Phase::Canceling { give_up_at }) => {
                let give_up_at = give_up_at.min(now.after(SETTLE_TIMEOUT));
                self.phase = Phase::Canceling { give_up_at };
                self.each_slot(actions, |slot, _, todo| slot.kill_now(todo));
            }
            (Stop::Leave, Phase::Working | Phase::Draining { .. }) => {
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

    /// Decides if this version makes way for another one: **the one place that decides it**. It
    /// does while no task runs; one that is cleaned up after is waited for. Where the owner set a
    /// window it takes no more tasks in it, and no task is ever ended for an update.
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
        let give_up_at = now.after(self.settings.cancel_patience + SETTLE_TIMEOUT);
        self.phase = Phase::Canceling { give_up_at };
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
        self.failures.pass_time(now);
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
        self.accepts() && self.is_open(index, class)
    }

    /// Returns true if a task is run that comes with a claim which was on its way. An update that
    /// comes when the machine is idle waits for it: that is sooner for the task than to be given
    /// back.
    fn accepts_late(&self, index: SlotIndex) -> bool {
        let class = self.slots.get(index).and_then(|slot| slot.class);
        let waits = self.is_updating() && self.update == Some(UpdateMode::WhenIdle);
        self.accepts_in(index) || (waits && self.is_open(index, class))
    }

    /// Returns true if nothing holds a slot of a class back.
    fn is_open(&self, index: SlotIndex, class: Option<usize>) -> bool {
        let permits = class.is_none_or(|class| self.failures.permits(class, index));
        permits && !self.holds.holds(class)
    }

    /// Returns true if a task that the control plane does not take back may run, although none is
    /// wanted: it is waited for as those that ran before.
    fn may_run_unwanted(&self) -> bool {
        matches!(self.phase, Phase::Working | Phase::Draining { .. }) && !self.settings.single_task
    }

    /// Derives what follows from the state as it is now: claims to make or to drop, and the end.
    fn follow_up(&mut self, now: BootTime, actions: &mut Vec<Action>) {
        let busy = self.slots.iter().any(Slot::has_task);
        self.is_ready |= !self.slots.iter().all(Slot::is_cleaning);
        self.make_way(busy);
        let slots = &self.slots;
        self.failures.release(|index| {
            slots.get(index).is_some_and(|slot| slot.has_claim() || slot.has_task())
        });
        for index in 0..self.slots.len() {
            let accepts = self.accepts_in(index);
            let is_served = self.class_is_served(index);
            let Some(slot) = self.slots.get_mut(index) else { continue };
            let mut todo = Vec::new();
            if accepts && slot.may_claim() && !is_served {
                slot.begin_claim(&mut todo);
                if let Some(class) = slot.class {
                    self.failures.begin_claim(class, index);
                }
            } else if !accepts {
                slot.drop_claim(&mut todo);
            }
            actions.extend(todo.into_iter().map(|action| Action::Slot(index, action)));
        }
        // A machine that is held back is not without work: nobody asks whether there is some.
        let is_held = !self.holds.is_empty() || self.failures.holds().next().is_some();
        self.idle_since = match (busy || is_held, self.idle_since) {
            (true, _) => None,
            (false, None) => Some(now),
            (false, since) => since,
        };
        if let Some(end) = self.end(now, busy) {
            self.phase = Phase::Ended;
            actions.push(Action::Exit(end));
        }
    }

    /// Answers whether nothing is under way any more but to tell the control plane how tasks ended.
    fn only_settles(&self) -> bool {
        self.slots.iter().all(|slot| slot.is_settling() || !(slot.has_task() || slot.is_cleaning()))
    }

    /// In single-task mode one claim of a class is enough: two could both bring a task.
    fn class_is_served(&self, index: SlotIndex) -> bool {
        let class = self.slots.get(index).and_then(|slot| slot.class);
        self.settings.single_task
            && self
                .slots
                .iter()
                .enumerate()
                .any(|(other, slot)| other != index && slot.class == class && slot.has_claim())
    }

    fn end(&self, now: BootTime, busy: bool) -> Option<End> {
        if self.slots.iter().any(Slot::has_claim) {
            return None;
        }
        // A slot is cleaned before the process goes, unless that failed already.
        let done = !busy && !self.slots.iter().any(Slot::is_cleaning);
        match self.phase {
            Phase::Draining { end, .. } if done => Some(end),
            Phase::Canceling { .. } if done => Some(End::Stopped),
            Phase::Canceling { give_up_at } if give_up_at <= now && self.only_settles() => {
                Some(End::Stopped)
            }
            Phase::Working if done && self.settings.single_task && self.taken > 0 => {
                Some(End::SingleTask)
            }
            Phase::Leaving if !self.slots.iter().any(Slot::is_between) => Some(End::Left),
            _ => None,
        }
    }
}
