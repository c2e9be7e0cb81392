//! The control plane as it must not be: away, revoking, busy, impatient.

use std::time::Duration;

use russet_launch_agent::launch::{Event, ExitReason, Options};
use russet_platform::clock::{Clock, Hand};
use serde_json::json;

use crate::support::{Bench, Running, script_agent, task};

const CLAIM: &str = "/api/v3/runner/claim";

/// A launch agent on a manual clock.
fn start(bench: &Bench) -> (Running, Hand) {
    let exe = script_agent(bench.dir.path(), "exit 0");
    let (clock, hand) = Clock::manual("boot");
    let options = Options { clock, ..Options::new(exe) };
    (bench.start_with(bench.config(""), options), hand)
}

/// Lets time pass, sleep by sleep, until `until` of it is over. Returns the sleeps.
async fn pass(hand: &Hand, until: Duration) -> Vec<Duration> {
    let mut sleeps = Vec::new();
    while sleeps.iter().sum::<Duration>() < until {
        let next = hand.next_sleeper().await;
        sleeps.push(next);
        hand.advance(next);
    }
    sleeps
}

#[tokio::test]
async fn it_survives_a_control_plane_that_is_away_for_an_hour() {
    let bench = Bench::new().await;
    bench.plane.set_broken(Some(503));
    let (mut agent, hand) = start(&bench);
    let sleeps = pass(&hand, Duration::from_secs(3600)).await;
    let requests = bench.plane.claims().len();
    // Every 15 to 30 seconds after the first minute: neither a spin nor a sleep.
    assert!((115..=260).contains(&requests), "{requests} requests in an hour");
    assert!(sleeps.iter().all(|sleep| *sleep <= Duration::from_secs(30)), "{sleeps:?}");
    let offline = agent.event(|event| matches!(event, Event::Offline { .. })).await;
    assert!(matches!(offline, Event::Offline { reason } if reason.contains("503")));
    // It is back: the agent notices within one sleep, and has said `offline` once.
    bench.plane.set_broken(None);
    bench.plane.queue("class-token", task("a1"));
    let next = hand.next_sleeper().await;
    hand.advance(next);
    let said = agent.event(|event| matches!(event, Event::Offline { .. } | Event::Online)).await;
    assert_eq!(said, Event::Online);
    agent.event(|event| matches!(event, Event::Ended { .. })).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
}

#[tokio::test]
async fn a_control_plane_that_is_back_is_known_before_it_has_a_task() {
    let bench = Bench::new().await;
    bench.plane.set_broken(Some(503));
    let mut agent = bench.start(bench.config(""), &script_agent(bench.dir.path(), "exit 0"));
    agent.event(|event| matches!(event, Event::Offline { .. })).await;
    bench.plane.set_broken(None);
    // A long poll would be answered after 25 s, which is longer than this waits.
    agent.event(|event| *event == Event::Online).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    let prefers: Vec<_> = bench.plane.claims().into_iter().filter_map(|it| it.prefer).collect();
    assert_eq!(prefers.first().map(String::as_str), Some("wait=25"), "{prefers:?}");
    assert!(prefers.contains(&"wait=0".to_owned()), "{prefers:?}");
}

#[tokio::test]
async fn a_refused_connection_is_the_same_as_a_broken_server() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), "exit 0");
    let mut config = bench.config("");
    // A port on which nobody listens: one that was just given up.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    config.api_url = format!("http://127.0.0.1:{port}");
    let (clock, hand) = Clock::manual("boot");
    let options = Options { clock, ..Options::new(exe) };
    let mut agent = bench.start_with(config, options);
    let offline = agent.event(|event| matches!(event, Event::Offline { .. })).await;
    assert!(
        matches!(&offline, Event::Offline { reason } if reason.contains("refused")),
        "{offline:?}"
    );
    pass(&hand, Duration::from_secs(120)).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
}

#[tokio::test]
async fn a_server_that_ignores_prefer_is_asked_every_five_seconds_at_most() {
    let bench = Bench::new().await;
    bench.plane.ignore_prefer();
    let (agent, hand) = start(&bench);
    let sleeps = pass(&hand, Duration::from_secs(600)).await;
    let first = sleeps.first().unwrap();
    assert!((25..=50).contains(&first.as_millis()), "{first:?}");
    assert!(sleeps.iter().all(|sleep| *sleep <= Duration::from_secs(5)), "{sleeps:?}");
    let settled = sleeps.iter().rev().take(50);
    assert!(settled.clone().all(|sleep| *sleep >= Duration::from_millis(2_500)), "{sleeps:?}");
    assert!(settled.clone().any(|sleep| Some(sleep) != sleeps.last()), "there is no jitter");
    assert_eq!(agent.drain().await, ExitReason::Stopped);
}

#[tokio::test]
async fn a_revoked_token_is_an_error_that_names_the_fix_and_no_crash_loop() {
    let bench = Bench::new().await;
    for _ in 0..10 {
        bench.plane.answer_claim("class-token", 401, json!({"message": "token revoked"}));
    }
    let (mut agent, hand) = start(&bench);
    let notice = agent.notice("does not accept").await;
    for part in ["api.auth_token", "token revoked", "russet token create", "hint:"] {
        assert!(notice.contains(part), "{notice}");
    }
    assert!(!notice.contains("class-token"), "{notice}");
    let sleeps = pass(&hand, Duration::from_secs(600)).await;
    assert_eq!(sleeps, vec![Duration::from_secs(60); 10]);
    // It is accepted again, as after a new one with the same text, without a restart.
    bench.plane.queue("class-token", task("a1"));
    agent.event(|event| matches!(event, Event::Ended { .. })).await;
    while let Ok(event) = agent.events.try_recv() {
        assert!(!matches!(&event, Event::Notice(text) if text.contains("accept")), "said twice");
    }
    assert_eq!(agent.drain().await, ExitReason::Stopped);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_pause_between_claims() {
    let bench = Bench::new().await;
    bench.plane.answer_claim("class-token", 404, json!({"message": "not found"}));
    let (agent, hand) = start(&bench);
    assert_eq!(hand.next_sleeper().await, Duration::from_secs(60));
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    assert_eq!(bench.plane.calls(CLAIM).len(), 1);
}

#[tokio::test]
async fn a_busy_server_is_given_the_time_it_asks_for() {
    let bench = Bench::new().await;
    bench.plane.answer_claim("class-token", 429, json!({"message": "slow down"}));
    let (agent, hand) = start(&bench);
    // And up to a quarter more.
    let pause = hand.next_sleeper().await.as_millis();
    assert!((10_000..=12_500).contains(&pause), "{pause} ms");
    assert_eq!(agent.drain().await, ExitReason::Stopped);
}

#[tokio::test]
async fn an_answer_that_is_no_task_is_said_without_its_text() {
    let bench = Bench::new().await;
    bench.plane.answer_claim("class-token", 200, json!({"task_token": "hunter2"}));
    let (mut agent, hand) = start(&bench);
    let notice = agent.notice("refuses the claims").await;
    assert!(!notice.contains("hunter2"), "{notice}");
    assert_eq!(hand.next_sleeper().await, Duration::from_secs(60));
    assert_eq!(agent.drain().await, ExitReason::Stopped);
}

#[tokio::test]
async fn a_heartbeat_that_says_cancel_cancels_and_one_that_says_gone_stops() {
    for (status, body, mode) in [
        (200, json!({"lease_ms": 60_000, "cancel": "by a person"}), "term"),
        (409, json!({"message": "stale allocation"}), "clean a1"),
    ] {
        let bench = Bench::new().await;
        let run = r#"trap 'echo term >> "$DIR/modes"; exit 0' TERM; while :; do sleep 0.02; done"#;
        let exe = script_agent(bench.dir.path(), run);
        bench.plane.answer("/api/v3/task/heartbeat", status, body);
        let mut quick = task("a1");
        quick["heartbeat_ms"] = json!(1_000);
        bench.plane.queue("class-token", quick);
        let mut agent = bench.start(bench.config("  limits: { kill_grace: 1s }"), &exe);
        let beats = bench.plane.wait_for("/api/v3/task/heartbeat", 1).await;
        assert_eq!(beats[0].bearer, "token-of-a1");
        assert_eq!(beats[0].body["allocation"], "a1");
        assert_eq!(beats[0].body["from"], "launch_agent");
        agent.event(|event| matches!(event, Event::Ended { .. })).await;
        assert_eq!(agent.drain().await, ExitReason::Stopped);
        let modes = bench.modes();
        assert_eq!(modes.get(1).map(String::as_str), Some(mode), "{modes:?}");
    }
}

#[tokio::test]
async fn a_task_agent_that_is_stopped_is_noticed_killed_and_flushed() {
    let bench = Bench::new().await;
    let exe = script_agent(bench.dir.path(), ": > \"$SPOOL/1.log\"; kill -STOP $$");
    let mut quick = task("a1");
    quick["heartbeat_ms"] = json!(50);
    bench.plane.answer("/api/v3/task/heartbeat", 200, json!({"lease_ms": 60_000}));
    bench.plane.queue("class-token", quick);
    let agent = bench.start(bench.config(""), &exe);
    crate::support::until("it is flushed", || bench.file("flush").exists()).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    let flush = std::fs::read_to_string(bench.file("flush")).unwrap();
    assert!(flush.contains("did not answer for three heartbeats"), "{flush}");
}
