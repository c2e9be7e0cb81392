//! Refusals, and their words.

use std::collections::BTreeMap;

use reqwest::Method;
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::{Event, EventKind, FinishRequest};
use serde_json::json;

use crate::support::{Harness, ONE_JOB, ok, refused};

#[tokio::test]
async fn without_the_admin_token_nothing_is_there() {
    let server = Harness::start().await;
    server.class().await;
    for path in ["/api/v3/pipelines", "/api/v3/runner/resource", "/api/v3/jobs/x"] {
        refused(server.call(Method::GET, path), 404).await;
        refused(server.call(Method::GET, path).bearer_auth("wrong"), 404).await;
    }
    for request in [
        server.call(Method::GET, "/api/v3/pipelines").bearer_auth(&server.admin),
        server.call(Method::GET, "/api/v3/pipelines").basic_auth(&server.admin, Some("")),
    ] {
        assert!(request.send().await.unwrap().status().is_success());
    }
}

#[tokio::test]
async fn unknown_tokens_are_401_on_claim_and_404_elsewhere() {
    let server = Harness::start().await;
    refused(server.claim_request("wrong", 0), 401).await;
    // The token of the administrator is no token of a class.
    refused(server.claim_request(&server.admin, 0), 401).await;
    for (method, path) in [
        (Method::GET, "/api/v2/task/config"),
        (Method::POST, "/api/v2/task/event/fail"),
        (Method::POST, "/api/v3/task/heartbeat"),
        (Method::POST, "/api/v3/task/finish"),
        (Method::PUT, "/api/v3/task/artifacts/a"),
        (Method::PATCH, "/api/v3/task/steps/1/output"),
    ] {
        refused(server.call(method.clone(), path), 404).await;
        refused(server.call(method, path).bearer_auth("wrong").json(&json!({})), 404).await;
    }
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let server = Harness::start().await;
    let token = server.class().await;
    refused(server.call(Method::GET, "/nowhere"), 404).await;
    refused(server.call(Method::GET, "/api/v3/runner/claim"), 405).await;
    let claim = |body: &'static str| {
        server.call(Method::POST, "/api/v3/runner/claim").bearer_auth(&token).body(body)
    };
    refused(claim("{"), 400).await;
    refused(claim(r#"{"name": "a"} x"#), 400).await;
    refused(claim(r#"{"name": "a;b"}"#), 400).await;
    let problem = refused(claim(r#"{"name": 1}"#), 400).await;
    assert!(problem["message"].as_str().unwrap().contains("name: invalid type"), "{problem}");
    let post =
        |body: serde_json::Value| server.as_admin(Method::POST, "/api/v3/pipelines").json(&body);
    refused(post(json!({"project": "", "config": ONE_JOB})), 400).await;
    let large = "#".repeat(9 * 1024 * 1024);
    refused(post(json!({"project": "p", "config": large})), 413).await;
}

#[tokio::test]
async fn configurations_that_can_not_be_run_are_refused_with_the_reason() {
    let server = Harness::start().await;
    let submit = |config: &str| {
        server
            .as_admin(Method::POST, "/api/v3/pipelines")
            .json(&json!({"project": "p", "config": config, "config_path": "ci.yml"}))
    };
    let broken = refused(submit("version: 2.1\njobs: 3\n"), 422).await;
    let shown = broken["diagnostics"][0].as_str().unwrap();
    assert!(shown.contains("ci.yml:2:"), "{shown}");
    let no_class = refused(submit(ONE_JOB), 422).await;
    assert!(no_class["hint"].as_str().unwrap().contains("resource-class create"));
    let none = ONE_JOB.replace("resource_class: acme/mini", "");
    let none = refused(submit(&none), 422).await;
    assert!(none["message"].as_str().unwrap().contains("resource class"), "{none}");
}

#[tokio::test]
async fn what_a_task_says_of_itself_is_cut_to_a_sensible_length() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let mut agent = server.claim(&token).await.unwrap();
    let long = "ä".repeat(1_000_000);
    let (name, detail) = (long.clone(), Some(long.clone()));
    agent.event(EventKind::StepStarted { step: 1, name, background: false, detail }).await;
    let finish = FinishRequest {
        allocation: agent.claim.allocation.clone(),
        outcome: Outcome::Failed,
        message: Some(long.clone()),
        last_seq: agent.seq,
        output: BTreeMap::new(),
        events: Vec::new(),
    };
    ok(agent.call(Method::POST, "/api/v3/task/finish").json(&finish)).await;
    let job = server.job(&pipeline).await;
    assert_eq!(job.steps[0].name.len(), 4096);
    assert_eq!(job.message.unwrap().len(), 8192);
}

#[tokio::test]
async fn numbers_that_mean_nothing_are_refused() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let event = |step, at_ms, output_bytes| Event {
        seq: 1,
        at_ms,
        kind: EventKind::StepFinished {
            step,
            outcome: Outcome::Success,
            exit_code: None,
            message: None,
            output_bytes,
        },
    };
    for event in [event(u32::MAX, 1, 0), event(1, u64::MAX, 0), event(1, 1, u64::MAX)] {
        refused(agent.events(&[event]), 400).await;
    }
    refused(agent.append(u32::MAX, 0, vec![b'x']), 400).await;
}
