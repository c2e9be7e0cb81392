//! The machine by itself, and in a simulated world that answers its actions in any order.

use std::time::Duration;

use proptest::prelude::*;
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::UnclaimCause;
use russet_protocol::supervise::Failure;

use super::slot::{Action as Do, BACKSTOP, Exit, Input as Got, Settlement, SlotView, Unsettled};
use super::{Action, End, Input, Machine, Settings};
use crate::requests::{HoldSource, Stop};
use russet_platform::clock::BootTime;

mod failing;
mod kept;
mod settling;
mod update;

const START: BootTime = BootTime(1_000_000);

fn settings(slots: usize) -> Settings {
    Settings {
        single_task: false,
        idle_timeout: None,
        drain_limit: Duration::from_secs(3600),
        cancel_patience: Duration::from_secs(40),
        unsafe_retries: false,
        holds_failing: false,
        classes: vec![Some(0); slots],
    }
}

struct Bench {
    machine: Machine,
    now: BootTime,
}

impl Bench {
    fn new(settings: Settings) -> (Self, Vec<Action>) {
        let mut bench = Self::unstarted(settings);
        let mut actions = Vec::new();
        bench.machine.start(START, &mut actions);
        (bench, actions)
    }

    /// One that has not begun: a task may be found in it.
    fn unstarted(settings: Settings) -> Self {
        Self { machine: Machine::new(settings, START), now: START }
    }

    fn send(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.machine.handle(self.now, input, &mut actions);
        actions
    }

    fn slot(&mut self, input: Got) -> Vec<Action> {
        self.send(Input::Slot(0, input))
    }

    fn wait(&mut self, time: Duration) -> Vec<Action> {
        self.now = self.now.after(time);
        self.send(Input::Tick)
    }

    fn view(&self) -> SlotView {
        self.machine.view(|_| String::new()).slots[0].clone()
    }

    /// A slot with a task that may run for an hour.
    fn running(settings: Settings) -> Self {
        let (mut bench, _) = Self::new(settings);
        bench.slot(Got::Cleaned { quick: false });
        assert_eq!(bench.slot(Got::Claimed { refused: None }), [on(Do::Start)]);
        let deadline = START.after(Duration::from_secs(3600));
        assert_eq!(bench.slot(Got::Started { deadline }), []);
        bench
    }
}

fn on(action: Do) -> Action {
    Action::Slot(0, action)
}

fn not_settled() -> Got {
    Got::NotSettled(Unsettled::Unanswered("connection refused".to_owned()))
}

fn not_cleaned() -> Got {
    Got::NotCleaned("could not empty /s/1/spool".to_owned())
}

fn failure(outcome: Outcome, message: &str) -> Failure {
    Failure { outcome, message: message.to_owned() }
}

#[test]
fn a_slot_is_cleaned_claimed_for_run_and_cleaned_again() {
    let (mut bench, actions) = Bench::new(settings(1));
    assert_eq!(actions, [on(Do::Clean)]);
    assert_eq!(bench.slot(Got::Cleaned { quick: false }), [on(Do::Claim)]);
    assert_eq!(bench.slot(Got::Claimed { refused: None }), [on(Do::Start)]);
    let deadline = START.after(Duration::from_secs(60));
    assert_eq!(bench.slot(Got::Started { deadline }), []);
    assert_eq!(bench.slot(Got::Exited(Exit::Reported)), [on(Do::Clean)]);
    assert_eq!(bench.slot(Got::Cleaned { quick: true }), [on(Do::Claim)]);
}

#[test]
fn a_machine_is_ready_once_the_first_of_its_slots_is_clean_found_busy_or_not_to_be_cleaned() {
    let is_ready = |bench: &Bench| bench.machine.view(|_| String::new()).is_ready;
    for input in [Got::Cleaned { quick: true }, not_cleaned()] {
        let (mut bench, _) = Bench::new(settings(2));
        assert!(!is_ready(&bench));
        bench.slot(input);
        assert!(is_ready(&bench));
        // It stays so while it cleans after tasks.
        bench.slot(Got::Claimed { refused: None });
        bench.slot(Got::Exited(Exit::Reported));
        assert!(is_ready(&bench));
    }
    let mut bench = Bench::unstarted(settings(2));
    bench.slot(Got::Adopted { deadline: START.after(Duration::from_secs(60)) });
    assert!(is_ready(&bench), "a task runs");
}

#[test]
fn a_slot_that_cleans_quickly_claims_meanwhile_and_starts_when_clean() {
    let mut bench = Bench::running(settings(1));
    bench.slot(Got::Exited(Exit::Reported));
    bench.slot(Got::Cleaned { quick: true });
    bench.slot(Got::Claimed { refused: None });
    bench.slot(Got::Started { deadline: START });
    assert_eq!(bench.slot(Got::Exited(Exit::Reported)), [on(Do::Clean), on(Do::Claim)]);
    assert_eq!(bench.slot(Got::Claimed { refused: None }), []);
    assert_eq!(bench.slot(Got::Cleaned { quick: true }), [on(Do::Start)]);
}

#[test]
fn a_task_that_a_person_cancels_before_it_has_started_is_canceled_when_it_has() {
    let (mut bench, _) = Bench::new(settings(1));
    bench.slot(Got::Cleaned { quick: false });
    bench.slot(Got::Claimed { refused: None });
    assert_eq!(bench.slot(Got::CancelWanted("not needed".to_owned())), []);
    assert_eq!(bench.view(), SlotView::Busy { ending: Some("not needed".to_owned()) });
    let deadline = START.after(Duration::from_secs(3600));
    let canceled = Do::Cancel(failure(Outcome::Canceled, "not needed"));
    assert_eq!(bench.slot(Got::Started { deadline }), [on(canceled.clone())]);
    assert_eq!(bench.slot(Got::Exited(Exit::Reported)), [on(Do::Clean)]);

    // The next one has nothing to do with it, nor is a slot without a task canceled in advance.
    assert_eq!(bench.slot(Got::Cleaned { quick: true }), [on(Do::Claim)]);
    assert_eq!(bench.slot(Got::CancelWanted("not needed".to_owned())), []);
    bench.slot(Got::Claimed { refused: None });
    assert_eq!(bench.slot(Got::Started { deadline }), []);
    assert_eq!(bench.slot(Got::CancelWanted("not needed".to_owned())), [on(canceled)]);
}

#[test]
fn a_canceled_task_that_could_not_be_started_does_not_run_elsewhere() {
    let (mut bench, _) = Bench::new(settings(1));
    bench.slot(Got::Cleaned { quick: false });
    bench.slot(Got::Claimed { refused: None });
    bench.slot(Got::CancelWanted("not needed".to_owned()));
    let report = Settlement::Report(failure(Outcome::Canceled, "not needed"));
    let actions = bench.slot(Got::NotStarted("no processes left".to_owned()));
    assert_eq!(actions, [on(Do::Settle(report))]);
    assert_eq!(bench.slot(Got::Settled), [on(Do::Clean)]);
    bench.slot(Got::Cleaned { quick: true });
    bench.slot(Got::Claimed { refused: None });
    assert_eq!(bench.slot(Got::Started { deadline: START }), []);
}

#[test]
fn a_drain_finishes_the_task_and_claims_nothing() {
    let mut bench = Bench::running(settings(1));
    assert_eq!(bench.send(Input::Stop(Stop::Drain)), []);
    assert_eq!(bench.slot(Got::Exited(Exit::Reported)), [on(Do::Clean)]);
    assert_eq!(bench.slot(Got::Cleaned { quick: true }), [Action::Exit(End::Stopped)]);
}

#[test]
fn a_drain_of_an_idle_agent_drops_its_claim_and_ends() {
    let (mut bench, _) = Bench::new(settings(1));
    bench.slot(Got::Cleaned { quick: false });
    assert_eq!(bench.send(Input::Stop(Stop::Drain)), [on(Do::DropClaim)]);
    assert_eq!(bench.slot(Got::ClaimDropped), [Action::Exit(End::Stopped)]);
}

#[test]
fn a_task_that_comes_during_a_drain_is_given_back() {
    let (mut bench, _) = Bench::new(settings(1));
    bench.slot(Got::Cleaned { quick: false });
    bench.send(Input::Stop(Stop::Drain));
    let actions = bench.slot(Got::Claimed { refused: None });
    assert!(matches!(actions[..], [Action::Slot(0, Do::Settle(Settlement::GiveBack(..)))]));
    assert_eq!(bench.slot(Got::Settled), [on(Do::Clean)]);
    assert_eq!(bench.slot(Got::Cleaned { quick: true }), [Action::Exit(End::Stopped)]);
}

#[test]
fn a_drain_longer_than_the_limit_cancels() {
    let mut bench = Bench::running(settings(1));
    bench.send(Input::Stop(Stop::Drain));
    assert_eq!(bench.machine.next_wakeup(), Some(START.after(Duration::from_secs(3600))));
    let actions = bench.wait(Duration::from_secs(3600));
    assert!(matches!(&actions[..], [Action::Slot(0, Do::Cancel(failure))]
        if failure.outcome == Outcome::Canceled));
}

#[test]
fn a_control_plane_that_hears_nothing_keeps_no_agent_that_was_stopped() {
    for stops in [2, 3] {
        let mut bench = Bench::running(settings(1));
        bench.send(Input::Stop(Stop::Drain));
        for _ in 1..stops {
            bench.send(Input::Stop(Stop::Cancel));
        }
        let actions = bench.slot(Got::Exited(Exit::Died("signal 15".to_owned())));
        assert!(matches!(actions[..], [Action::Slot(0, Do::Settle(_))]));
        assert_eq!(bench.slot(not_settled()), []);
        let give_up_at = bench.machine.next_wakeup().unwrap();
        assert!(give_up_at <= bench.now.after(Duration::from_secs(15)));
        let mut waited = Duration::ZERO;
        let limit = Duration::from_secs(if stops == 2 { 55 } else { 15 });
        let mut ended = false;
        while waited < limit && !ended {
            waited += Duration::from_secs(5);
            let actions = bench.wait(Duration::from_secs(5));
            ended = actions.contains(&Action::Exit(End::Stopped));
            if actions.iter().any(|it| matches!(it, Action::Slot(0, Do::Settle(_)))) {
                ended |= bench.slot(not_settled()).contains(&Action::Exit(End::Stopped));
            }
        }
        assert!(ended, "after {stops} stops");
    }
}

#[test]
fn the_second_stop_cancels_and_the_third_kills() {
    let mut bench = Bench::running(settings(1));
    bench.send(Input::Stop(Stop::Drain));
    let actions = bench.send(Input::Stop(Stop::Cancel));
    assert!(matches!(actions[..], [Action::Slot(0, Do::Cancel(_))]));
    assert_eq!(bench.send(Input::Stop(Stop::Cancel)), [on(Do::Kill)]);
    let actions = bench.slot(Got::Exited(Exit::Died("signal 9".to_owned())));
    let expected = failure(Outcome::Canceled, "the runner was stopped");
    assert_eq!(actions, [on(Do::Settle(Settlement::Report(expected)))]);
}

#[test]
fn a_canceled_task_agent_that_does_not_end_is_killed() {
    let mut bench = Bench::running(settings(1));
    let actions = bench.slot(Got::CancelAsked("by a person".to_owned()));
    let expected = failure(Outcome::Canceled, "by a person");
    assert_eq!(actions, [on(Do::Cancel(expected.clone()))]);
    assert_eq!(bench.slot(Got::CancelAsked("again".to_owned())), []);
    assert_eq!(bench.wait(Duration::from_secs(39)), []);
    assert_eq!(bench.wait(Duration::from_secs(1)), [on(Do::Kill)]);
    let actions = bench.slot(Got::Exited(Exit::Died("signal 9".to_owned())));
    assert_eq!(actions, [on(Do::Settle(Settlement::Report(expected)))]);
}

#[test]
fn the_verdict_of_the_backstop_wins_over_an_exit_that_says_otherwise() {
    let mut bench = Bench::running(settings(1));
    let late = Duration::from_secs(3600) + BACKSTOP;
    assert_eq!(bench.wait(late - Duration::from_millis(1)), []);
    assert_eq!(bench.wait(Duration::from_millis(1)), [on(Do::Kill)]);
    let success = failure(Outcome::Success, "");
    let actions = bench.slot(Got::Exited(Exit::Unreported(success)));
    assert!(matches!(&actions[..], [Action::Slot(0, Do::Settle(Settlement::Report(failure)))]
        if failure.outcome == Outcome::TimedOut));
}

#[test]
fn a_task_agent_that_dies_is_an_infrastructure_failure_or_a_retry() {
    let died = || Got::Exited(Exit::Died("the task agent was killed by signal 9".to_owned()));
    let actions = Bench::running(settings(1)).slot(died());
    assert!(matches!(&actions[..], [Action::Slot(0, Do::Settle(Settlement::Report(failure)))]
        if failure.outcome == Outcome::InfrastructureFail && failure.message.contains("signal 9")));
    let unsafe_retries = Settings { unsafe_retries: true, ..settings(1) };
    let actions = Bench::running(unsafe_retries).slot(died());
    assert!(matches!(actions[..], [Action::Slot(0, Do::Settle(Settlement::GiveBack(..)))]));
}

#[test]
fn with_unsafe_retries_a_stop_gives_the_running_task_back() {
    let mut bench = Bench::running(Settings { unsafe_retries: true, ..settings(1) });
    assert_eq!(bench.send(Input::Stop(Stop::Cancel)), [on(Do::Kill)]);
    let actions = bench.slot(Got::Exited(Exit::Died("signal 9".to_owned())));
    assert!(matches!(actions[..], [Action::Slot(0, Do::Settle(Settlement::GiveBack(..)))]));
}

#[test]
fn a_task_agent_that_could_not_start_gives_the_task_back() {
    let (mut bench, _) = Bench::new(settings(1));
    bench.slot(Got::Cleaned { quick: false });
    bench.slot(Got::Claimed { refused: None });
    let actions = bench.slot(Got::NotStarted("no such file".to_owned()));
    let expected = Settlement::GiveBack(UnclaimCause::NotStarted, "no such file".to_owned());
    assert_eq!(actions, [on(Do::Settle(expected.clone()))]);
    assert_eq!(bench.slot(not_settled()), []);
    assert_eq!(bench.wait(Duration::from_secs(2)), [on(Do::Settle(expected))]);
    assert_eq!(bench.slot(Got::Settled), [on(Do::Clean)]);
}

#[test]
fn a_refused_task_never_starts() {
    let (mut bench, _) = Bench::new(settings(1));
    bench.slot(Got::Cleaned { quick: false });
    let actions = bench.slot(Got::Claimed { refused: Some("from a fork".to_owned()) });
    assert_eq!(actions, [on(Do::Settle(Settlement::Refuse("from a fork".to_owned())))]);
}

#[test]
fn a_stale_task_is_killed_and_nothing_is_reported() {
    let mut bench = Bench::running(settings(1));
    assert_eq!(bench.slot(Got::Stale), [on(Do::Kill)]);
    let actions = bench.slot(Got::Exited(Exit::Died("signal 9".to_owned())));
    assert_eq!(actions, [on(Do::Clean)]);
}

#[test]
fn a_dirty_slot_takes_no_task_until_it_is_clean() {
    let mut bench = Bench::running(settings(1));
    bench.slot(Got::Exited(Exit::Reported));
    assert_eq!(bench.slot(not_cleaned()), []);
    assert_eq!(bench.wait(Duration::from_secs(2)), [on(Do::Clean)]);
    assert_eq!(bench.slot(not_cleaned()), []);
    assert_eq!(bench.wait(Duration::from_secs(2)), []);
    assert_eq!(bench.wait(Duration::from_secs(2)), [on(Do::Clean)]);
    assert_eq!(bench.slot(Got::Cleaned { quick: false }), [on(Do::Claim)]);
}

#[test]
fn a_slot_that_can_not_be_cleaned_gives_back_one_task_and_claims_no_other() {
    let mut bench = Bench::running(settings(1));
    bench.slot(Got::Exited(Exit::Reported));
    bench.slot(Got::Cleaned { quick: true });
    bench.slot(Got::Claimed { refused: None });
    bench.slot(Got::Started { deadline: START });
    assert_eq!(bench.slot(Got::Exited(Exit::Reported)), [on(Do::Clean), on(Do::Claim)]);
    bench.slot(Got::Claimed { refused: None });
    let actions = bench.slot(not_cleaned());
    assert!(matches!(actions[..], [Action::Slot(0, Do::Settle(Settlement::GiveBack(..)))]));
    assert_eq!(bench.slot(Got::Settled), [on(Do::Clean)]);
    assert_eq!(bench.slot(not_cleaned()), []);
}

#[test]
fn single_task_stops_after_one_and_gives_a_second_back() {
    let single = Settings { single_task: true, classes: vec![Some(0), Some(1)], ..settings(2) };
    let (mut bench, _) = Bench::new(single);
    assert_eq!(bench.slot(Got::Cleaned { quick: false }), [on(Do::Claim)]);
    let actions = bench.send(Input::Slot(1, Got::Cleaned { quick: false }));
    assert_eq!(actions, [Action::Slot(1, Do::Claim)]);
    let actions = bench.slot(Got::Claimed { refused: None });
    assert_eq!(actions, [on(Do::Start), Action::Slot(1, Do::DropClaim)]);
    let actions = bench.send(Input::Slot(1, Got::Claimed { refused: None }));
    assert!(matches!(actions[..], [Action::Slot(1, Do::Settle(Settlement::GiveBack(..)))]));
    bench.slot(Got::Started { deadline: START });
    bench.slot(Got::Exited(Exit::Reported));
    bench.slot(Got::Cleaned { quick: true });
    assert_eq!(bench.send(Input::Slot(1, Got::Settled)), [Action::Slot(1, Do::Clean)]);
    let actions = bench.send(Input::Slot(1, Got::Cleaned { quick: true }));
    assert_eq!(actions, [Action::Exit(End::SingleTask)]);
}

#[test]
fn an_idle_agent_ends_after_its_timeout_and_a_busy_one_does_not() {
    let timeout = Duration::from_secs(300);
    let idle = Settings { idle_timeout: Some(timeout), ..settings(1) };
    let (mut bench, _) = Bench::new(idle.clone());
    bench.slot(Got::Cleaned { quick: false });
    assert_eq!(bench.machine.next_wakeup(), Some(START.after(timeout)));
    assert_eq!(bench.wait(timeout), [on(Do::DropClaim)]);
    assert_eq!(bench.slot(Got::ClaimDropped), [Action::Exit(End::Idle)]);

    let mut bench = Bench::running(idle);
    assert_eq!(bench.wait(timeout * 2), []);
    bench.slot(Got::Exited(Exit::Reported));
    bench.slot(Got::Cleaned { quick: false });
    assert_eq!(bench.machine.next_wakeup(), Some(bench.now.after(timeout)));
}

fn hold(source: HoldSource, reason: Option<&str>) -> Input {
    Input::Hold { source, class: None, reason: reason.map(str::to_owned) }
}

#[test]
fn a_hold_drops_the_claim_and_lifting_it_claims_again() {
    let (mut bench, _) = Bench::new(settings(1));
    bench.slot(Got::Cleaned { quick: false });
    assert_eq!(bench.send(hold(HoldSource::Pause, Some("lunch"))), [on(Do::DropClaim)]);
    assert_eq!(bench.send(hold(HoldSource::Health, Some("full"))), []);
    assert_eq!(bench.slot(Got::ClaimDropped), []);
    assert_eq!(bench.send(hold(HoldSource::Pause, None)), []);
    assert_eq!(bench.send(hold(HoldSource::Health, None)), [on(Do::Claim)]);
}

#[test]
fn a_hold_on_one_class_leaves_the_others_at_work() {
    let two = Settings { classes: vec![Some(0), Some(1)], ..settings(2) };
    let (mut bench, _) = Bench::new(two);
    let at = |slot, action| Action::Slot(slot, action);
    for slot in [0, 1] {
        let cleaned = bench.send(Input::Slot(slot, Got::Cleaned { quick: false }));
        assert_eq!(cleaned, [at(slot, Do::Claim)]);
    }
    let session = |reason: Option<&str>| Input::Hold {
        source: HoldSource::Session,
        class: Some(1),
        reason: reason.map(str::to_owned),
    };
    assert_eq!(bench.send(session(Some("ci is not logged in"))), [at(1, Do::DropClaim)]);
    assert_eq!(bench.send(session(Some("ci is not logged in"))), []);
    assert_eq!(bench.send(Input::Slot(1, Got::ClaimDropped)), []);
    assert_eq!(bench.send(session(None)), [at(1, Do::Claim)]);
}

#[test]
fn a_hold_that_is_lifted_before_the_claim_has_ended_claims_anew() {
    let (mut bench, _) = Bench::new(settings(1));
    bench.slot(Got::Cleaned { quick: false });
    bench.send(hold(HoldSource::Pause, Some("lunch")));
    assert_eq!(bench.send(hold(HoldSource::Pause, None)), []);
    assert_eq!(bench.slot(Got::ClaimDropped), [on(Do::Claim)]);
}

#[test]
fn a_task_that_comes_although_claims_are_held_is_given_back() {
    let (mut bench, _) = Bench::new(settings(1));
    bench.slot(Got::Cleaned { quick: false });
    bench.send(hold(HoldSource::Pause, Some("lunch")));
    let actions = bench.slot(Got::Claimed { refused: None });
    assert!(matches!(actions[..], [Action::Slot(0, Do::Settle(Settlement::GiveBack(..)))]));
}

#[test]
fn a_hold_lets_tasks_run_and_a_cancel_of_tasks_ends_them_alone() {
    let mut bench = Bench::running(settings(1));
    assert_eq!(bench.send(hold(HoldSource::Drain, Some("new disk"))), []);
    let actions = bench.send(Input::CancelTasks("the drain's time is over".to_owned()));
    assert!(matches!(&actions[..], [Action::Slot(0, Do::Cancel(failure))]
        if failure.message == "the drain's time is over"));
    assert_eq!(bench.slot(Got::Exited(Exit::Reported)), [on(Do::Clean)]);
    assert_eq!(bench.slot(Got::Cleaned { quick: true }), []);
    assert_eq!(bench.send(hold(HoldSource::Drain, None)), [on(Do::Claim)]);
}

#[test]
fn leaving_lets_tasks_run() {
    let mut bench = Bench::running(settings(1));
    assert_eq!(bench.send(Input::Stop(Stop::Leave)), [Action::Exit(End::Left)]);
}

#[test]
fn an_adopted_task_is_watched_as_if_it_were_started_here() {
    let mut machine = Machine::new(settings(1), START);
    let mut actions = Vec::new();
    let deadline = START.after(Duration::from_secs(10));
    machine.handle(START, Input::Slot(0, Got::Adopted { deadline }), &mut actions);
    machine.start(START, &mut actions);
    assert_eq!(actions, []);
    assert_eq!(machine.next_wakeup(), Some(deadline.after(BACKSTOP)));
}

#[derive(Clone, Copy, Debug)]
enum Move {
    /// Carry out a pending action, and how it goes.
    Answer(usize, u8),
    /// Something happens to a slot by itself.
    Happens(usize, u8),
    Wait(u32),
    Stop(u8),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Move::Answer(which, how)),
        3 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Move::Happens(which, how)),
        1 => (0_u32..4_000).prop_map(Move::Wait),
        1 => (0_u8..40).prop_map(Move::Stop),
    ]
}

/// True state of the slots, whatever the machine believes.
#[derive(Default)]
struct World {
    pending: Vec<Action>,
    live: Vec<bool>,
    clean: Vec<bool>,
    started: usize,
    exited: bool,
}

impl World {
    fn take(&mut self, actions: Vec<Action>) {
        assert!(actions.is_empty() || !self.exited, "actions after the end: {actions:?}");
        for action in actions {
            match &action {
                Action::Exit(End::Left) => self.exited = true,
                Action::Exit(_) => {
                    assert!(!self.live.contains(&true), "ended with a task that runs");
                    self.exited = true;
                }
                Action::Slot(index, Do::Start) => {
                    assert!(!self.live[*index], "two tasks in one slot");
                    assert!(self.clean[*index], "a task in a slot that is not clean");
                    self.live[*index] = true;
                    self.clean[*index] = false;
                    self.started += 1;
                    self.pending.push(action);
                }
                Action::Slot(_, Do::Cancel(_) | Do::GiveUp(_)) => {}
                Action::Slot(index, Do::DropClaim) => {
                    let claim = Action::Slot(*index, Do::Claim);
                    assert!(self.pending.contains(&claim), "no claim to drop");
                }
                Action::Slot(index, Do::Clean) => {
                    assert!(!self.live[*index], "cleaned under a task");
                    assert!(!self.pending.contains(&action), "cleaned twice at once");
                    self.pending.push(action);
                }
                Action::Slot(..) => {
                    assert!(!self.pending.contains(&action), "{action:?} twice at once");
                    self.pending.push(action);
                }
            }
        }
    }

    /// Returns one of the ends that an action may have.
    fn answer(&mut self, which: usize, how: u8, now: BootTime) -> Option<(usize, Got)> {
        if self.pending.is_empty() {
            return None;
        }
        let Action::Slot(index, action) = self.pending.swap_remove(which % self.pending.len())
        else {
            return None;
        };
        let bad = how.is_multiple_of(5);
        let got = match action {
            Do::Clean if bad => not_cleaned(),
            Do::Clean => {
                self.clean[index] = true;
                Got::Cleaned { quick: how.is_multiple_of(2) }
            }
            Do::Claim if bad => Got::Claimed { refused: Some("no".to_owned()) },
            Do::Claim => Got::Claimed { refused: None },
            Do::Start if bad => {
                self.live[index] = false;
                // Nobody had it, so nothing was changed.
                self.clean[index] = true;
                Got::NotStarted("no".to_owned())
            }
            Do::Start => Got::Started { deadline: now.after(Duration::from_secs(600)) },
            Do::Kill => {
                self.live[index] = false;
                Got::Exited(Exit::Died("killed".to_owned()))
            }
            Do::Settle(Settlement::GiveBack(..)) if how.is_multiple_of(4) => Got::NotTakenBack,
            Do::Settle(_) if bad => Got::NotSettled(Unsettled::HelperFailed("full".to_owned())),
            Do::Settle(_) if how.is_multiple_of(3) => not_settled(),
            Do::Settle(_) => Got::Settled,
            Do::Cancel(_) | Do::DropClaim | Do::GiveUp(_) => return None,
        };
        Some((index, got))
    }

    /// Returns an event that may happen to a slot by itself: only those that its true state allows.
    fn happens(&mut self, which: usize, how: u8) -> Option<(usize, Got)> {
        let index = which % self.live.len();
        let starting = self.pending.contains(&Action::Slot(index, Do::Start));
        let killing = self.pending.contains(&Action::Slot(index, Do::Kill));
        if !self.live[index] || starting || killing {
            return None;
        }
        Some((
            index,
            match how % 8 {
                0 => Got::Silent,
                1 => Got::Stale,
                2 => Got::CancelAsked("by a person".to_owned()),
                other => {
                    self.live[index] = false;
                    Got::Exited(match other {
                        3 => Exit::Died("signal".to_owned()),
                        4 => Exit::Unreported(failure(Outcome::Success, "")),
                        5 => Exit::NothingRan("no user".to_owned()),
                        6 => Exit::DiedEarly(UnclaimCause::Interrupted, "no word".to_owned()),
                        _ => Exit::Reported,
                    })
                }
            },
        ))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens in whatever order: no slot ever has two tasks or a task while it is not
    /// clean, single-task mode starts one at most, and told to stop the agent comes to its end.
    #[test]
    fn the_machine_keeps_its_promises_in_any_order(
        moves in proptest::collection::vec(moves(), 1..300),
        slots in 1_usize..4,
        single_task: bool,
        unsafe_retries: bool,
        holds_failing: bool,
        idle: bool,
    ) {
        let idle_timeout = idle.then(|| Duration::from_secs(900));
        let settings = Settings {
            single_task, unsafe_retries, holds_failing, idle_timeout,
            classes: (0..slots).map(|slot| Some(slot % 2)).collect(),
            ..settings(slots)
        };
        let (mut bench, actions) = Bench::new(settings);
        let mut world =
            World { live: vec![false; slots], clean: vec![false; slots], ..World::default() };
        world.take(actions);
        let end = std::iter::repeat_n(Move::Stop(1), 1).chain((0..2_000_usize).map(|turn| {
            // A fair ending: every action is answered well, tasks end, time passes.
            match turn % 3 {
                0 => Move::Answer(turn, 1),
                1 => Move::Happens(turn, 7),
                _ => Move::Wait(60),
            }
        }));
        for step in moves.into_iter().chain(end) {
            if world.exited {
                break;
            }
            let input = match step {
                Move::Answer(which, how) => world.answer(which, how, bench.now),
                Move::Happens(which, how) => world.happens(which, how),
                Move::Wait(seconds) => {
                    let actions = bench.wait(Duration::from_secs(u64::from(seconds)));
                    world.take(actions);
                    None
                }
                Move::Stop(kind) => {
                    let stop = match kind { 0 => Stop::Cancel, 1 => Stop::Drain, _ => continue };
                    let actions = bench.send(Input::Stop(stop));
                    world.take(actions);
                    None
                }
            };
            if let Some((index, got)) = input {
                let actions = bench.send(Input::Slot(index, got));
                world.take(actions);
            }
        }
        prop_assert!(world.exited, "it was told to stop and did not: {:?}", bench.machine);
        prop_assert!(!single_task || world.started <= 1, "{} tasks", world.started);
    }
}
