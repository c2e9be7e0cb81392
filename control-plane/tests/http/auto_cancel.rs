//! Pipelines that a later one of their branch supersedes.

use reqwest::Method;
use russet_protocol::admin::Pipeline;
use russet_protocol::outcome::{Outcome, Phase};
use serde_json::{Value, json};

use crate::support::{Harness, ONE_JOB, ok, refused};

const SETTINGS: &str = "/api/v3/projects/acme%2Fapp/settings";

/// An approval before a job.
const HELD: &str = "
version: 2.1
jobs:
  deploy:
    machine: true
    resource_class: acme/mini
    steps: [run: echo hello]
workflows:
  main:
    jobs:
      - hold: {type: approval}
      - deploy: {requires: [hold]}
";

async fn submit_as(server: &Harness, config: &str, more: Value) -> Pipeline {
    let mut body = json!({"project": "acme/app", "config": config});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let call = server.as_admin(Method::POST, "/api/v3/pipelines").json(&body);
    ok(call).await.json().await.unwrap()
}

async fn submit(server: &Harness, branch: &str) -> Pipeline {
    submit_as(server, ONE_JOB, json!({"branch": branch})).await
}

/// A server on which later pipelines of `acme/app` cancel earlier ones. Returns its runner token.
async fn start() -> (Harness, String) {
    let server = Harness::start().await;
    let token = server.class().await;
    refused(server.as_admin(Method::PUT, SETTINGS).json(&json!({"auto_cancel": true})), 404).await;
    submit(&server, "early").await;
    server.clock.advance(std::time::Duration::from_secs(1));
    ok(server.as_admin(Method::PUT, SETTINGS).json(&json!({"auto_cancel": true}))).await;
    (server, token)
}

async fn is_open(server: &Harness, pipeline: &Pipeline) -> bool {
    server.job(pipeline).await.phase != Phase::Ended
}

#[tokio::test]
async fn a_later_pipeline_of_a_branch_cancels_those_before_it_and_says_so() {
    let (server, token) = start().await;
    let held = submit_as(&server, HELD, json!({"branch": "topic"})).await;
    let later = submit(&server, "topic").await;
    server.wait_for_job(&held, |job| job.phase == Phase::Ended).await;
    let job = server.job(&held).await;
    assert_eq!(job.outcome, Some(Outcome::Canceled), "also one that waits for an approval");
    assert_eq!(job.message.as_deref(), Some("superseded by #3"));
    let canceled_by = server.pipeline(&held).await.canceled_by;
    assert_eq!(canceled_by.as_deref(), Some("superseded by #3"));

    // One that runs is told to stop.
    let early = server.claim(&token).await.unwrap();
    let agent = server.claim(&token).await.unwrap();
    let last = submit(&server, "topic").await;
    let stops = async || {
        let answer: Value = ok(agent.heartbeat("launch_agent", None)).await.json().await.unwrap();
        answer["cancel"].to_string()
    };
    let wait = async {
        while !stops().await.contains("superseded by #4") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::LIMIT, wait).await.unwrap();
    agent.finish(Outcome::Canceled).await;
    server.wait_for_job(&later, |job| job.phase == Phase::Ended).await;
    assert!(is_open(&server, &last).await);
    early.finish(Outcome::Success).await;
}

#[tokio::test]
async fn default_branches_other_branches_tags_forks_and_schedules_supersede_nothing() {
    let (server, _token) = start().await;
    let main = submit(&server, "main").await;
    let topic = submit(&server, "topic").await;
    let early = submit(&server, "early").await;
    submit(&server, "main").await;
    submit(&server, "other").await;
    let of_tags = ONE_JOB.replace("[one]", "[{one: {filters: {tags: {only: /.*/}}}}]");
    submit_as(&server, &of_tags, json!({"tag": "topic"})).await;
    submit_as(&server, ONE_JOB, json!({"branch": "topic", "from_fork": true})).await;
    let schedule = json!({"branch": "topic", "pipeline_values": {"pipeline.trigger_source": "scheduled_pipeline"}});
    let scheduled = submit_as(&server, ONE_JOB, schedule).await;
    for pipeline in [&main, &topic, &early, &scheduled] {
        assert!(is_open(&server, pipeline).await, "{pipeline:?}");
        assert_eq!(server.pipeline(pipeline).await.canceled_by, None);
    }
    // The one from before the setting is let be as well.
    let first = "SELECT count(*) FROM pipelines WHERE number = 1 AND canceled = 0";
    assert_eq!(server.dir.count(first).await, 1);
    let push = submit(&server, "topic").await;
    server.wait_for_job(&topic, |job| job.phase == Phase::Ended).await;
    assert!(is_open(&server, &scheduled).await && is_open(&server, &push).await);
}

#[tokio::test]
async fn of_many_that_are_submitted_at_once_the_last_alone_is_left() {
    let (server, _token) = start().await;
    let all = futures_util::future::join_all((0..8).map(|_| submit(&server, "topic"))).await;
    let last = all.iter().max_by_key(|pipeline| pipeline.number).unwrap();
    for pipeline in all.iter().filter(|pipeline| pipeline.number != last.number) {
        server.wait_for_job(pipeline, |job| job.phase == Phase::Ended).await;
        assert_eq!(server.job(pipeline).await.outcome, Some(Outcome::Canceled));
    }
    assert!(is_open(&server, last).await);
}

#[tokio::test]
async fn settings_are_read_and_changed_and_a_branch_without_a_name_is_refused() {
    let (server, _token) = start().await;
    let settings: Value = server.get(SETTINGS).await;
    assert_eq!(
        settings,
        json!({"default_branch": "main", "auto_cancel": true, "statuses": "both", "forks": "none"})
    );
    let put = |body: Value| server.as_admin(Method::PUT, SETTINGS).json(&body);
    refused(put(json!({"default_branch": ""})), 400).await;
    ok(put(json!({"default_branch": "trunk"}))).await;
    let settings: Value = server.get(SETTINGS).await;
    assert_eq!(
        settings,
        json!({"default_branch": "trunk", "auto_cancel": false, "statuses": "both", "forks": "none"})
    );
    let topic = submit(&server, "topic").await;
    submit(&server, "topic").await;
    assert_eq!(server.pipeline(&topic).await.canceled_by, None);
}
