//! Limits of tasks at once: of projects, namespaces and classes.

use reqwest::{Method, StatusCode};
use russet_protocol::admin::{Items, Pipeline};
use russet_protocol::limits::LimitItem;
use russet_protocol::machine::WaitReason;
use russet_protocol::outcome::{Outcome, Phase};
use serde_json::{Value, json};

use crate::support::{Agent, Harness, LEASE, ONE_JOB, ok, refused};
use crate::web::Browser;

const TWO_NODES: &str = "
version: 2.1
jobs:
  one: {machine: true, resource_class: acme/mini, parallelism: 2, steps: [run: make]}
workflows: {main: {jobs: [one]}}
";

async fn limit(server: &Harness, path: &str, most: u32) -> LimitItem {
    let request = server.as_admin(Method::PUT, &format!("/api/v3/limits/{path}"));
    ok(request.json(&json!({"most": most}))).await.json().await.unwrap()
}

async fn submit(server: &Harness, project: &str, config: &str) -> Pipeline {
    let body = json!({"project": project, "config": config, "branch": "main"});
    let made = ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
    made.json().await.unwrap()
}

async fn claim_all(server: &Harness, token: &str) -> Vec<Agent> {
    let mut all = Vec::new();
    while let Some(agent) = server.claim(token).await {
        all.push(agent);
    }
    all
}

fn projects(agents: &[Agent]) -> Vec<String> {
    agents.iter().map(|agent| agent.claim.project.clone().unwrap()).collect()
}

#[tokio::test]
async fn jobs_beyond_the_limit_of_a_project_wait_and_come_as_others_end() {
    let server = Harness::start().await;
    let token = server.class().await;
    limit(&server, "project/acme%2Fapp", 2).await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(server.submit(ONE_JOB).await);
    }
    submit(&server, "acme/other", ONE_JOB).await;
    let agents = claim_all(&server, &token).await;
    assert_eq!(projects(&agents), ["acme/app", "acme/app", "acme/other"]);
    let waiting = server.job(&all[2]).await;
    assert_eq!(waiting.phase, Phase::Queued);
    let why = waiting.waiting.unwrap();
    assert_eq!(why.reason, WaitReason::Limit);
    assert!(why.text.contains("at most 2 of the project `acme/app`"), "{}", why.text);
    let listed: Items<LimitItem> = server.get("/api/v3/limits").await;
    assert_eq!((listed.items[0].used, listed.items[0].waiting), (2, 2));
    let page = Browser::logged_in(&server).await.page("/").await;
    assert!(page.contains("it waits for room"), "{page}");

    agents.into_iter().next().unwrap().finish(Outcome::Failed).await;
    let more = claim_all(&server, &token).await;
    assert_eq!(more.len(), 1);
    assert_eq!(server.job(&all[2]).await.phase, Phase::Running);
    // A cancel of what runs makes room as soon as the runner has let go of it, one of what waits none.
    ok(server.as_admin(Method::POST, &format!("/api/v3/pipelines/{}/cancel", all[3].id))).await;
    let listed: Items<LimitItem> = server.get("/api/v3/limits").await;
    assert_eq!((listed.items[0].used, listed.items[0].waiting), (2, 0));
}

#[tokio::test]
async fn room_in_a_class_goes_to_the_project_that_has_the_least() {
    let server = Harness::start().await;
    let token = server.class().await;
    limit(&server, "class/acme%2Fmini", 2).await;
    for _ in 0..4 {
        submit(&server, "acme/large", ONE_JOB).await;
    }
    submit(&server, "acme/small", ONE_JOB).await;
    let mut agents = claim_all(&server, &token).await;
    assert_eq!(projects(&agents), ["acme/large", "acme/large"]);
    agents.remove(0).finish(Outcome::Success).await;
    let next = claim_all(&server, &token).await;
    assert_eq!(projects(&next), ["acme/small"]);
    agents.remove(0).finish(Outcome::Success).await;
    assert_eq!(projects(&claim_all(&server, &token).await), ["acme/large"]);
}

#[tokio::test]
async fn several_limits_hold_together_and_a_larger_job_runs_alone() {
    let server = Harness::start().await;
    let token = server.class().await;
    limit(&server, "namespace/acme", 3).await;
    limit(&server, "project/acme%2Fapp", 1).await;
    let wide = submit(&server, "acme/app", TWO_NODES).await;
    submit(&server, "acme/app", ONE_JOB).await;
    submit(&server, "acme/other", TWO_NODES).await;
    submit(&server, "acme/third", ONE_JOB).await;
    // Two nodes in a limit of one, since nothing else is there; then one more in the namespace.
    let mut agents = claim_all(&server, &token).await;
    assert_eq!(projects(&agents), ["acme/app", "acme/app", "acme/third"]);
    agents.remove(0).finish(Outcome::Success).await;
    assert!(server.claim(&token).await.is_none(), "the other node goes on");
    agents.remove(0).finish(Outcome::Success).await;
    assert_eq!(server.job(&wide).await.phase, Phase::Ended);
    let next = claim_all(&server, &token).await;
    // Of those that have nothing the oldest, after which the namespace has no room for two.
    assert_eq!(projects(&next), ["acme/app"]);
}

#[tokio::test]
async fn a_limit_that_is_raised_or_removed_lets_in_what_waited_and_one_that_is_new_counts_what_runs()
 {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let first = server.claim(&token).await.unwrap();
    assert_eq!(limit(&server, "project/acme%2Fapp", 1).await.used, 1);
    for _ in 0..3 {
        server.submit(ONE_JOB).await;
    }
    assert!(server.claim(&token).await.is_none());
    assert_eq!(limit(&server, "project/acme%2Fapp", 2).await.used, 2);
    assert_eq!(claim_all(&server, &token).await.len(), 1);
    let server = server.restart().await;
    assert!(server.claim(&token).await.is_none());
    let path = "/api/v3/limits/project/acme%2Fapp";
    let gone = ok(server.as_admin(Method::DELETE, path)).await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    assert_eq!(claim_all(&server, &token).await.len(), 2);
    refused(server.as_admin(Method::DELETE, path), 404).await;
    drop(first);
}

#[tokio::test]
async fn room_that_was_given_to_nobody_is_given_when_a_server_starts() {
    let server = Harness::start().await;
    let token = server.class().await;
    limit(&server, "project/acme%2Fapp", 1).await;
    server.submit(ONE_JOB).await;
    server.submit(ONE_JOB).await;
    assert_eq!(claim_all(&server, &token).await.len(), 1);
    // As a server does that knows no limits, on which the first job ends.
    let dir = std::sync::Arc::clone(&server.dir);
    let server = server.restart_after(async || dir.sql("UPDATE jobs SET room = 0").await).await;
    assert_eq!(claim_all(&server, &token).await.len(), 1);
}

#[tokio::test]
async fn a_cancel_of_tasks_in_line_and_a_lost_runner_make_room() {
    let server = Harness::start().await;
    let token = server.class().await;
    limit(&server, "project/acme%2Fapp", 1).await;
    let first = server.submit(ONE_JOB).await;
    let second = server.submit(ONE_JOB).await;
    let third = server.submit(ONE_JOB).await;
    ok(server.as_admin(Method::POST, &format!("/api/v3/pipelines/{}/cancel", first.id))).await;
    server.wait_for_job(&first, |job| job.phase == Phase::Ended).await;
    let mut agent = server.claim(&token).await.unwrap();
    assert_eq!(server.job(&second).await.phase, Phase::Running);
    agent.start_step(1).await;
    server.clock.advance(2 * LEASE);
    server.wait_for_job(&second, |job| job.phase == Phase::Ended).await;
    assert!(server.claim(&token).await.is_some());
    assert_eq!(server.job(&third).await.phase, Phase::Running);
}

#[tokio::test]
async fn only_operators_of_the_server_set_limits_and_names_and_numbers_are_checked() {
    let server = Harness::start().await;
    limit(&server, "project/acme%2Fapp", 2).await;
    limit(&server, "namespace/other", 2).await;
    let one = json!({"most": 1});
    for (path, body) in [
        ("project/acme%2Fapp", json!({"most": 0})),
        ("namespace/acme%2Fapp", one.clone()),
        ("class/acme", one.clone()),
        ("machine/acme", one.clone()),
    ] {
        let path = format!("/api/v3/limits/{path}");
        refused(server.as_admin(Method::PUT, &path).json(&body), 400).await;
    }
    let viewer = server.account("vi", None, &["read", "submit", "operate"]).await;
    let role = json!({"role": "operator", "namespace": "acme"});
    ok(server.as_admin(Method::PUT, "/api/v3/users/vi/role").json(&role)).await;
    let path = "/api/v3/limits/project/acme%2Fapp";
    let put = server.with_token(&viewer, Method::PUT, path).json(&one).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::FORBIDDEN);
    let seen = ok(server.with_token(&viewer, Method::GET, "/api/v3/limits")).await;
    let seen: Value = seen.json().await.unwrap();
    assert_eq!(seen["items"].as_array().unwrap().len(), 1);
    assert_eq!(seen["items"][0]["name"], "acme/app");
}
