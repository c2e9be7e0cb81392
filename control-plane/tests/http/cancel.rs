//! Cancel: at once where nobody has the job, by its runner where one has.

use reqwest::Method;
use russet_protocol::admin::{Job, Pipeline};
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::HeartbeatResponse;

use crate::support::{Harness, LEASE, ONE_JOB, ok, refused, workflow};

#[tokio::test]
async fn a_canceled_pipeline_starts_nothing_more_and_tells_the_runner_at_once() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&workflow(&[("a", &[]), ("b", &[]), ("c", &["a"])])).await;
    let agent = server.claim(&token).await.unwrap();
    let quick: HeartbeatResponse =
        ok(agent.heartbeat("task_agent", None)).await.json().await.unwrap();
    assert_eq!(quick.cancel, None);
    let request = agent.heartbeat("task_agent", None).header("prefer", "wait=50");
    let waiting =
        tokio::spawn(async move { ok(request).await.json::<HeartbeatResponse>().await.unwrap() });
    let path = format!("/api/v3/pipelines/{}/cancel", pipeline.id);
    let now: Pipeline = ok(server.as_admin(Method::POST, &path)).await.json().await.unwrap();
    let phases: Vec<_> = now.workflows[0].jobs.iter().map(|job| (job.phase, job.outcome)).collect();
    assert_eq!(phases[0], (Phase::Running, None));
    assert_eq!(phases[1], (Phase::Ended, Some(Outcome::Canceled)));
    assert_eq!(phases[2], (Phase::Ended, Some(Outcome::Canceled)));
    assert!(waiting.await.unwrap().cancel.is_some());
    assert!(server.claim(&token).await.is_none());
    agent.finish(Outcome::Canceled).await;
    let now = server.pipeline(&pipeline).await;
    assert_eq!(now.workflows[0].outcome, Some(Outcome::Canceled));
    // Once more changes nothing.
    ok(server.as_admin(Method::POST, &path)).await;
}

#[tokio::test]
async fn a_job_is_canceled_alone() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&workflow(&[("a", &[]), ("b", &["a"]), ("c", &[])])).await;
    let path = format!("/api/v3/jobs/{}/cancel", pipeline.workflows[0].jobs[0].id);
    let job: Job = ok(server.as_admin(Method::POST, &path)).await.json().await.unwrap();
    assert_eq!(job.outcome, Some(Outcome::Canceled));
    server.claim(&token).await.unwrap().finish(Outcome::Success).await;
    let now = server.pipeline(&pipeline).await;
    assert_eq!(now.workflows[0].jobs[1].outcome, Some(Outcome::NotRun));
    assert_eq!(now.workflows[0].outcome, Some(Outcome::Canceled));
}

#[tokio::test]
async fn a_canceled_task_whose_runner_is_lost_is_canceled() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let mut agent = server.claim(&token).await.unwrap();
    agent.start_step(1).await;
    let path = format!("/api/v3/jobs/{}/cancel", pipeline.workflows[0].jobs[0].id);
    ok(server.as_admin(Method::POST, &path)).await;
    server.clock.advance(2 * LEASE);
    server.wait_for_job(&pipeline, |job| job.phase == Phase::Ended).await;
    assert_eq!(server.job(&pipeline).await.outcome, Some(Outcome::Canceled));
    refused(agent.finish_request(Outcome::Success, &[]), 409).await;
}
