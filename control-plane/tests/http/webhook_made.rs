//! Webhooks that are made at the host, by a call of its API.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::commit_statuses::{start, wish};
use crate::git_projects::{Repository, connect};
use crate::github_host::{Fault, GithubHost};
use crate::support::{Harness, ok, refused};

const PATH: &str = "/api/v3/projects/acme%2Fapp/webhook";

async fn create(server: &Harness, more: Value) -> Value {
    let mut body = json!({"create": true});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ok(server.as_admin(Method::PUT, PATH).json(&body)).await.json().await.unwrap()
}

#[tokio::test]
async fn a_webhook_is_made_at_github_once_and_set_anew_from_then_on() {
    let (server, host, repository) = (start().await, GithubHost::start().await, Repository::new());
    connect(&server, wish(&repository, &host.url)).await;
    let made = create(&server, json!({})).await;
    // The host has the secret, so it is shown to nobody.
    assert_eq!((&made["is_made"], &made["secret"]), (&json!(true), &Value::Null));
    let hook = host.hooks().pop().unwrap();
    assert_eq!(hook["config"]["url"], "https://ci.example/webhooks/github");
    assert_eq!(hook["config"]["content_type"], "json");
    assert_eq!(hook["events"], json!(["push", "pull_request", "check_run", "check_suite"]));
    let first = hook["config"]["secret"].clone();
    assert!(first.as_str().unwrap().len() >= 32, "{hook}");

    create(&server, json!({})).await;
    create(&server, json!({"rotate": true})).await;
    let hooks = host.hooks();
    assert_eq!(hooks.len(), 1, "{hooks:?}");
    assert_ne!(hooks[0]["config"]["secret"], first);
}

#[tokio::test]
async fn a_webhook_that_the_host_refuses_is_told_with_the_next_step_and_can_be_made_again() {
    let (server, host, repository) = (start().await, GithubHost::start().await, Repository::new());
    connect(&server, wish(&repository, &host.url)).await;
    let said = json!({"message": "Resource not accessible by personal access token"});
    host.fail(Method::GET, [Fault::Answer(403, Vec::new(), said)]);
    let body = json!({"create": true});
    let problem = refused(server.as_admin(Method::PUT, PATH).json(&body), 400).await;
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("Webhooks: read") && message.contains("call it again"), "{message}");
    create(&server, json!({})).await;
    assert_eq!(host.hooks().len(), 1);
}

#[tokio::test]
async fn a_webhook_of_a_plain_remote_is_not_made_and_nothing_is_set() {
    let (server, repository) = (start().await, Repository::new());
    let url = format!("file://{}/app.git", repository.root().display());
    connect(&server, json!({"url": url})).await;
    let body = json!({"create": true});
    let problem = refused(server.as_admin(Method::PUT, PATH).json(&body), 400).await;
    assert!(problem["message"].as_str().unwrap().contains("not connected to GitHub"), "{problem}");
    // Nothing was set, so the first call without it makes a secret.
    let made = ok(server.as_admin(Method::PUT, PATH).json(&json!({}))).await;
    assert_eq!(made.status(), StatusCode::OK);
    assert!(made.json::<Value>().await.unwrap()["secret"].is_string());
}
