//! Classes whose tasks fail one after the other.

use std::time::Duration;

use super::{Bench, Do, Got, on, settings};
use crate::requests::HoldSource;
use crate::state::{Action, Input, Settings, TaskEnd, TaskResult};

fn bench(slots: usize) -> Bench {
    let (mut bench, _) = Bench::new(Settings { holds_failing: true, ..settings(slots) });
    for index in 0..slots {
        bench.send(Input::Slot(index, Got::Cleaned { quick: false }));
    }
    bench
}

/// A task of the first slot that cannot be started, up to the next claim or none.
fn fail_once(bench: &mut Bench) -> Vec<Action> {
    bench.slot(Got::Claimed { refused: None });
    bench.slot(Got::NotStarted("the prefix is gone".to_owned()));
    bench.slot(Got::Settled);
    bench.slot(Got::Cleaned { quick: false })
}

fn holds(bench: &Bench) -> Vec<(HoldSource, Option<String>)> {
    let view = bench.machine.view(|class| format!("class {class}"));
    view.holds.into_iter().map(|(source, class, _)| (source, class)).collect()
}

fn ended(result: TaskResult) -> Input {
    Input::TaskEnded(0, TaskEnd { result, project: None, took: None })
}

#[test]
fn a_class_claims_nothing_after_three_failures_and_one_task_is_tried_later() {
    let mut bench = bench(1);
    assert_eq!(fail_once(&mut bench), [on(Do::Claim)]);
    assert_eq!(fail_once(&mut bench), [on(Do::Claim)]);
    assert_eq!(fail_once(&mut bench), [], "the third one holds the class");
    assert_eq!(holds(&bench), [(HoldSource::Failures, Some("class 0".to_owned()))]);
    assert_eq!(bench.wait(Duration::from_secs(299)), []);
    assert_eq!(bench.wait(Duration::from_secs(1)), [on(Do::Claim)]);
    assert_eq!(holds(&bench).len(), 1, "it is only tried");
    assert_eq!(fail_once(&mut bench), []);
    assert_eq!(bench.wait(Duration::from_secs(599)), []);
    assert_eq!(bench.wait(Duration::from_secs(1)), [on(Do::Claim)]);
    bench.slot(Got::Claimed { refused: None });
    bench.send(ended(TaskResult::Worked));
    assert_eq!(holds(&bench), []);
}

#[test]
fn a_person_lifts_the_hold_and_the_claims_of_other_slots_are_dropped_by_it() {
    let mut bench = bench(2);
    fail_once(&mut bench);
    fail_once(&mut bench);
    bench.slot(Got::Claimed { refused: None });
    let dropped = bench.slot(Got::NotStarted("gone".to_owned()));
    assert!(dropped.contains(&Action::Slot(1, Do::DropClaim)), "{dropped:?}");
    bench.send(Input::Slot(1, Got::ClaimDropped));
    bench.slot(Got::Settled);
    assert_eq!(bench.slot(Got::Cleaned { quick: false }), []);
    let claims = bench.send(Input::Retry);
    assert_eq!(claims, [Action::Slot(0, Do::Claim), Action::Slot(1, Do::Claim)]);
}

#[test]
fn only_one_of_several_slots_tries() {
    let mut bench = bench(2);
    bench.send(Input::Slot(1, Got::ClaimDropped));
    for _ in 0..3 {
        fail_once(&mut bench);
    }
    bench.send(Input::Slot(1, Got::ClaimDropped));
    assert_eq!(bench.wait(Duration::from_secs(300)), [Action::Slot(0, Do::Claim)]);
    // Its claim is dropped by a pause: another one may try after that.
    let pause = |reason: Option<&str>| Input::Hold {
        source: HoldSource::Pause,
        class: None,
        reason: reason.map(str::to_owned),
    };
    assert_eq!(bench.send(pause(Some("lunch"))), [Action::Slot(0, Do::DropClaim)]);
    assert_eq!(bench.send(Input::Slot(0, Got::ClaimDropped)), []);
    assert_eq!(bench.send(pause(None)), [Action::Slot(0, Do::Claim)]);
}

#[test]
fn what_a_person_canceled_counts_for_nothing_and_neither_does_anything_where_the_owner_says_so() {
    let mut bench = bench(1);
    for _ in 0..5 {
        bench.slot(Got::Claimed { refused: None });
        let deadline = bench.now.after(Duration::from_secs(3600));
        bench.slot(Got::Started { deadline });
        bench.slot(Got::CancelAsked("not needed".to_owned()));
        let result = TaskResult::Failed { reason: "killed".to_owned(), has_begun: false };
        bench.send(ended(result));
        bench.slot(Got::Exited(crate::state::slot::Exit::Reported));
        bench.slot(Got::Cleaned { quick: false });
    }
    assert_eq!(holds(&bench), []);
    let (mut off, _) = Bench::new(settings(1));
    off.slot(Got::Cleaned { quick: false });
    for _ in 0..5 {
        fail_once(&mut off);
    }
    assert_eq!(holds(&off), []);
}
