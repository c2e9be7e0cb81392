//! Tasks from claim to clean slot, with a fake control plane and a fake task agent.

use std::time::Duration;

use crate::support::{Bench, script_agent, task, until};
use russet_launch_agent::launch::{Event, ExitReason, Options, Stop};
use russet_protocol::outcome::Outcome;
use serde_json::json;

const CLAIM: &str = "/api/v3/runner/claim";
const UNCLAIM: &str = "/api/v3/runner/unclaim";

/// A result record, and exit 0: the task agent reported.
const SUCCEED: &str = r#"printf '{"version":1,"allocation":"%s","outcome":"success","reported":true}' "$ALLOCATION" > "$SPOOL/result.json"; chown --reference "$SPOOL" "$SPOOL/result.json"; exit 0"#;

#[tokio::test]
async fn tasks_are_claimed_run_and_cleaned_up_one_after_another() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), SUCCEED);
    for n in 1..=3 {
        bench.plane.queue("class-token", task(&format!("a{n}")));
    }
    let mut agent = bench.start(bench.config(""), &exe);
    for _ in 1..=3 {
        let ended = agent.event(|event| matches!(event, Event::Ended { .. })).await;
        assert_eq!(ended, Event::Ended { slot: 1, outcome: Some(Outcome::Success) });
    }
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    let expected =
        ["run a1", "clean a1", "run a2", "clean a2", "run a3", "clean a3"].map(str::to_owned);
    assert_eq!(bench.modes(), expected);
    let claim = &bench.plane.claims()[0];
    assert_eq!(claim.bearer, "class-token");
    assert_eq!(claim.prefer.as_deref(), Some("wait=25"));
    assert_eq!(claim.body["name"], "test");
    assert!(claim.body["version"].is_string() && claim.body["hostname"].is_string());
    // Nothing of the task is left, its token least of all.
    assert!(!bench.file("state/slots/1/journal.json").exists());
}

/// Says on the slot's socket what a task agent says that emptied its directories.
async fn say_emptied(bench: &Bench, allocation: &str) {
    use tokio::io::AsyncWriteExt as _;
    let socket = bench.file("state/slots/1/agent.sock");
    let mut line = tokio::net::UnixStream::connect(socket).await.unwrap();
    let text = format!(
        "{{\"say\":\"hello\",\"version\":1,\"allocation\":\"{allocation}\",\"pid\":1}}\n\
         {{\"say\":\"done\",\"outcome\":\"success\",\"emptied\":true}}\n"
    );
    line.write_all(text.as_bytes()).await.unwrap();
    line.shutdown().await.unwrap();
}

/// Runs one task whose agent says that it emptied its directories, does `rest` and ends. Answers
/// in which modes programs were started.
async fn modes_after_emptied(rest: &str) -> Vec<String> {
    let bench = Bench::new().await;
    let go = bench.file("go");
    let run = format!("while [ ! -e {} ]; do sleep 0.02; done\n{rest}", go.display());
    let exe = script_agent(bench.dir.path(), &run);
    bench.plane.queue("class-token", task("a1"));
    let mut agent = bench.start(bench.config(""), &exe);
    until("the task runs", || bench.modes().contains(&"run a1".to_owned())).await;
    say_emptied(&bench, "a1").await;
    std::fs::write(go, "").unwrap();
    agent.event(|event| matches!(event, Event::Ended { .. })).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    assert!(!bench.file("state/slots/1/journal.json").exists());
    for name in ["home", "work", "tmp", "spool"] {
        let left = std::fs::read_dir(bench.file("state/slots/1").join(name)).unwrap();
        assert_eq!(left.count(), 0, "{name}");
    }
    bench.modes()
}

#[tokio::test]
async fn a_slot_that_its_task_agent_emptied_needs_no_helper() {
    assert_eq!(modes_after_emptied("exit 0").await, ["run a1"]);
}

#[tokio::test]
async fn a_slot_that_is_only_said_to_be_empty_is_cleaned_by_a_helper() {
    for lie in [
        "echo x > \"$SPOOL/../home/left\"; exit 0",
        // Only one that ended well is believed at all.
        "exit 75",
    ] {
        let modes = modes_after_emptied(lie).await;
        assert_eq!(modes.last().map(String::as_str), Some("clean a1"), "{lie}: {modes:?}");
    }
}

#[tokio::test]
async fn a_drain_lets_the_task_finish_and_claims_nothing() {
    let bench = Bench::new().await;
    let go = bench.file("go");
    let run = format!("while [ ! -e {} ]; do sleep 0.02; done; {SUCCEED}", go.display());
    let exe = script_agent(bench.dir.path(), &run);
    bench.plane.queue("class-token", task("a1"));
    let agent = bench.start(bench.config(""), &exe);
    until("the task runs", || bench.modes().contains(&"run a1".to_owned())).await;
    agent.stop.send(Stop::Drain).unwrap();
    bench.plane.queue("class-token", task("a2"));
    std::fs::write(go, "").unwrap();
    assert_eq!(agent.exit().await, ExitReason::Stopped);
    assert_eq!(bench.modes(), ["run a1", "clean a1"]);
    assert_eq!(bench.plane.calls(CLAIM).len(), 1);
}

#[tokio::test]
async fn the_second_stop_cancels_the_task_by_signal_where_its_agent_does_not_dial() {
    let bench = Bench::new().await;
    let run = r#"trap 'echo term >> "$DIR/modes"; exit 0' TERM; while :; do sleep 0.02; done"#;
    let exe = script_agent(bench.dir.path(), run);
    bench.plane.queue("class-token", task("a1"));
    let agent = bench.start(bench.config(""), &exe);
    until("the task runs", || bench.modes().contains(&"run a1".to_owned())).await;
    agent.stop.send(Stop::Drain).unwrap();
    agent.stop.send(Stop::Cancel).unwrap();
    assert_eq!(agent.exit().await, ExitReason::Stopped);
    assert_eq!(bench.modes(), ["run a1", "term", "clean a1"]);
}

#[tokio::test]
async fn the_third_stop_kills_and_the_outcome_is_flushed() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), "trap '' TERM; while :; do sleep 0.02; done");
    bench.plane.queue("class-token", task("a1"));
    let agent = bench.start(bench.config(""), &exe);
    until("the task runs", || bench.modes().contains(&"run a1".to_owned())).await;
    for _ in 0..3 {
        agent.stop.send(Stop::Cancel).unwrap();
    }
    assert_eq!(agent.exit().await, ExitReason::Stopped);
    assert_eq!(bench.modes(), ["run a1", "flush a1", "clean a1"]);
    let flush = std::fs::read_to_string(bench.file("flush")).unwrap();
    let flush: serde_json::Value = serde_json::from_str(&flush).unwrap();
    assert_eq!(flush["failure"]["outcome"], "canceled");
    assert_eq!(flush["token"], "token-of-a1");
}

#[tokio::test]
async fn a_task_agent_that_is_killed_is_an_infrastructure_failure_that_says_so() {
    let bench = Bench::new().await;
    let exe =
        script_agent(bench.dir.path(), ": > \"$SPOOL/1.log\"; echo 'last words' >&2; kill -9 $$");
    bench.plane.queue("class-token", task("a1"));
    let mut agent = bench.start(bench.config(""), &exe);
    agent.notice("killed by signal 9 (SIGKILL): last words").await;
    until("it is flushed", || bench.file("flush").exists()).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    let flush = std::fs::read_to_string(bench.file("flush")).unwrap();
    let flush: serde_json::Value = serde_json::from_str(&flush).unwrap();
    assert_eq!(flush["failure"]["outcome"], "infrastructure_fail");
}

#[tokio::test]
async fn a_task_agent_that_can_not_give_up_root_hands_the_task_back() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), "echo 'no such user' >&2; exit 70");
    bench.plane.queue("class-token", task("a1"));
    let agent = bench.start(bench.config(""), &exe);
    let unclaims = bench.plane.wait_for("/api/v3/runner/unclaim", 1).await;
    let expected = json!({
        "task_id": "id-of-a1", "task_token": "token-of-a1", "cause": "not_started"
    });
    assert_eq!(unclaims[0].body, expected);
    assert_eq!(agent.drain().await, ExitReason::Stopped);
}

#[tokio::test]
async fn a_task_agent_that_is_killed_before_a_step_gives_the_task_back_or_reports_it() {
    for is_taken in [true, false] {
        let bench = Bench::new().await;
        let exe = script_agent(bench.dir.path(), "kill -9 $$");
        if !is_taken {
            bench.plane.answer(UNCLAIM, 409, json!({"message": "a step has started"}));
        }
        bench.plane.queue("class-token", task("a1"));
        let agent = bench.start(bench.config(""), &exe);
        let unclaims = bench.plane.wait_for(UNCLAIM, 1).await;
        assert_eq!(unclaims[0].body["cause"], "not_started");
        until("it is clean", || bench.modes().contains(&"clean a1".to_owned())).await;
        assert_eq!(agent.drain().await, ExitReason::Stopped);
        assert_eq!(bench.file("flush").exists(), !is_taken);
        assert!(bench.plane.calls("/api/v2/task/event/fail").is_empty());
    }
}

#[tokio::test]
async fn a_task_that_comes_when_none_is_wanted_runs_where_the_control_plane_does_not_take_it() {
    for is_taken in [true, false] {
        let bench = Bench::new().await;
        let exe = script_agent(bench.dir.path(), SUCCEED);
        if !is_taken {
            bench.plane.answer(UNCLAIM, 409, json!({"message": "retries exhausted"}));
        }
        let agent = bench.start(bench.config(""), &exe);
        bench.plane.wait_for(CLAIM, 1).await;
        agent.stop.send(Stop::Drain).unwrap();
        bench.plane.queue("class-token", task("a1"));
        let unclaims = bench.plane.wait_for(UNCLAIM, 1).await;
        assert_eq!(unclaims[0].body["cause"], "not_taking");
        assert_eq!(agent.exit().await, ExitReason::Stopped);
        assert_eq!(bench.modes().contains(&"run a1".to_owned()), !is_taken);
        assert!(bench.plane.calls("/api/v2/task/event/fail").is_empty());
        assert_eq!(bench.plane.calls(UNCLAIM).len(), 1);
    }
}

#[tokio::test]
async fn a_task_that_can_not_be_given_back_again_fails_with_the_reason() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), "exit 70");
    bench.plane.answer("/api/v3/runner/unclaim", 409, json!({"message": "retries exhausted"}));
    bench.plane.queue("class-token", task("a1"));
    let agent = bench.start(bench.config(""), &exe);
    let fails = bench.plane.wait_for("/api/v2/task/event/fail", 1).await;
    assert_eq!(fails[0].bearer, "token-of-a1");
    assert_eq!(fails[0].body["allocation"], "a1");
    assert_eq!(agent.drain().await, ExitReason::Stopped);
}

#[tokio::test]
async fn a_slot_whose_user_is_gone_is_held_where_the_system_needs_its_record() {
    if !russet_test_skip::can_be_root("to have users of slots") {
        return;
    }
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), SUCCEED);
    bench.plane.queue("class-token", task("a1"));
    let (clock, hand) = russet_platform::clock::Clock::manual("boot");
    let options = Options { clock, needs_user_records: true, ..Options::new(exe) };
    let mut agent = bench.start_with(bench.config(""), options);
    let notice = agent.notice("slot 1 takes no tasks").await;
    assert!(notice.contains("the user _rt_none1 does not exist"), "{notice}");
    assert!(notice.contains("`sudo russet agent repair`"), "{notice}");
    // It looks again and again, and neither claims nor cleans: its directories are somebody's.
    for _ in 0..5 {
        hand.advance(hand.next_sleeper().await);
    }
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    assert_eq!(bench.plane.claims().len(), 0);
    assert_eq!(bench.modes(), Vec::<String>::new());
}

#[tokio::test]
async fn single_task_mode_ends_after_one_task() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), SUCCEED);
    for n in 1..=3 {
        bench.plane.queue("class-token", task(&format!("a{n}")));
    }
    let agent = bench.start(bench.config("  mode: single-task\n  slots: 3"), &exe);
    assert_eq!(agent.exit().await, ExitReason::SingleTask);
    assert_eq!(bench.modes(), ["run a1", "clean a1"]);
}

#[tokio::test]
async fn an_idle_agent_ends_after_idle_timeout() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), SUCCEED);
    let (clock, hand) = russet_platform::clock::Clock::manual("boot");
    let options = Options { clock, ..Options::new(exe) };
    let agent = bench.start_with(bench.config("  idle_timeout: 10m"), options);
    bench.plane.wait_for(CLAIM, 1).await;
    assert_eq!(hand.next_sleeper().await, Duration::from_secs(600));
    hand.advance(Duration::from_secs(600));
    assert_eq!(agent.exit().await, ExitReason::Idle);
}

#[tokio::test]
async fn every_class_claims_with_its_own_token_and_slots() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), SUCCEED);
    bench.plane.queue("token-b", task("b1"));
    let classes = "  classes:\n    - { token: token-a, slots: 2 }\n    - { token: token-b }";
    let mut agent = bench.start(bench.config(classes), &exe);
    let ended = agent.event(|event| matches!(event, Event::Ended { .. })).await;
    assert_eq!(ended, Event::Ended { slot: 3, outcome: Some(Outcome::Success) });
    let claims = bench.plane.wait_for(CLAIM, 4).await;
    let count = |token: &str| claims.iter().filter(|call| call.bearer == token).count();
    assert_eq!((count("token-a"), count("token-b")), (2, 2));
    assert_eq!(agent.drain().await, ExitReason::Stopped);
}

#[tokio::test]
async fn a_task_from_a_fork_or_another_project_is_refused_before_anything_runs() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), SUCCEED);
    let mut fork = task("a1");
    fork["from_fork"] = json!(true);
    bench.plane.queue("t", fork);
    let mut other = task("a2");
    other["project"] = json!("stranger/app");
    bench.plane.queue("t", other);
    let classes = "  classes:\n    - { token: t, allowed_projects: [acme/*] }";
    let mut agent = bench.start(bench.config(classes), &exe);
    agent.notice("fork").await;
    agent.notice("stranger/app is not among allowed_projects").await;
    bench.plane.wait_for("/api/v2/task/event/fail", 2).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    assert!(!bench.modes().iter().any(|mode| mode.starts_with("run")));
}

#[tokio::test]
async fn a_command_prefix_wraps_the_task_agent_and_forwards_its_exit() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), "exit 70");
    let wrapper = bench.file("wrapper");
    let log = bench.file("wrapped");
    let text =
        format!("#!/bin/sh\necho \"${{RUSSET_PROBE:-task}}\" >> {}\n\"$@\"\n", log.display());
    crate::support::write_program(&wrapper, &text);
    bench.plane.queue("class-token", task("a1"));
    let prefix = format!("  command_prefix: [\"{}\"]", wrapper.display());
    let agent = bench.start(bench.config(&prefix), &exe);
    bench.plane.wait_for("/api/v3/runner/unclaim", 1).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    assert_eq!(std::fs::read_to_string(log).unwrap(), "1\ntask\n");
}

#[tokio::test]
async fn a_prefix_that_does_not_run_what_follows_it_is_an_error_at_the_start() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), SUCCEED);
    let agent = bench.start(bench.config("  command_prefix: [\"/bin/true\"]"), &exe);
    let ExitReason::Failed(text) = agent.exit().await else { panic!("it started") };
    assert!(text.contains("command_prefix") && text.contains("hint:"), "{text}");
}

#[tokio::test]
async fn a_second_agent_on_the_same_state_says_what_to_do() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), SUCCEED);
    let first = bench.start(bench.config(""), &exe);
    bench.plane.wait_for(CLAIM, 1).await;
    let second = bench.start(bench.config(""), &exe);
    let reason = second.exit().await;
    assert_eq!(reason.code(), 10);
    let ExitReason::StateInUse(text) = reason else { panic!("{reason:?}") };
    assert!(text.contains("runner.state_directory"), "{text}");
    assert_eq!(first.drain().await, ExitReason::Stopped);
}

#[tokio::test]
async fn tasks_are_canceled_when_the_parent_is_gone() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), "trap 'exit 0' TERM; while :; do sleep 0.02; done");
    bench.plane.queue("class-token", task("a1"));
    let (read, write) = std::io::pipe().unwrap();
    let options = Options { parent: Some(read.into()), ..Options::new(exe) };
    let agent = bench.start_with(bench.config(""), options);
    until("the task runs", || bench.modes().contains(&"run a1".to_owned())).await;
    drop(write);
    assert_eq!(agent.exit().await, ExitReason::Stopped);
    assert_eq!(bench.modes(), ["run a1", "clean a1"]);
}
