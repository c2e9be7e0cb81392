//! A launch agent that goes, and the next one that comes.

use russet_launch_agent::launch::{Event, ExitReason, Stop};
use russet_protocol::outcome::Outcome;

use crate::support::{Bench, Running, script_agent, task, until};

/// Runs until the file `go` is there, and reports success.
const WAIT: &str = r#"while [ ! -e "$DIR/go" ]; do sleep 0.02; done
printf '{"version":1,"allocation":"%s","outcome":"success","reported":true}' "$ALLOCATION" > "$SPOOL/result.json"
chown --reference "$SPOOL" "$SPOOL/result.json"; echo "done $ALLOCATION" >> "$DIR/modes"; exit 0"#;

/// A launch agent with a task whose first step runs.
async fn with_a_task(run: &str) -> (Bench, std::path::PathBuf, Running) {
    with_an_agent(&format!(": > \"$SPOOL/1.log\"\n{run}")).await
}

/// A launch agent with a task agent that does this.
async fn with_an_agent(run: &str) -> (Bench, std::path::PathBuf, Running) {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), run);
    bench.plane.queue("class-token", task("a1"));
    let agent = bench.start(bench.config(""), &exe);
    until("the task runs", || bench.modes().contains(&"run a1".to_owned())).await;
    until("it is in the journal", || journal(&bench)["process"].is_object()).await;
    (bench, exe, agent)
}

fn journal(bench: &Bench) -> serde_json::Value {
    let text = std::fs::read_to_string(bench.file("state/slots/1/journal.json"));
    serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default()
}

fn change_journal(bench: &Bench, change: impl FnOnce(&mut serde_json::Value)) {
    let mut value = journal(bench);
    change(&mut value);
    std::fs::write(bench.file("state/slots/1/journal.json"), value.to_string()).unwrap();
}

/// As a crash does: nothing is said to anybody, and what runs goes on.
async fn crash(agent: Running) {
    agent.running.abort();
    drop(agent.running.await);
}

fn flushed(bench: &Bench) -> serde_json::Value {
    let text = std::fs::read_to_string(bench.file("flush")).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["failure"].clone()
}

#[tokio::test]
async fn a_task_goes_on_without_its_launch_agent_and_is_adopted_by_the_next() {
    let (bench, exe, agent) = with_a_task(WAIT).await;
    crash(agent).await;
    let mut agent = bench.start(bench.config(""), &exe);
    agent.event(|event| matches!(event, Event::Claiming { .. })).await;
    std::fs::write(bench.file("go"), "").unwrap();
    let ended = agent.event(|event| matches!(event, Event::Ended { .. })).await;
    assert_eq!(ended, Event::Ended { slot: 1, outcome: Some(Outcome::Success) });
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    assert_eq!(bench.modes(), ["run a1", "done a1", "clean a1"]);
}

#[tokio::test]
async fn leaving_ends_the_launch_agent_alone() {
    let (bench, exe, agent) = with_a_task(WAIT).await;
    agent.stop.send(Stop::Leave).unwrap();
    assert_eq!(agent.exit().await, ExitReason::Left);
    assert_eq!(bench.modes(), ["run a1"]);
    std::fs::write(bench.file("go"), "").unwrap();
    until("the task ended", || bench.modes().contains(&"done a1".to_owned())).await;
    // It ended meanwhile, and had reported: there is nothing to do but to clean.
    let agent = bench.start(bench.config(""), &exe);
    until("it is clean", || bench.modes().contains(&"clean a1".to_owned())).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    assert_eq!(bench.modes(), ["run a1", "done a1", "clean a1"]);
}

#[tokio::test]
async fn a_task_that_died_meanwhile_is_flushed() {
    let (bench, exe, agent) = with_a_task("sleep 1000").await;
    crash(agent).await;
    kill(&bench).await;
    let agent = bench.start(bench.config(""), &exe);
    until("it is flushed", || bench.modes().contains(&"clean a1".to_owned())).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    let failure = flushed(&bench);
    assert_eq!(failure["outcome"], "infrastructure_fail");
    assert!(failure["message"].as_str().unwrap().contains("while no launch agent watched"));
}

#[tokio::test]
async fn a_pid_that_belongs_to_another_process_by_now_is_left_alone() {
    let (bench, exe, agent) = with_a_task("sleep 1000").await;
    crash(agent).await;
    kill(&bench).await;
    let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    change_journal(&bench, |journal| journal["process"]["pid"] = stranger.id().into());
    let agent = bench.start(bench.config(""), &exe);
    until("it is flushed", || bench.modes().contains(&"clean a1".to_owned())).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    assert_eq!(flushed(&bench)["outcome"], "infrastructure_fail");
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn after_a_restart_of_the_machine_the_task_has_failed_and_says_so() {
    let (bench, exe, agent) = with_a_task("sleep 1000").await;
    crash(agent).await;
    kill(&bench).await;
    change_journal(&bench, |journal| journal["boot_id"] = "an earlier boot".into());
    let agent = bench.start(bench.config(""), &exe);
    until("it is flushed", || bench.modes().contains(&"clean a1".to_owned())).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    assert_eq!(flushed(&bench)["message"], "the machine restarted");
}

#[tokio::test]
async fn a_task_agent_that_ended_before_a_step_with_nobody_to_hear_its_code_gives_the_task_back() {
    for is_taken in [true, false] {
        let (bench, exe, agent) = with_an_agent("sleep 1000").await;
        crash(agent).await;
        kill(&bench).await;
        if !is_taken {
            let message = serde_json::json!({"message": "a step has started"});
            bench.plane.answer("/api/v3/runner/unclaim", 409, message);
        }
        let agent = bench.start(bench.config(""), &exe);
        let unclaims = bench.plane.wait_for("/api/v3/runner/unclaim", 1).await;
        assert_eq!(unclaims[0].body["cause"], "interrupted");
        until("it is clean", || bench.modes().contains(&"clean a1".to_owned())).await;
        assert_eq!(agent.drain().await, ExitReason::Stopped);
        assert_eq!(bench.file("flush").exists(), !is_taken);
    }
}

#[tokio::test]
async fn a_claim_that_was_never_started_is_given_back() {
    let (bench, exe, agent) = with_a_task("sleep 1000").await;
    crash(agent).await;
    kill(&bench).await;
    change_journal(&bench, |journal| journal["process"] = serde_json::Value::Null);
    let agent = bench.start(bench.config(""), &exe);
    bench.plane.wait_for("/api/v3/runner/unclaim", 1).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
}

#[tokio::test]
async fn an_adopted_task_that_nobody_ends_is_ended_at_its_deadline() {
    let (bench, exe, agent) = with_a_task("trap '' TERM; while :; do sleep 0.05; done").await;
    crash(agent).await;
    // More than a minute ago.
    change_journal(&bench, |journal| journal["assignment"]["deadline"]["boot_ms"] = 1.into());
    let agent = bench.start(bench.config(""), &exe);
    until("it is flushed", || bench.modes().contains(&"clean a1".to_owned())).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    assert_eq!(flushed(&bench)["outcome"], "timedout");
}

#[tokio::test]
async fn a_task_of_a_slot_that_is_no_longer_configured_is_still_ended_well() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), WAIT);
    bench.plane.queue("class-token", task("a1"));
    bench.plane.queue("class-token", task("a2"));
    let agent = bench.start(bench.config("  slots: 2"), &exe);
    until("both run", || bench.modes().len() == 2).await;
    until("both are in journals", || {
        bench.file("state/slots/2/journal.json").exists() && journal(&bench)["process"].is_object()
    })
    .await;
    crash(agent).await;
    let agent = bench.start(bench.config(""), &exe);
    std::fs::write(bench.file("go"), "").unwrap();
    until("both are clean", || {
        bench.modes().len() == 6 && !bench.file("state/slots/2/journal.json").exists()
    })
    .await;
    // The first agent made one claim for each of its two slots; the slot that is gone makes none.
    bench.plane.wait_for("/api/v3/runner/claim", 3).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    assert_eq!(bench.plane.claims().len(), 3);
}

/// Kills the task agent and waits until it is gone.
async fn kill(bench: &Bench) {
    let pid = journal(bench)["process"]["pid"].as_i64().unwrap();
    let group = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).unwrap();
    let pid = u32::try_from(pid).unwrap();
    until("it is gone", || russet_platform::start_time(pid).is_none()).await;
}
