//! Claiming: once each, at once, and not by those who went away.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use russet_protocol::admin::{Items, RunnerItem};
use russet_protocol::ids::AllocationId;
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::ClaimResponse;
use russet_protocol::task::TaskConfig;
use serde_json::json;

use crate::support::{Agent, CLASS, Harness, ONE_JOB, ok, refused, workflow};

#[tokio::test]
async fn a_task_is_claimed_run_and_finished() {
    let server = Harness::start().await;
    let token = server.class().await;
    assert!(server.claim(&token).await.is_none());
    let pipeline = server.submit(ONE_JOB).await;
    assert_eq!(pipeline.workflows[0].jobs[0].phase, Phase::Queued);
    let mut agent = server.claim(&token).await.unwrap();
    assert_eq!(agent.claim.resource_class, CLASS);
    assert_eq!(agent.claim.heartbeat_ms, Some(10_000));
    assert_eq!(agent.claim.from_fork, Some(false));
    let config: TaskConfig =
        ok(agent.call(Method::GET, "/api/v2/task/config")).await.json().await.unwrap();
    assert_eq!(config.job.name, "one");
    assert_eq!(config.environment[0].name, "COLOR");
    assert_eq!(config.steps[0].name, "Say hello");
    assert_eq!(server.job(&pipeline).await.phase, Phase::Running);
    agent.start_step(1).await;
    ok(agent.append(1, 0, b"hello\n".to_vec())).await;
    agent.end_step(1, 6).await;
    ok(agent.finish_request(Outcome::Success, &[(1, 6)])).await;
    let job = server.job(&pipeline).await;
    assert_eq!((job.phase, job.outcome), (Phase::Ended, Some(Outcome::Success)));
    assert_eq!(job.steps[0].output_bytes, 6);
    assert_eq!(job.runner.as_deref(), Some("mini-1"));
    let whole = server.pipeline(&pipeline).await;
    assert_eq!(whole.workflows[0].outcome, Some(Outcome::Success));
    assert!(server.claim(&token).await.is_none());
    let path = format!("/api/v3/runner?resource-class={CLASS}");
    let runners: Items<RunnerItem> = server.get(&path).await;
    assert_eq!(runners.items.len(), 1);
    assert!(runners.items[0].last_used.is_some());
}

#[tokio::test]
async fn a_runner_that_cannot_use_its_slots_says_so_and_gets_no_task() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let reason = "could not empty /s/2/spool".repeat(100);
    let body = json!({"name": "mini-1", "hostname": "mini", "ip": "", "version": "1",
                      "held_slots": [{"number": 2, "reason": reason}]});
    let report = server.call(Method::POST, "/api/v3/runner/report").json(&body);
    refused(report, 401).await;
    let report = server.call(Method::POST, "/api/v3/runner/report").bearer_auth(&token).json(&body);
    assert_eq!(ok(report).await.status(), StatusCode::OK);
    let path = format!("/api/v3/runner?resource-class={CLASS}");
    let held = server.get::<Items<RunnerItem>>(&path).await.items[0].held_slots.clone();
    assert_eq!((held.len(), held[0].number, held[0].reason.len()), (1, 2, 1024));
    // A claim says that all is well again, and gets the task.
    assert!(server.claim(&token).await.is_some());
    assert_eq!(server.get::<Items<RunnerItem>>(&path).await.items[0].held_slots, []);
}

#[tokio::test]
async fn a_runner_that_says_something_new_is_written_at_once() {
    let server = Harness::start().await;
    let token = server.class().await;
    let path = format!("/api/v3/runner?resource-class={CLASS}");
    let last_connected = async || {
        assert!(server.claim(&token).await.is_none());
        server.get::<Items<RunnerItem>>(&path).await.items[0].last_connected.clone()
    };
    let first = last_connected().await;
    server.clock.advance(Duration::from_secs(9));
    assert_ne!(last_connected().await, first, "that it is here is known from memory");
    let body = json!({"name": "mini-1", "hostname": "mini", "ip": "", "version": "2"});
    ok(server.claim_request(&token, 0).json(&body)).await;
    assert_eq!(server.get::<Items<RunnerItem>>(&path).await.items[0].version, "2");
}

#[tokio::test]
async fn every_task_goes_to_exactly_one_of_many_claimers() {
    let server = Harness::start().await;
    let token = server.class().await;
    let names: Vec<String> = (0..20).map(|n| format!("job-{n}")).collect();
    let jobs: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
    let claims: Vec<_> = (0..24)
        .map(|_| {
            let request = server.claim_request(&token, 1);
            tokio::spawn(async move { ok(request).await })
        })
        .collect();
    server.submit(&workflow(&jobs)).await;
    let mut tasks = HashSet::new();
    for claim in claims {
        let response = claim.await.unwrap();
        if response.status() == StatusCode::OK {
            let claim: ClaimResponse = response.json().await.unwrap();
            assert!(tasks.insert(claim.task_id.unwrap()));
        }
    }
    assert_eq!(tasks.len(), 20);
}

#[tokio::test]
async fn a_claim_that_waits_gets_the_task_when_it_is_queued() {
    let server = Harness::start().await;
    let token = server.class().await;
    let request = server.claim_request(&token, 50);
    let waiting = tokio::spawn(async move { ok(request).await });
    // It waits once the runner is registered; the limit of the call would fail the test.
    let path = format!("/api/v3/runner?resource-class={CLASS}");
    while server.get::<Items<RunnerItem>>(&path).await.items.is_empty() {}
    server.submit(ONE_JOB).await;
    assert_eq!(waiting.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_claimer_that_went_away_takes_nothing() {
    let server = Harness::start().await;
    let token = server.class().await;
    let request = server.claim_request(&token, 50);
    let waiting = tokio::spawn(async move { request.send().await });
    let path = format!("/api/v3/runner?resource-class={CLASS}");
    while server.get::<Items<RunnerItem>>(&path).await.items.is_empty() {}
    waiting.abort();
    assert!(waiting.await.is_err());
    // The server notices when the connection is closed, which another call may overtake; then the
    // lease puts the task back.
    let pipeline = server.submit(ONE_JOB).await;
    if server.claim(&token).await.is_none() {
        server.clock.advance(crate::support::LEASE);
        server.wait_for_job(&pipeline, |job| job.phase == Phase::Queued).await;
        assert!(server.claim(&token).await.is_some());
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_ends_claims_that_wait_and_leaves_tasks_alone() {
    let server = Harness::start().await;
    server.class().await;
    let item = server.token().await;
    let token = item.token.unwrap().expose().to_owned();
    let pipeline = server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let request = server.claim_request(&token, 50);
    let waiting = tokio::spawn(async move { refused(request, 401).await });
    ok(server.as_admin(Method::DELETE, &format!("/api/v3/runner/token/{}", item.id))).await;
    waiting.await.unwrap();
    refused(server.claim_request(&token, 0), 401).await;
    agent.finish(Outcome::Success).await;
    assert_eq!(server.job(&pipeline).await.outcome, Some(Outcome::Success));
}

#[tokio::test]
async fn a_task_can_be_given_back_three_times() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    for round in 0..4 {
        let agent = server.claim(&token).await.unwrap();
        let unclaim = server
            .call(Method::POST, "/api/v3/runner/unclaim")
            .json(&json!({"task_id": agent.claim.task_id, "task_token": agent.claim.task_token}));
        if round < 3 {
            ok(unclaim.try_clone().unwrap()).await;
            refused(unclaim, 404).await;
            refused(agent.call(Method::GET, "/api/v2/task/config"), 409).await;
        } else {
            refused(unclaim, 409).await;
            let message = base64_of("could not start the task agent\u{1b}[2J");
            let body = |allocation: &str| json!({"allocation": allocation, "timestamp": 1, "message": message});
            let fail = |allocation: &str| {
                agent.call(Method::POST, "/api/v2/task/event/fail").json(&body(allocation))
            };
            refused(fail("another"), 404).await;
            ok(fail(agent.claim.allocation.as_str())).await;
            ok(fail(agent.claim.allocation.as_str())).await;
        }
    }
    let job = server.job(&pipeline).await;
    assert_eq!(job.outcome, Some(Outcome::InfrastructureFail));
    assert_eq!(job.message.as_deref(), Some("could not start the task agent\u{fffd}[2J"));
}

#[tokio::test]
async fn a_machine_that_takes_no_tasks_gives_one_back_without_end_and_gets_no_other_for_a_second() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    for cause in ["not_taking", "interrupted"].repeat(5) {
        let agent = server.claim(&token).await.unwrap();
        ok(give_back(&server, &agent, cause)).await;
        if cause == "not_taking" {
            assert!(server.claim(&token).await.is_none(), "it was offered to the one that rests");
            server.clock.advance(Duration::from_secs(1));
        }
    }
    let agent = server.claim(&token).await.unwrap();
    agent.finish(Outcome::Success).await;
    assert_eq!(server.job(&pipeline).await.outcome, Some(Outcome::Success));
}

#[tokio::test]
async fn a_task_that_a_paused_machine_gives_back_goes_to_a_claim_of_another_one_that_waits() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let paused = server.claim_request(&token, 50);
    let paused = tokio::spawn(async move { ok(paused).await });
    ok(give_back(&server, &agent, "not_taking")).await;
    let other = server
        .call(Method::POST, "/api/v3/runner/claim")
        .bearer_auth(&token)
        .json(&json!({"name": "mini-2"}));
    assert_eq!(ok(other).await.status(), StatusCode::OK);
    // What comes after its rest goes to the first one too, whose claim waited all the time.
    server.submit(ONE_JOB).await;
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(paused.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_task_of_which_a_step_began_is_not_given_back_whatever_the_cause() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let mut agent = server.claim(&token).await.unwrap();
    agent.start_step(1).await;
    for cause in ["not_taking", "interrupted", "not_started", "a cause of later"] {
        refused(give_back(&server, &agent, cause), 409).await;
    }
    assert_eq!(server.job(&pipeline).await.phase, Phase::Running);
}

fn give_back(server: &Harness, agent: &Agent, cause: &str) -> RequestBuilder {
    let ClaimResponse { task_id, task_token, .. } = &agent.claim;
    let body = json!({"task_id": task_id, "task_token": task_token, "cause": cause});
    server.call(Method::POST, "/api/v3/runner/unclaim").json(&body)
}

fn base64_of(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn sixty_four_pipelines_at_once_are_all_accepted() {
    let server = Harness::start().await;
    server.class().await;
    let submits: Vec<_> = (0..64)
        .map(|_| {
            let body = json!({"project": "acme/app", "config": ONE_JOB});
            let request = server.as_admin(Method::POST, "/api/v3/pipelines").json(&body);
            tokio::spawn(async move {
                ok(request).await.json::<russet_protocol::admin::Pipeline>().await.unwrap()
            })
        })
        .collect();
    let mut numbers = HashSet::new();
    for submit in submits {
        let pipeline = submit.await.unwrap();
        numbers.insert((pipeline.number, pipeline.workflows[0].jobs[0].number));
    }
    assert_eq!(numbers, (1..=64).map(|n| (n, n)).collect());
}

/// Claims without waiting, with this id, by the name of a runner.
async fn claim_with_id(server: &Harness, token: &str, runner: &str, id: &str) -> Option<Agent> {
    let body = json!({"name": runner, "allocation": id});
    let response = ok(server.claim_request(token, 0).json(&body)).await;
    let has_task = response.status() == StatusCode::OK;
    if has_task { Some(server.agent(response.json().await.unwrap())) } else { None }
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_gets_its_task_again_and_no_other() {
    let server = Harness::start().await;
    let token = server.class().await;
    let (id, other) = (AllocationId::generate(), AllocationId::generate());
    server.submit(&workflow(&[("one", &[]), ("two", &[])])).await;
    let lost = claim_with_id(&server, &token, "mini-1", id.as_str()).await.unwrap();
    assert_eq!(lost.claim.allocation, id);
    let mut again = claim_with_id(&server, &token, "mini-1", id.as_str()).await.unwrap();
    assert_eq!((&again.claim.task_id, &again.claim.allocation), (&lost.claim.task_id, &id));
    // Whoever got the first answer after all does not run the task a second time.
    refused(lost.call(Method::GET, "/api/v2/task/config"), 404).await;
    // Nobody else gets it by knowing its id: another runner gets the next task.
    let next = claim_with_id(&server, &token, "mini-2", id.as_str()).await.unwrap();
    assert_ne!(next.claim.task_id, again.claim.task_id);
    assert_ne!(next.claim.allocation, id);
    again.start_step(1).await;
    // It is running: the answer arrived.
    assert!(claim_with_id(&server, &token, "mini-1", id.as_str()).await.is_none());
    assert!(claim_with_id(&server, &token, "mini-1", other.as_str()).await.is_none());
    ok(again.append(1, 0, b"hello\n".to_vec())).await;
}

#[tokio::test]
async fn a_claim_whose_task_was_taken_back_gets_it_under_another_id() {
    let server = Harness::start().await;
    let token = server.class().await;
    let id = AllocationId::generate();
    server.submit(ONE_JOB).await;
    let first = claim_with_id(&server, &token, "mini-1", id.as_str()).await.unwrap();
    ok(give_back(&server, &first, "interrupted")).await;
    let second = claim_with_id(&server, &token, "mini-1", id.as_str()).await.unwrap();
    assert_eq!(second.claim.task_id, first.claim.task_id);
    assert_ne!(second.claim.allocation, id);
}

#[tokio::test]
async fn the_id_of_a_claim_is_a_uuid() {
    let server = Harness::start().await;
    let token = server.class().await;
    for bad in ["", "1", "../../../../../../../../../etc/passwd1", &"A".repeat(36)] {
        let body = json!({"name": "mini-1", "allocation": bad});
        refused(server.claim_request(&token, 0).json(&body), 400).await;
    }
}
