//! Leases, by a clock that the test moves.

use reqwest::Method;
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::HeartbeatResponse;

use crate::support::{Harness, LEASE, ONE_JOB, ok, refused};

#[tokio::test]
async fn a_task_that_did_not_start_goes_to_another_and_the_first_is_told() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let mut first = server.claim(&token).await.unwrap();
    // What the agent itself prepares does not count as started, and is forgotten.
    first.start_step(0).await;
    ok(first.append(0, 0, vec![b'x'; 50_000])).await;
    server.clock.advance(LEASE);
    server.wait_for_job(&pipeline, |job| job.phase == Phase::Queued).await;
    assert!(server.job(&pipeline).await.steps.is_empty());
    let second = server.claim(&token).await.unwrap();
    assert_eq!(first.claim.task_id, second.claim.task_id);
    assert_ne!(first.claim.allocation, second.claim.allocation);
    refused(first.heartbeat("task_agent", None), 409).await;
    refused(first.append(1, 0, b"late".to_vec()), 409).await;
    refused(first.events(&[]), 409).await;
    refused(first.call(Method::GET, "/api/v2/task/config"), 409).await;
    refused(first.call(Method::PUT, "/api/v3/task/artifacts/a").body("x"), 409).await;
    refused(first.finish_request(Outcome::Success, &[]), 409).await;
    second.finish(Outcome::Success).await;
    assert_eq!(server.job(&pipeline).await.outcome, Some(Outcome::Success));
}

#[tokio::test]
async fn a_task_in_its_steps_fails_after_twice_the_lease() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let mut agent = server.claim(&token).await.unwrap();
    agent.start_step(1).await;
    server.clock.advance(2 * LEASE - std::time::Duration::from_millis(1));
    let answer = ok(agent.heartbeat("launch_agent", Some(0))).await;
    assert_eq!(answer.json::<HeartbeatResponse>().await.unwrap().lease_ms, 120_000);
    server.clock.advance(2 * LEASE);
    server.wait_for_job(&pipeline, |job| job.phase == Phase::Ended).await;
    let job = server.job(&pipeline).await;
    assert_eq!(job.outcome, Some(Outcome::InfrastructureFail));
    assert!(job.message.unwrap().contains("lease"));
    assert_eq!(job.steps[0].outcome, Some(Outcome::InfrastructureFail));
    refused(agent.heartbeat("task_agent", None), 409).await;
}

#[tokio::test]
async fn a_launch_agent_does_not_renew_for_a_silent_task_agent() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    server.clock.advance(LEASE / 2);
    let answer = ok(agent.heartbeat("launch_agent", Some(60_001))).await;
    assert_eq!(answer.json::<HeartbeatResponse>().await.unwrap().lease_ms, 30_000);
    server.clock.advance(LEASE / 2);
    server.wait_for_job(&pipeline, |job| job.phase == Phase::Queued).await;
}

#[tokio::test]
async fn a_task_that_nobody_starts_is_given_up_after_three_rounds() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    for _round in 0..3 {
        server.claim(&token).await.unwrap();
        server.clock.advance(LEASE);
        server.wait_for_job(&pipeline, |job| job.phase == Phase::Queued).await;
    }
    server.claim(&token).await.unwrap();
    server.clock.advance(LEASE);
    server.wait_for_job(&pipeline, |job| job.phase == Phase::Ended).await;
    assert_eq!(server.job(&pipeline).await.outcome, Some(Outcome::InfrastructureFail));
}

#[tokio::test]
async fn a_new_lease_lapses_before_the_longer_one_of_a_task_in_its_steps() {
    let server = Harness::start().await;
    let token = server.class().await;
    let first = server.submit(ONE_JOB).await;
    let mut busy = server.claim(&token).await.unwrap();
    busy.start_step(1).await;
    let second = server.submit(ONE_JOB).await;
    server.claim(&token).await.unwrap();
    server.clock.advance(LEASE);
    server.wait_for_job(&second, |job| job.phase == Phase::Queued).await;
    assert_eq!(server.job(&first).await.phase, Phase::Running);
}
