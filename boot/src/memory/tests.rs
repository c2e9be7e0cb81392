use std::time::Duration;

use super::{Memory, Next, Places};
use crate::ended::{End, Ended};
use crate::files::{Bad, Fault, Health, Probation};

const NEW: &str = "7.1.2";
const OLD: &str = "5.1.2";
const LIMIT: u64 = 300;

fn note(bundle: &str) -> Probation {
    Probation { version: "2.0.0".to_owned(), bundle: bundle.to_owned(), limit: LIMIT }
}

fn places() -> Places {
    Places {
        current: NEW.to_owned(),
        previous: OLD.to_owned(),
        is_current_trusted: true,
        is_previous_trusted: true,
    }
}

/// A new version that an update has put in place.
fn updated() -> Memory {
    let mut memory = Memory::default();
    memory.take_note(Some(note(NEW)), NEW);
    memory
}

fn bad(bundle: &str) -> Bad {
    let (version, reason) = ("1.5.0".to_owned(), String::new());
    Bad { version, bundle: bundle.to_owned(), fault: Fault::Crashed, reason }
}

/// Ends in this way again and again until it is to go back; starts and seconds that it took.
fn run_until_back(memory: &mut Memory, end: &End) -> (u32, u64) {
    let mut time = Duration::ZERO;
    for starts in 1..100 {
        memory.count_start();
        memory.advance(NEW, end.health, end.ran);
        time += end.ran;
        match memory.decide(NEW, &places(), end) {
            Next::Start(pause) => time += pause,
            Next::GoBack => return (starts, time.as_secs()),
            Next::Stay => panic!("it stays"),
        }
    }
    panic!("it is never taken back");
}

#[test]
fn a_new_version_is_taken_back_whatever_its_exit_code_within_its_starts_and_its_time() {
    for (code, most, fault) in [
        (0, 3, Fault::Crashed),
        (1, 3, Fault::Crashed),
        (2, 1, Fault::Refused),
        (3, 1, Fault::Refused),
        (5, 3, Fault::Unreached),
        (10, 10, Fault::Unreached),
        (11, 10, Fault::Unreached),
        (12, 10, Fault::Unreached),
        (101, 3, Fault::Crashed),
    ] {
        let mut memory = updated();
        let (starts, seconds) = run_until_back(&mut memory, &End::new(Ended::Exit(code)));
        assert!(starts <= most && seconds <= LIMIT, "{code}: {starts} starts, {seconds} s");
        assert_eq!((memory.bad.len(), memory.bad[0].fault), (1, fault), "{code}");
        assert_eq!(memory.bad[0].version, "2.0.0");
        assert!(memory.prefers_previous(&places()), "{code}");
        // Each run lasts: then its time counts.
        let mut memory = updated();
        let slow = End { ran: Duration::from_secs(140), ..End::new(Ended::Exit(code)) };
        assert!(run_until_back(&mut memory, &slow).0 <= 3, "{code}");
    }
}

#[test]
fn one_that_says_it_was_asked_to_end_is_believed_once_it_has_proved_itself() {
    let asked = End { is_asked: true, ..End::new(Ended::Exit(0)) };
    let mut memory = updated();
    assert_eq!(run_until_back(&mut memory, &asked).0, 3);
    let mut memory = updated();
    memory.count_start();
    assert!(memory.advance(NEW, Some(Health::Proved), Duration::ZERO));
    let proved = End { health: Some(Health::Proved), ..asked.clone() };
    assert_eq!(memory.decide(NEW, &places(), &proved), Next::Stay);
    assert_eq!(Memory::default().decide(NEW, &places(), &asked), Next::Stay);
    let unasked = End { is_asked: false, ..asked };
    let next = Memory::default().decide(NEW, &places(), &unasked);
    assert_eq!(next, Next::Start(Duration::from_secs(1)));
}

#[test]
fn one_that_proves_itself_and_ends_each_time_is_taken_back_and_one_that_settled_never() {
    for (code, seconds) in [(0, 0), (101, 1), (12, 3), (101, 120)] {
        let (health, ran) = (Some(Health::Proved), Duration::from_secs(seconds));
        let end = End { health, ran, ..End::new(Ended::Exit(code)) };
        let mut memory = updated();
        assert_eq!(run_until_back(&mut memory, &end).0, 5, "{code}");
        assert_eq!(memory.bad[0].fault, Fault::Unreached, "it may have met something");
    }
    let mut memory = updated();
    memory.count_start();
    assert!(memory.advance(NEW, Some(Health::Proved), Duration::from_secs(1)));
    assert!(memory.trial.is_some() && memory.note().is_none());
    assert!(memory.advance(NEW, Some(Health::Proved), Duration::from_secs(600)));
    assert_eq!((&memory.trial, memory.look_after(NEW, Duration::ZERO)), (&None, None));
    for _ in 0..100 {
        let next = memory.decide(NEW, &places(), &End::new(Ended::Signal(11)));
        assert!(matches!(next, Next::Start(_)));
    }
    assert_eq!(memory.bad, []);
}

#[test]
fn a_fault_of_the_surroundings_marks_no_version_and_moves_none() {
    let nothing = Places { is_current_trusted: false, is_previous_trusted: false, ..places() };
    let end = End::new(Ended::Untrusted("/opt can be changed".to_owned()));
    for memory in [Memory::default(), updated()] {
        let mut memory = memory;
        for _ in 0..20 {
            memory.count_start();
            assert!(matches!(memory.decide(NEW, &nothing, &end), Next::Start(_)));
            assert!(!memory.prefers_previous(&nothing));
        }
        // It was put right between the look at one and at the other.
        assert!(matches!(memory.decide(NEW, &places(), &end), Next::Start(_)));
        assert!(memory.bad.is_empty() && !memory.prefers_previous(&places()));
        let full = End::new(Ended::NoRoom("out of memory".to_owned()));
        for _ in 0..20 {
            memory.count_start();
            assert!(matches!(memory.decide(NEW, &places(), &full), Next::Start(_)));
        }
        memory.judge_unseen();
        assert_eq!(memory.bad, []);
    }
}

#[test]
fn a_version_that_cannot_be_started_gives_way_and_is_bad_only_in_its_probation() {
    let gone = Places { is_current_trusted: false, ..places() };
    for end in [Ended::Untrusted("gone".to_owned()), Ended::Unexecutable("what?".to_owned())] {
        let mut settled = Memory::default();
        assert_eq!(settled.decide(NEW, &gone, &End::new(end.clone())), Next::GoBack);
        assert!(settled.bad.is_empty() && settled.prefers_previous(&gone));
        let mut new = updated();
        new.count_start();
        assert_eq!(new.decide(NEW, &gone, &End::new(end)), Next::GoBack);
        assert_eq!(new.bad[0].fault, Fault::Broken);
        // Even to one that was bad itself.
        settled.bad = vec![bad(OLD)];
        assert!(settled.prefers_previous(&gone));
    }
}

#[test]
fn where_neither_can_be_started_they_take_turns_with_pauses() {
    let mut memory = Memory::default();
    let broken = End::new(Ended::Unexecutable("no loader".to_owned()));
    assert_eq!(memory.decide(NEW, &places(), &broken), Next::GoBack);
    memory.exchanged(&places());
    let swapped = Places { current: OLD.to_owned(), previous: NEW.to_owned(), ..places() };
    for _ in 0..10 {
        for places in [&swapped, &places()] {
            let next = memory.decide(&places.current, places, &broken);
            assert!(matches!(next, Next::Start(pause) if !pause.is_zero()), "{next:?}");
            assert!(memory.prefers_previous(places));
            memory.exchanged(places);
        }
    }
}

#[test]
fn a_version_that_could_not_be_started_is_tried_again_when_the_bad_one_in_place_keeps_ending() {
    let mut memory = Memory { bad: vec![bad(OLD)], ..Memory::default() };
    let gone = Places { is_current_trusted: false, ..places() };
    let end = End::new(Ended::Untrusted("gone".to_owned()));
    assert_eq!(memory.decide(NEW, &gone, &end), Next::GoBack);
    memory.exchanged(&gone);
    let swapped = Places { current: OLD.to_owned(), previous: NEW.to_owned(), ..places() };
    for _ in 0..6 {
        memory.decide(OLD, &swapped, &End::new(Ended::Signal(11)));
        assert!(!memory.prefers_previous(&swapped));
    }
    memory.decide(OLD, &swapped, &End::new(Ended::Signal(11)));
    assert!(memory.prefers_previous(&swapped));
}

#[test]
fn of_two_bad_ones_the_one_that_ran_longest_is_started() {
    let mut memory = Memory { bad: vec![bad(OLD), bad(NEW)], ..Memory::default() };
    assert!(!memory.prefers_previous(&places()), "neither ran: the one in place is");
    memory.ran.add(OLD, Duration::from_secs(5));
    memory.ran.add(NEW, Duration::from_secs(4));
    assert!(memory.prefers_previous(&places()));
    memory.ran.add(NEW, Duration::from_secs(2));
    assert!(!memory.prefers_previous(&places()));
}

#[test]
fn a_bad_version_that_proves_itself_after_all_is_not_bad_any_more() {
    let mut memory = Memory { bad: vec![bad(NEW), bad(OLD)], ..Memory::default() };
    assert!(memory.look_after(NEW, Duration::ZERO).is_some());
    assert!(!memory.advance(NEW, Some(Health::Ready), Duration::ZERO));
    assert!(memory.advance(NEW, Some(Health::Proved), Duration::ZERO));
    assert_eq!(memory.bad, [bad(OLD)]);
    // The same version in another bundle, as one that was tried again.
    let mut memory = updated();
    memory.bad = vec![Bad { version: "2.0.0".to_owned(), ..bad("1.1.1") }];
    memory.count_start();
    memory.advance(NEW, Some(Health::Proved), Duration::ZERO);
    assert_eq!(memory.bad, []);
}

#[test]
fn a_note_that_was_removed_changed_or_is_of_another_bundle_changes_nothing() {
    let mut memory = updated();
    memory.count_start();
    let before = memory.clone();
    memory.take_note(None, NEW);
    assert_eq!(memory, before);
    memory.take_note(Some(Probation { limit: u64::MAX, ..note(NEW) }), NEW);
    assert_eq!(memory, before);
    memory.take_note(Some(note("1.1.1")), NEW);
    assert_eq!(memory, before);
    // It wrote into its own directory.
    memory.take_note(None, "7.9.9");
    assert_eq!(memory.note(), Some(note("7.9.9")));
    // An update whose exchange never came about.
    let mut memory = Memory::default();
    memory.take_note(Some(note(NEW)), OLD);
    assert_eq!(memory.trial, None);
    // A bad one, whose exchange back never reached the disk.
    let mut memory = Memory { bad: vec![bad(NEW)], ..Memory::default() };
    memory.take_note(Some(note(NEW)), NEW);
    assert!(memory.trial.is_none() && memory.prefers_previous(&places()));
}

#[test]
fn an_agent_that_put_another_version_in_place_is_not_held_against_anybody() {
    let mut memory = updated();
    memory.count_start();
    memory.advance(NEW, Some(Health::Proved), Duration::ZERO);
    let next = Places { current: "9.1.1".to_owned(), previous: NEW.to_owned(), ..places() };
    let end = End { health: Some(Health::Proved), ..End::new(Ended::Exit(12)) };
    assert_eq!(memory.decide(NEW, &next, &end), Next::Start(Duration::ZERO));
    assert_eq!(memory.trial, None);
    memory.take_note(Some(note("9.1.1")), "9.1.1");
    assert_eq!(memory.note(), Some(note("9.1.1")));
}
