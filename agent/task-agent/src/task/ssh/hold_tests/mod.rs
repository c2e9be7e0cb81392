//! Times of a hold, on a clock that the test moves, as OpenSSH's client sees them.

mod held;

use std::time::Duration;

use russet_platform::clock::Clock;
use russet_test_skip::has_tool;
use tokio::sync::{oneshot, watch};

use self::held::{hold, make_manager, make_output, make_server};
use super::end_words;
use super::manager::HoldEnd;
use crate::hold_request::HoldRequest;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_task_is_held_ten_minutes_while_nobody_comes() {
    if !has_tool("ssh") {
        return;
    }
    let held = hold().await;
    held.pass(10 * MINUTE).await;
    assert_eq!(end_words(held.end().await), "nobody is connected");
}

#[tokio::test]
async fn a_person_holds_it_two_hours_and_is_told_three_times_and_why_it_ends() {
    if !has_tool("ssh") {
        return;
    }
    let mut held = hold().await;
    let mut person = held.connect("first").await;
    for (pass, left) in [(105, "15 min"), (10, "5 min"), (4, "1 min")] {
        held.pass(pass * MINUTE).await;
        let words = "`circleci-agent ssh extend 30m` holds it for longer";
        person.wait_for(&format!("this task ends in {left}; {words}"), 1).await;
    }
    held.pass(MINUTE).await;
    person.wait_for("its time is up", 1).await;
    assert_eq!(person.count("this task ends in"), 3);
    assert_eq!(person.wait_for_end().await.code(), Some(255), "as ssh's own errors");
    assert_eq!(held.end().await, HoldEnd::Longest);
}

#[tokio::test]
async fn more_time_moves_the_end_also_if_it_is_asked_for_when_the_time_is_up() {
    if !has_tool("ssh") {
        return;
    }
    let mut held = hold().await;
    let _person = held.connect("first").await;
    held.pass(105 * MINUTE).await;
    let reply = held.ask(HoldRequest::Extend(30 * 60 * 1000)).await;
    assert_eq!((reply.waiting, reply.remaining_ms), (true, 45 * 60 * 1000));
    held.pass(30 * MINUTE).await;
    held.hand.advance(15 * MINUTE);
    let reply = held.ask(HoldRequest::Extend(60 * 1000)).await;
    assert_eq!(reply.remaining_ms, 60 * 1000);
    held.pass(MINUTE).await;
    assert_eq!(held.end().await, HoldEnd::Longest);
}

#[tokio::test]
async fn the_idle_time_begins_when_the_last_person_leaves() {
    if !has_tool("ssh") {
        return;
    }
    let mut held = hold().await;
    let person = held.connect("first").await;
    held.hand.advance(9 * MINUTE);
    assert_eq!(person.exit().await.code(), Some(0));
    held.wait_for_sessions(0).await;
    held.pass(10 * MINUTE).await;
    assert_eq!(held.end().await, HoldEnd::Idle);
}

#[tokio::test]
async fn who_comes_late_is_told_when_it_ends() {
    if !has_tool("ssh") {
        return;
    }
    let mut held = hold().await;
    let first = held.connect("first").await;
    held.hand.advance(107 * MINUTE);
    first.wait_for("this task ends in 13 min", 1).await;
    let second = held.connect("second").await;
    second.wait_for("this task ends in 13 min", 1).await;
}

/// The order in which a task learns of two things that are so is chance, so it is tried often.
#[tokio::test]
async fn who_comes_or_asks_when_the_time_is_up_is_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let server = make_server(&dir);
    for round in 0..32 {
        let (clock, hand) = Clock::manual("boot");
        let (mut manager, lines) = make_manager(server.clone(), &clock);
        let (people, connected) = watch::channel(0);
        manager.connected = connected;
        let output = make_output(&dir, &clock);
        let mut holding = tokio::spawn(async move { manager.hold(&output).await });
        assert!(hand.next_sleeper().await > Duration::ZERO);
        hand.advance(10 * MINUTE);
        if round % 2 == 0 {
            people.send_replace(1);
        } else {
            let (reply, _) = oneshot::channel();
            lines.asked.try_send((HoldRequest::Extend(60_000), reply)).unwrap();
        }
        tokio::select! {
            end = &mut holding => panic!("round {round} ends: {:?}", end.unwrap()),
            _ = hand.next_sleeper() => {}
        }
        drop(holding);
    }
}
