//! Pipelines of many jobs.

use reqwest::Method;
use russet_protocol::admin::Pipeline;
use russet_protocol::outcome::{Outcome, Phase};
use serde_json::json;

use crate::support::{CLASS, Harness, LIMIT, ONE_JOB, ok, refused};

/// A workflow of `count` jobs that may all start at once.
fn wide(count: usize, parallelism: usize) -> String {
    let mut text = format!(
        "version: 2.1\njobs:\n  one:\n    machine: true\n    resource_class: {CLASS}\n    \
         parallelism: {parallelism}\n    steps: [run: 'true']\nworkflows:\n  main:\n    jobs:\n"
    );
    for number in 0..count {
        text.push_str(&format!("      - one: {{name: j{number}}}\n"));
    }
    text
}

fn ended(pipeline: &Pipeline) -> usize {
    let jobs = &pipeline.workflows[0].jobs;
    jobs.iter().filter(|job| job.phase == Phase::Ended).count()
}

#[tokio::test]
async fn a_large_pipeline_is_canceled_part_by_part_and_others_write_between() {
    let server = Harness::start().await;
    server.class().await;
    let pipeline = server.submit(&wide(1200, 1)).await;
    let path = format!("/api/v3/pipelines/{}/cancel", pipeline.id);
    let cancel = tokio::spawn(server.as_admin(Method::POST, &path).timeout(LIMIT * 4).send());
    let mut seen_half = false;
    while !cancel.is_finished() {
        let now = ended(&server.pipeline(&pipeline).await);
        seen_half |= now > 0 && now < 1200;
    }
    assert!(seen_half, "all jobs were canceled in one transaction");
    let canceled: Pipeline = cancel.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(ended(&canceled), 1200);
    assert_eq!(canceled.workflows[0].outcome, Some(Outcome::Canceled));
}

#[tokio::test]
async fn a_cancel_that_was_cut_off_goes_on_when_the_server_starts_again() {
    let server = Harness::start().await;
    server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let home = server.dir.clone();
    // As a server leaves it that is killed right after it began.
    let change = async || home.sql("UPDATE pipelines SET canceled = 1").await;
    let server = server.restart_after(change).await;
    let pipeline = server.pipeline(&pipeline).await;
    assert_eq!(pipeline.workflows[0].outcome, Some(Outcome::Canceled));
}

#[tokio::test]
async fn a_pipeline_has_ten_thousand_tasks_at_most() {
    let server = Harness::start().await;
    server.class().await;
    let body = json!({"project": "acme/app", "config": wide(11, 1000)});
    let request = server.as_admin(Method::POST, "/api/v3/pipelines").json(&body);
    let problem = refused(request, 422).await;
    assert!(problem["message"].as_str().unwrap().contains("at most 10000"), "{problem}");
    let body = json!({"project": "acme/app", "config": wide(10, 1)});
    ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
}
