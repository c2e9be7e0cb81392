//! Tasks that are given back, and what becomes of those that are not taken.

use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::runner::UnclaimCause;

use super::{
    Action, Bench, Do, End, Exit, Got, HoldSource, Input, START, Settings, Settlement, Stop,
    failure, hold, not_cleaned, on, settings,
};

/// A machine whose claim brought a task after it was paused.
fn paused_with_a_task() -> Bench {
    let (mut bench, _) = Bench::new(settings(1));
    bench.slot(Got::Cleaned { quick: false });
    bench.send(hold(HoldSource::Pause, Some("lunch")));
    let actions = bench.slot(Got::Claimed { refused: None });
    let [Action::Slot(0, Do::Settle(Settlement::GiveBack(cause, _)))] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(*cause, UnclaimCause::NotTaking);
    bench
}

#[test]
fn a_paused_machine_runs_the_task_that_is_not_taken_back_and_claims_no_other() {
    let mut bench = paused_with_a_task();
    assert_eq!(bench.slot(Got::NotTakenBack), [on(Do::Start)]);
    assert_eq!(bench.slot(Got::Started { deadline: START }), []);
    assert_eq!(bench.slot(Got::Exited(Exit::Reported)), [on(Do::Clean)]);
    assert_eq!(bench.slot(Got::Cleaned { quick: true }), []);
}

#[test]
fn a_drain_waits_for_the_task_that_is_not_taken_back() {
    let (mut bench, _) = Bench::new(settings(1));
    bench.slot(Got::Cleaned { quick: false });
    bench.send(Input::Stop(Stop::Drain));
    bench.slot(Got::Claimed { refused: None });
    assert_eq!(bench.slot(Got::NotTakenBack), [on(Do::Start)]);
    bench.slot(Got::Started { deadline: START });
    bench.slot(Got::Exited(Exit::Reported));
    assert_eq!(bench.slot(Got::Cleaned { quick: true }), [Action::Exit(End::Stopped)]);
}

#[test]
fn an_agent_that_is_told_to_end_at_once_fails_what_is_not_taken_back() {
    let mut bench = paused_with_a_task();
    bench.send(Input::Stop(Stop::Cancel));
    let actions = bench.slot(Got::NotTakenBack);
    assert!(matches!(actions[..], [Action::Slot(0, Do::Settle(Settlement::Fail(_)))]));
}

#[test]
fn single_task_mode_runs_no_second_task_whoever_takes_it_back() {
    let single = Settings { single_task: true, classes: vec![Some(0), Some(1)], ..settings(2) };
    let (mut bench, _) = Bench::new(single);
    bench.slot(Got::Cleaned { quick: false });
    bench.send(Input::Slot(1, Got::Cleaned { quick: false }));
    bench.slot(Got::Claimed { refused: None });
    bench.send(Input::Slot(1, Got::Claimed { refused: None }));
    let actions = bench.send(Input::Slot(1, Got::NotTakenBack));
    assert!(matches!(actions[..], [Action::Slot(1, Do::Settle(Settlement::Fail(_)))]));
}

/// A busy slot that cleans quickly, is paused, and whose next claim brings a task meanwhile.
fn cleaning_with_a_task() -> Bench {
    let mut bench = Bench::running(settings(1));
    bench.slot(Got::Exited(Exit::Reported));
    bench.slot(Got::Cleaned { quick: true });
    bench.slot(Got::Claimed { refused: None });
    bench.slot(Got::Started { deadline: START });
    assert_eq!(bench.slot(Got::Exited(Exit::Reported)), [on(Do::Clean), on(Do::Claim)]);
    bench.send(hold(HoldSource::Pause, Some("lunch")));
    bench.slot(Got::Claimed { refused: None });
    bench
}

#[test]
fn a_task_that_is_not_taken_back_waits_until_its_slot_is_clean() {
    let mut bench = cleaning_with_a_task();
    assert_eq!(bench.slot(Got::NotTakenBack), []);
    assert_eq!(bench.slot(Got::Cleaned { quick: true }), [on(Do::Start)]);
    let mut bench = cleaning_with_a_task();
    bench.slot(Got::Cleaned { quick: true });
    assert_eq!(bench.slot(Got::NotTakenBack), [on(Do::Start)]);
    // In a slot that could not be cleaned nothing runs.
    let mut bench = cleaning_with_a_task();
    bench.slot(not_cleaned());
    let actions = bench.slot(Got::NotTakenBack);
    assert!(matches!(actions[..], [Action::Slot(0, Do::Settle(Settlement::Fail(_)))]));
}

#[test]
fn a_start_that_failed_is_tried_again_before_the_task_fails_with_the_reason() {
    let (mut bench, _) = Bench::new(settings(1));
    bench.slot(Got::Cleaned { quick: false });
    bench.slot(Got::Claimed { refused: None });
    let reason = "no processes left";
    let back = Settlement::GiveBack(UnclaimCause::NotStarted, reason.to_owned());
    for pause in [2, 4, 8] {
        let actions = bench.slot(Got::NotStarted(reason.to_owned()));
        assert_eq!(actions, [on(Do::Settle(back.clone()))]);
        assert_eq!(bench.slot(Got::NotTakenBack), []);
        assert_eq!(bench.wait(Duration::from_millis(pause * 1000 - 1)), []);
        assert_eq!(bench.wait(Duration::from_millis(1)), [on(Do::Start)]);
    }
    bench.slot(Got::NotStarted(reason.to_owned()));
    let fail = Settlement::Fail(failure(Outcome::InfrastructureFail, reason));
    assert_eq!(bench.slot(Got::NotTakenBack), [on(Do::Settle(fail))]);
}

#[test]
fn an_agent_that_died_before_a_step_gives_the_task_back_and_reports_it_where_one_had_begun() {
    let lost = || Exit::DiedEarly(UnclaimCause::Interrupted, "no word".to_owned());
    let back = Settlement::GiveBack(UnclaimCause::Interrupted, "no word".to_owned());
    let mut bench = Bench::running(settings(1));
    assert_eq!(bench.slot(Got::Exited(lost())), [on(Do::Settle(back.clone()))]);
    assert_eq!(bench.slot(Got::Settled), [on(Do::Clean)]);

    let mut bench = Bench::unstarted(settings(1));
    assert_eq!(bench.slot(Got::Orphaned(lost())), [on(Do::Settle(back))]);
    let report = Settlement::Report(failure(Outcome::InfrastructureFail, "no word"));
    assert_eq!(bench.slot(Got::NotTakenBack), [on(Do::Settle(report))]);
}

#[test]
fn a_silent_agent_that_had_not_begun_is_given_back_and_a_canceled_one_is_canceled() {
    let died = || Got::Exited(Exit::DiedEarly(UnclaimCause::NotStarted, "signal 9".to_owned()));
    let mut bench = Bench::running(settings(1));
    assert_eq!(bench.slot(Got::Silent), [on(Do::Kill)]);
    let actions = bench.slot(died());
    assert!(matches!(
        &actions[..],
        [Action::Slot(0, Do::Settle(Settlement::GiveBack(UnclaimCause::NotStarted, why)))]
            if why.contains("three heartbeats")
    ));
    let mut bench = Bench::running(settings(1));
    bench.slot(Got::CancelAsked("by a person".to_owned()));
    let report = Settlement::Report(failure(Outcome::Canceled, "by a person"));
    assert_eq!(bench.slot(died()), [on(Do::Settle(report))]);
}
