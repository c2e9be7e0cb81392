//! Notifications of projects: CircleCI's payloads, once each, to whom they are for.

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Method, StatusCode};
use russet_protocol::admin::{Items, Pipeline};
use russet_protocol::alerts::TestedTarget;
use russet_protocol::notifications::{MadeNotifyTarget, NotifyTargetItem};
use russet_protocol::outcome::Outcome;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::alerts::{Receiver, until};
use crate::support::{Harness, ONE_JOB, ok, refused};

const TARGETS: &str = "/api/v3/projects/acme%2Fapp/notifications";

async fn add(server: &Harness, body: Value) -> MadeNotifyTarget {
    ok(server.as_admin(Method::POST, TARGETS).json(&body)).await.json().await.unwrap()
}

/// Submits a pipeline of a branch by somebody.
async fn submit(server: &Harness, branch: &str, author: &str) -> Pipeline {
    let body = json!({"project": "acme/app", "config": ONE_JOB, "branch": branch, "author": author,
        "revision": "1dc6aa69429bff4806ad6afe58d3d8f57e25973e",
        "repository_url": "https://github.com/acme/app"});
    let call = server.as_admin(Method::POST, "/api/v3/pipelines").json(&body);
    ok(call).await.json().await.unwrap()
}

/// Runs a pipeline of a branch to an end.
async fn run(server: &Harness, token: &str, branch: &str, outcome: Outcome) -> Pipeline {
    let pipeline = submit(server, branch, "ada").await;
    server.claim(token).await.unwrap().finish(outcome).await;
    pipeline
}

async fn targets(server: &Harness) -> Vec<NotifyTargetItem> {
    server.get::<Items<NotifyTargetItem>>(TARGETS).await.items
}

/// A server with a class and a project. Returns its runner token.
async fn start() -> (Harness, String) {
    let server = Harness::start().await;
    let token = server.class().await;
    run(&server, &token, "main", Outcome::Success).await;
    (server, token)
}

#[tokio::test]
async fn a_webhook_gets_circlecis_payloads_signed_with_the_secret_that_was_given() {
    let (server, token) = start().await;
    let (hook, url) = Receiver::start().await;
    let made = add(
        &server,
        json!({"name": "hook", "kind": "webhook", "address": url, "signing_secret": "hunter2",
            "events": ["workflow-completed", "job-completed"]}),
    )
    .await;
    assert!(made.signing_secret.is_none(), "it is not shown again");
    let pipeline = run(&server, &token, "main", Outcome::Failed).await;
    // No round of time is needed: the commit wakes the one who delivers.
    let wait = async {
        while hook.count() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::LIMIT, wait).await.unwrap();
    let mut messages: Vec<Value> = (0..2).map(|number| hook.message(number)).collect();
    messages.sort_by_key(|message| message["type"].to_string());
    let [job, workflow] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(workflow["type"], "workflow-completed");
    assert_eq!(workflow["workflow"]["status"], "failed");
    assert_eq!(workflow["workflow"]["name"], "main");
    assert_eq!(workflow["webhook"], json!({"id": made.target.id, "name": "hook"}));
    assert_eq!(workflow["project"]["slug"], "github/acme/app");
    assert_eq!(workflow["organization"]["name"], "acme");
    assert_eq!(workflow["pipeline"]["number"], 2);
    assert_eq!(workflow["pipeline"]["id"], json!(pipeline.id));
    assert_eq!(workflow["pipeline"]["vcs"]["branch"], "main");
    assert_eq!(job["type"], "job-completed");
    assert_eq!((&job["job"]["name"], &job["job"]["status"]), (&json!("one"), &json!("failed")));
    for (headers, body) in hook.taken.lock().unwrap().iter() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"hunter2").unwrap();
        mac.update(body);
        let digest: String =
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(headers["circleci-signature"], format!("v1={digest}"));
        let message: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(headers["circleci-event-type"], message["type"].as_str().unwrap());
        assert!(headers["user-agent"].to_str().unwrap().contains("CircleCI-Webhook/1.0"));
    }
}

#[tokio::test]
async fn a_target_of_changes_hears_when_a_branch_breaks_and_when_it_is_well_again() {
    let (server, token) = start().await;
    let (changes, url) = Receiver::start().await;
    let body = json!({"name": "a", "kind": "slack", "address": url, "on": "change"});
    add(&server, body).await;
    let (failures, url) = Receiver::start().await;
    let body = json!({"name": "b", "kind": "webhook", "address": url, "on": "failure"});
    add(&server, body).await;
    use Outcome::{Canceled, Failed, Success};
    for outcome in [Success, Failed, Failed, Canceled, Success, Success] {
        run(&server, &token, "main", outcome).await;
    }
    run(&server, &token, "other", Failed).await;
    until(&server, || changes.count() >= 3 && failures.count() >= 3).await;
    assert_eq!((changes.count(), failures.count()), (3, 3));
    let mut texts: Vec<String> = (0..3)
        .map(|number| changes.message(number)["text"].as_str().unwrap().to_owned())
        .map(|text| text.lines().next().unwrap().to_owned())
        .collect();
    texts.sort();
    assert_eq!(
        texts,
        [
            "acme/app#3 on main: the workflow `main` failed; before, it succeeded.",
            "acme/app#6 on main: the workflow `main` succeeded; before, it failed.",
            "acme/app#8 on other: the workflow `main` failed.",
        ]
    );
}

#[tokio::test]
async fn a_server_that_is_stopped_before_the_delivery_sends_the_event_later_and_once() {
    let (server, token) = start().await;
    let (hook, url) = Receiver::start().await;
    *hook.refusals.lock().unwrap() = 1;
    add(&server, json!({"name": "hook", "kind": "webhook", "address": url})).await;
    run(&server, &token, "main", Outcome::Success).await;
    let server = server.restart().await;
    until(&server, || hook.count() > 0).await;
    // Rounds that could send it again.
    for _ in 0..5 {
        until(&server, || true).await;
    }
    assert_eq!(hook.count(), 1);
    let stored = server.dir.count("SELECT count(*) FROM outbox").await;
    assert_eq!(stored, 1);
}

#[tokio::test]
async fn a_person_hears_of_their_own_pipelines_and_a_target_that_is_removed_of_nothing_more() {
    let (server, token) = start().await;
    let (hook, url) = Receiver::start().await;
    add(&server, json!({"name": "ben", "kind": "webhook", "address": url, "author": "ben"})).await;
    run(&server, &token, "main", Outcome::Success).await;
    submit(&server, "main", "ben").await;
    server.claim(&token).await.unwrap().finish(Outcome::Success).await;
    until(&server, || hook.count() > 0).await;
    assert_eq!(hook.count(), 1);
    assert_eq!(hook.message(0)["russet"]["author"], "ben");

    *hook.refusals.lock().unwrap() = u32::MAX;
    submit(&server, "main", "ben").await;
    server.claim(&token).await.unwrap().finish(Outcome::Success).await;
    assert_eq!(targets(&server).await[0].waiting, 1);
    ok(server.as_admin(Method::DELETE, &format!("{TARGETS}/ben"))).await;
    assert_eq!(server.dir.count("SELECT count(*) FROM outbox WHERE done_ms IS NULL").await, 0);
    assert_eq!(targets(&server).await, []);
}

#[tokio::test]
async fn an_alert_goes_to_no_target_of_a_project_and_an_event_to_none_of_alerts() {
    let (server, token) = start().await;
    let (project, url) = Receiver::start().await;
    add(&server, json!({"name": "hook", "kind": "webhook", "address": url})).await;
    let (alerts, url) = Receiver::start().await;
    let body = json!({"name": "ops", "kind": "webhook", "address": url});
    ok(server.as_admin(Method::POST, "/api/v3/alert-targets").json(&body)).await;
    let listed: Items<Value> = server.get("/api/v3/alert-targets").await;
    assert_eq!(listed.items.len(), 1);
    let body = json!({"name": "sick", "machine": {"state": "unhealthy", "reason": "no room"}});
    let call = server.call(Method::POST, "/api/v3/runner/report").bearer_auth(&token);
    ok(call.json(&body)).await;
    run(&server, &token, "main", Outcome::Success).await;
    until(&server, || alerts.count() > 0 && project.count() > 0).await;
    assert_eq!(project.message(0)["type"], "workflow-completed");
    assert_eq!((project.count(), alerts.message(0)["type"].clone()), (1, json!("alerts.changed")));
}

#[tokio::test]
async fn addresses_are_secrets_and_those_that_are_no_receivers_are_refused() {
    let (server, _token) = start().await;
    let (hook, url) = Receiver::start().await;
    let made = add(&server, json!({"name": "hook", "kind": "webhook", "address": url})).await;
    let secret = made.signing_secret.unwrap();
    let listed = ok(server.as_admin(Method::GET, TARGETS)).await.text().await.unwrap();
    assert!(!listed.contains("secret-path") && !listed.contains(secret.expose()), "{listed}");
    let try_to_add = |body: Value| server.as_admin(Method::POST, TARGETS).json(&body);
    refused(try_to_add(json!({"name": "hook", "kind": "slack", "address": url})), 409).await;
    for body in [
        json!({"name": "a b", "kind": "webhook", "address": url}),
        json!({"name": "a", "kind": "webhook", "address": "http://169.254.169.254/latest"}),
        json!({"name": "a", "kind": "webhook", "address": "file:///etc/passwd"}),
        json!({"name": "a", "kind": "slack", "address": url, "signing_secret": "x"}),
        json!({"name": "a", "kind": "webhook", "address": url, "signing_secret": ""}),
        json!({"name": "a", "kind": "mail", "address": "ops@example.com"}),
    ] {
        refused(try_to_add(body), 400).await;
    }
    let other = "/api/v3/projects/acme%2Fother/notifications";
    let body = json!({"name": "a", "kind": "webhook", "address": url});
    refused(server.as_admin(Method::POST, other).json(&body), 404).await;

    let request = server.as_admin(Method::POST, &format!("{TARGETS}/hook/test"));
    let tested: TestedTarget = ok(request).await.json().await.unwrap();
    assert_eq!(tested.failure, None);
    assert_eq!(hook.message(0)["type"], "ping");
    assert_eq!(hook.message(0)["webhook"]["name"], "hook");
    refused(server.as_admin(Method::POST, &format!("{TARGETS}/other/test")), 404).await;

    // The project takes its targets along.
    let delete = server.as_admin(Method::DELETE, "/api/v3/projects/acme%2Fapp");
    assert_eq!(delete.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(server.dir.count("SELECT count(*) FROM alert_targets").await, 0);
}
