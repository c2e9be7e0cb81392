//! States of machines: who is here, lost, gone, paused, and what queued jobs say of it.

use std::time::Duration;

use reqwest::Method;
use russet_protocol::admin::{Items, Job, RunnerItem, StreamEvent};
use russet_protocol::machine::{MachineState, NO_PAUSE, PAUSE_HEADER, RunnerOrders, WaitReason};
use russet_protocol::outcome::{Outcome, Phase};
use serde_json::{Value, json};

use crate::support::{CLASS, Harness, ONE_JOB, ok, refused, workflow};

async fn runners(server: &Harness) -> Vec<RunnerItem> {
    let path = format!("/api/v3/runner?resource-class={CLASS}");
    server.get::<Items<RunnerItem>>(&path).await.items
}

async fn state(server: &Harness) -> MachineState {
    runners(server).await[0].state
}

/// Reports as an agent of this version does.
async fn report(server: &Harness, token: &str, machine: Value) -> RunnerOrders {
    let body = json!({"name": "mini-1", "hostname": "mini", "version": "1", "machine": machine});
    let call = server.call(Method::POST, "/api/v3/runner/report").bearer_auth(token).json(&body);
    ok(call).await.json().await.unwrap()
}

async fn change(server: &Harness, verb: &str, body: Value) -> Vec<RunnerItem> {
    let call = server.as_admin(Method::POST, &format!("/api/v3/runner/{verb}")).json(&body);
    ok(call).await.json::<Items<RunnerItem>>().await.unwrap().items
}

async fn wait_reason(server: &Harness, job: &Job) -> Option<(WaitReason, String)> {
    let job: Job = server.get(&format!("/api/v3/jobs/{}", job.id)).await;
    job.waiting.map(|waiting| (waiting.reason, waiting.text))
}

#[tokio::test]
async fn a_machine_is_busy_for_an_hour_lost_when_it_is_silent_and_offline_after_a_goodbye() {
    let server = Harness::start().await;
    let token = server.class().await;
    report(&server, &token, json!({"state": "idle"})).await;
    assert_eq!(state(&server).await, MachineState::Idle);
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    report(&server, &token, json!({"state": "running", "os": "macOS 15.1"})).await;
    for _ in 0..72 {
        server.clock.advance(Duration::from_secs(49));
        assert_eq!(state(&server).await, MachineState::Busy);
        ok(agent.heartbeat("launch_agent", Some(0))).await;
    }
    let listed = runners(&server).await;
    assert_eq!(listed[0].tasks[0].name, "one");
    assert_eq!(listed[0].machine.as_ref().unwrap().os.as_deref(), Some("macOS 15.1"));
    // The task agent goes on, and its launch agent is gone.
    server.clock.advance(Duration::from_secs(49));
    ok(agent.heartbeat("task_agent", Some(49_000))).await;
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(state(&server).await, MachineState::Lost);
    agent.finish(Outcome::Success).await;
    report(&server, &token, json!({"state": "idle", "is_leaving": true})).await;
    assert_eq!(state(&server).await, MachineState::Offline);
    assert!(server.claim(&token).await.is_none());
    assert_eq!(state(&server).await, MachineState::Idle);
    report(&server, &token, json!({"state": "updating", "is_leaving": true})).await;
    assert_eq!(state(&server).await, MachineState::Updating);
}

#[tokio::test]
async fn a_runner_that_speaks_the_documented_form_alone_has_a_state_too() {
    let server = Harness::start().await;
    let token = server.class().await;
    // Every field that CircleCI's launch agent sends, and no header of ours.
    let body = json!({"name": "old", "hostname": "mini", "ip": "10.0.0.1", "version": "1.0.1-2"});
    let claim =
        || server.call(Method::POST, "/api/v3/runner/claim").bearer_auth(&token).json(&body);
    assert_eq!(ok(claim()).await.status(), 204);
    assert_eq!(state(&server).await, MachineState::Idle);
    server.submit(ONE_JOB).await;
    assert_eq!(ok(claim()).await.status(), 200);
    server.clock.advance(Duration::from_secs(59));
    assert_eq!(state(&server).await, MachineState::Busy, "its lease says so");
    let paused = change(&server, "pause", json!({"runner": "old"})).await;
    assert_eq!(paused[0].state, MachineState::Paused);
    server.submit(ONE_JOB).await;
    assert_eq!(ok(claim()).await.status(), 204, "a pause needs no help of the agent");
}

#[tokio::test]
async fn a_restart_of_the_server_takes_nobody_for_lost_and_forgets_no_pause() {
    let server = Harness::start().await;
    let token = server.class().await;
    report(&server, &token, json!({"state": "idle"})).await;
    change(&server, "pause", json!({"runner": "mini-1", "by": "anna"})).await;
    let clock = server.clock.clone();
    let server = server.restart_after(async || clock.advance(Duration::from_secs(3600))).await;
    assert_eq!(state(&server).await, MachineState::Unknown);
    let orders = report(&server, &token, json!({"state": "idle"})).await;
    assert_eq!(orders.pause.unwrap().by, "anna");
    assert_eq!(state(&server).await, MachineState::Paused);
    change(&server, "resume", json!({"runner": "mini-1"})).await;
    assert_eq!(state(&server).await, MachineState::Idle);
    server.clock.advance(Duration::from_secs(50));
    assert_eq!(state(&server).await, MachineState::Lost);
}

#[tokio::test]
async fn what_was_heard_is_there_after_a_restart() {
    let server = Harness::start().await;
    let token = server.class().await;
    assert!(server.claim(&token).await.is_none());
    let first = runners(&server).await[0].last_connected.clone();
    server.clock.advance(Duration::from_secs(30));
    assert!(server.claim(&token).await.is_none());
    let second = runners(&server).await[0].last_connected.clone();
    assert_ne!(first, second);
    // It was in memory alone.
    let server = server.restart().await;
    assert_eq!(runners(&server).await[0].last_connected, second);
}

#[tokio::test]
async fn a_pause_ends_a_claim_that_waits_and_a_resume_lets_it_have_tasks() {
    let server = Harness::start().await;
    let token = server.class().await;
    let claim = |known: &str| server.claim_request(&token, 50).header(PAUSE_HEADER, known);
    let (waiting, known) = (claim(NO_PAUSE), runners(&server).await.len());
    let waiting = tokio::spawn(async move { ok(waiting).await });
    while runners(&server).await.len() == known {}
    let paused = change(&server, "pause", json!({"runner": "mini-1", "for_s": 60})).await;
    let id = paused[0].pause.as_ref().unwrap().id.clone();
    let answer = waiting.await.unwrap();
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()[PAUSE_HEADER].to_str().unwrap(), id);
    // Whoever knows of it waits, with no task, until it is lifted.
    let pipeline = server.submit(ONE_JOB).await;
    let job = server.job(&pipeline).await;
    let (reason, text) = wait_reason(&server, &job).await.unwrap();
    assert_eq!(reason, WaitReason::Paused);
    assert!(text.ends_with("mini-1: paused by the administrator"), "{text}");
    let waiting = claim(&id);
    let waiting = tokio::spawn(async move { ok(waiting).await });
    change(&server, "resume", json!({"runner": "mini-1"})).await;
    assert_eq!(waiting.await.unwrap().headers()[PAUSE_HEADER], NO_PAUSE);
    assert!(server.claim(&token).await.is_some());
    // One that ends by itself.
    change(&server, "pause", json!({"runner": "mini-1", "for_s": 60})).await;
    server.submit(ONE_JOB).await;
    assert!(server.claim(&token).await.is_none());
    server.clock.advance(Duration::from_secs(61));
    assert!(server.claim(&token).await.is_some());
}

#[tokio::test]
async fn a_pause_that_is_lifted_at_the_machine_is_lifted_here_and_no_later_one() {
    let server = Harness::start().await;
    let token = server.class().await;
    report(&server, &token, json!({"state": "idle"})).await;
    let of_class =
        change(&server, "pause", json!({"resource_class": CLASS, "reason": "heat"})).await;
    let id = of_class[0].pause.as_ref().unwrap().id.clone();
    assert_eq!(
        of_class[0].reason.as_deref(),
        Some("paused with its class by the administrator: heat")
    );
    let orders = report(&server, &token, json!({"state": "idle", "lifted": [id]})).await;
    assert_eq!(orders.pause, None);
    assert_eq!(state(&server).await, MachineState::Idle);
    // The class stays paused for others, and one that comes later.
    let other = json!({"name": "mini-2"});
    let call = server.call(Method::POST, "/api/v3/runner/report").bearer_auth(&token).json(&other);
    assert!(ok(call).await.json::<RunnerOrders>().await.unwrap().pause.is_some());
    change(&server, "pause", json!({"resource_class": CLASS})).await;
    let orders = report(&server, &token, json!({"state": "idle", "lifted": [id]})).await;
    assert_ne!(orders.pause.unwrap().id, id, "a later pause is another one");
    change(&server, "resume", json!({"resource_class": CLASS})).await;
    assert!(runners(&server).await.iter().all(|runner| runner.pause.is_none()));
}

#[tokio::test]
async fn a_drain_is_done_when_the_last_task_has_ended() {
    let server = Harness::start().await;
    let token = server.class().await;
    report(&server, &token, json!({"state": "idle"})).await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let drained = change(&server, "pause", json!({"runner": "mini-1", "kind": "drain"})).await;
    assert_eq!(drained[0].state, MachineState::Draining);
    server.submit(ONE_JOB).await;
    assert!(server.claim(&token).await.is_none());
    agent.finish(Outcome::Success).await;
    assert_eq!(state(&server).await, MachineState::Drained);
}

#[tokio::test]
async fn a_runner_has_the_name_that_people_give_it_and_is_forgotten_when_it_is_away() {
    let server = Harness::start().await;
    let token = server.class().await;
    report(&server, &token, json!({"state": "idle"})).await;
    let pipeline = server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let named = change(&server, "rename", json!({"runner": "mini-1", "to": "desk 4"})).await;
    assert_eq!((named[0].name.as_str(), named[0].state), ("desk 4", MachineState::Busy));
    agent.finish(Outcome::Success).await;
    assert!(server.claim(&token).await.is_none());
    let listed = runners(&server).await;
    assert_eq!((listed.len(), listed[0].name.as_str()), (1, "desk 4"), "it claims as before");
    let ran: Job = server.get(&format!("/api/v3/jobs/{}", server.job(&pipeline).await.id)).await;
    assert_eq!(ran.runner.as_deref(), Some("mini-1"), "what ran keeps the name");
    let post = |verb: &str, body: Value| {
        server.as_admin(Method::POST, &format!("/api/v3/runner/{verb}")).json(&body)
    };
    refused(post("rename", json!({"runner": "nobody", "to": "x"})), 404).await;
    refused(post("rename", json!({"runner": "desk 4", "to": "a/b"})), 400).await;
    refused(post("rename", json!({"runner": "desk 4", "to": "desk 4"})), 409).await;
    refused(post("pause", json!({})), 400).await;
    refused(post("pause", json!({"resource_class": "acme/none"})), 404).await;
    refused(post("remove", json!({"runner": "desk 4"})), 409).await;
    server.clock.advance(Duration::from_secs(60));
    ok(post("remove", json!({"runner": "desk 4"}))).await;
    assert!(runners(&server).await.is_empty());
    assert!(server.claim(&token).await.is_none());
    assert_eq!(runners(&server).await[0].name, "mini-1", "it is a new one");
}

#[tokio::test]
async fn a_queued_job_says_why_it_waits() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let job = server.job(&pipeline).await;
    assert_eq!(wait_reason(&server, &job).await.unwrap().0, WaitReason::NoRunner);
    let sick = json!({"state": "unhealthy", "reason": "1 GB free"});
    report(&server, &token, sick).await;
    let (reason, text) = wait_reason(&server, &job).await.unwrap();
    assert_eq!(reason, WaitReason::Unhealthy);
    assert_eq!(text, format!("no runner of {CLASS} takes tasks now: mini-1: 1 GB free"));
    server.clock.advance(Duration::from_secs(60));
    let (reason, text) = wait_reason(&server, &job).await.unwrap();
    assert_eq!(reason, WaitReason::Offline);
    assert!(text.contains("mini-1 lost, last seen 1970-01-12T"), "{text}");
    report(&server, &token, json!({"state": "idle"})).await;
    assert_eq!(wait_reason(&server, &job).await, None, "it is about to be taken");
    let agent = server.claim(&token).await.unwrap();
    let next = server.submit(ONE_JOB).await;
    let next = server.job(&next).await;
    let (reason, text) = wait_reason(&server, &next).await.unwrap();
    assert_eq!(reason, WaitReason::Busy);
    assert!(text.starts_with(&format!("all runners of {CLASS} are busy: 1 task runs, the oldest")));
    agent.finish(Outcome::Success).await;
    assert_eq!(wait_reason(&server, &next).await, None);
}

#[tokio::test]
async fn a_live_view_says_why_a_job_waits_and_once() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&workflow(&[("one", &[])])).await;
    let mut live = server.live(&pipeline).await;
    let is_told = |event: &StreamEvent| {
        matches!(event, StreamEvent::Job { job, .. }
            if job.waiting.as_ref().is_some_and(|it| it.reason == WaitReason::NoRunner))
    };
    live.until(is_told).await;
    let agent = server.claim(&token).await.unwrap();
    let seen = live
        .until(|event| matches!(event, StreamEvent::Job { job, .. } if job.phase == Phase::Running))
        .await;
    assert!(!seen.iter().any(is_told), "{seen:?}");
    agent.finish(Outcome::Success).await;
}
