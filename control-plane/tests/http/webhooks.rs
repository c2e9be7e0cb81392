//! Webhooks of GitHub: pushes, and everything that is not authentic.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use russet_protocol::admin::{Items, Pipeline};
use russet_protocol::projects::TriggerState;
use russet_protocol::webhooks::{DeliveryItem, DeliveryOutcome, WebhookSetup};
use serde_json::{Value, json};

use crate::git_projects::{
    Repository, connect, details, git, pipelines, start, wait_for_ended, wait_until,
};
use crate::octokit::{Hook, Octokit, WEBHOOK, ZEROS, send};
use crate::support::{Harness, ok, refused};

const DELIVERIES: &str = "/api/v3/projects/acme%2Fapp/deliveries";

/// A day without polls: what is heard is heard by webhooks.
const RARELY: u64 = 24 * 3_600_000;

fn head(repository: &Repository) -> String {
    git(&repository.work(), &["rev-parse", "HEAD"])
}

async fn begin(repository: &Repository) -> Harness {
    let harness = start(|_| {}).await;
    connect(&harness, json!({"url": repository.url(), "poll_ms": RARELY})).await;
    harness
}

/// Commits and pushes. Returns the payload that GitHub would send.
async fn push(hook: &Hook<'_>, repository: &Repository, message: &str) -> Value {
    let before = head(repository);
    let after = repository.commit(message);
    repository.push("main");
    hook.push("refs/heads/main", &before, &after).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_built_once_however_often_it_is_delivered_and_polled() {
    let Some(octokit) = Octokit::start() else { return };
    let repository = Repository::new();
    let harness = begin(&repository).await;
    let hook = Hook::set_up(&octokit, &harness, &repository.url()).await;
    let payload = push(&hook, &repository, "second").await;
    let id = octokit.new_id();
    let first = hook.deliver(&harness, ("push", &id), &payload).await;
    assert_eq!((&*first.project, first.outcome), ("acme/app", DeliveryOutcome::Noted));
    let of = wait_for_ended(&harness, 1).await;
    let trigger = &of.triggers[0];
    assert_eq!((trigger.state, &*trigger.kind), (TriggerState::Built, "push"), "{trigger:?}");
    assert_eq!(trigger.revision, head(&repository));
    let id_of_pipeline = trigger.pipeline.clone().unwrap();
    let pipeline: Pipeline = harness.get(&format!("/api/v3/pipelines/{id_of_pipeline}")).await;
    assert_eq!(pipeline.branch.as_deref(), Some("main"));
    // Replayed, delivered again under another id, and polled: nothing more.
    let again = hook.deliver(&harness, ("push", &id), &payload).await;
    assert!(again.message.starts_with("it was here before"), "{again:?}");
    assert_eq!(hook.tell(&harness, "push", &payload).await, DeliveryOutcome::Noted);
    poll(&harness).await;
    assert_eq!(details(&harness).await.triggers.len(), 1);
    assert_eq!(pipelines(&harness).await.len(), 1);
    let log: Items<DeliveryItem> = harness.get(DELIVERIES).await;
    assert_eq!(log.items.len(), 2);
    assert!(log.items.iter().all(|it| it.event == "push" && it.has_payload));
}

/// Polls, and waits for the end of it.
async fn poll(harness: &Harness) {
    let before = details(harness).await.connection.last_poll;
    harness.clock.advance(Duration::from_secs(1));
    crate::git_projects::poll(harness).await;
    wait_until(harness, |of| of.connection.last_poll != before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_push_moves_nothing_back_and_a_lost_one_is_made_up_for() {
    let Some(octokit) = Octokit::start() else { return };
    let repository = Repository::new();
    let harness = begin(&repository).await;
    let hook = Hook::set_up(&octokit, &harness, &repository.url()).await;
    let first = push(&hook, &repository, "second").await;
    let second = push(&hook, &repository, "third").await;
    // The first one is lost: the remote is asked, and has the newest.
    assert_eq!(hook.tell(&harness, "push", &second).await, DeliveryOutcome::Asked);
    let of = wait_for_ended(&harness, 1).await;
    assert_eq!(of.triggers[0].revision, head(&repository));
    // It comes late, after all.
    let since = of.connection.last_poll;
    harness.clock.advance(Duration::from_secs(1));
    assert_eq!(hook.tell(&harness, "push", &first).await, DeliveryOutcome::Asked);
    let of = wait_until(&harness, |of| of.connection.last_poll != since).await;
    assert_eq!(of.triggers.len(), 1, "{:?}", of.triggers);
    // One whose commit before is another than the true one changes nothing either.
    let lie = hook.push("refs/heads/main", &"ab".repeat(20), &"cd".repeat(20)).await;
    assert_eq!(hook.tell(&harness, "push", &lie).await, DeliveryOutcome::Asked);
    poll(&harness).await;
    assert_eq!(details(&harness).await.triggers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_quicker_than_a_copy_of_the_repository_is_believed_a_moment_longer() {
    let Some(octokit) = Octokit::start() else { return };
    let repository = Repository::new();
    let harness = begin(&repository).await;
    let hook = Hook::set_up(&octokit, &harness, &repository.url()).await;
    let before = head(&repository);
    let after = repository.commit("second");
    let payload = hook.push("refs/heads/main", &before, &after).await;
    assert_eq!(hook.tell(&harness, "push", &payload).await, DeliveryOutcome::Noted);
    wait_until(&harness, |of| of.triggers[0].message.is_some()).await;
    // What is listed meanwhile is of before, and moves nothing back.
    poll(&harness).await;
    assert_eq!(details(&harness).await.triggers.len(), 1);
    repository.push("main");
    harness.clock.advance(Duration::from_secs(6));
    let of = wait_for_ended(&harness, 1).await;
    assert_eq!((of.triggers[0].state, &of.triggers[0].revision), (TriggerState::Built, &after));
    poll(&harness).await;
    harness.clock.advance(Duration::from_secs(60));
    poll(&harness).await;
    assert_eq!(details(&harness).await.triggers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_come_and_go_and_annotated_tags_stand_for_their_commits() {
    let Some(octokit) = Octokit::start() else { return };
    let repository = Repository::new();
    let harness = begin(&repository).await;
    let hook = Hook::set_up(&octokit, &harness, &repository.url()).await;
    let commit = head(&repository);
    git(&repository.work(), &["branch", "next"]);
    repository.push("next");
    let made = hook.push("refs/heads/next", ZEROS, &commit).await;
    assert_eq!(hook.tell(&harness, "push", &made).await, DeliveryOutcome::Noted);
    wait_for_ended(&harness, 1).await;
    git(&repository.work(), &["tag", "-a", "v1", "-m", "release"]);
    repository.push("v1");
    let tag = git(&repository.work(), &["rev-parse", "v1"]);
    let mut tagged = hook.push("refs/tags/v1", ZEROS, &tag).await;
    tagged["head_commit"]["id"] = json!(commit);
    assert_eq!(hook.tell(&harness, "push", &tagged).await, DeliveryOutcome::Noted);
    let of = wait_for_ended(&harness, 2).await;
    assert_eq!(
        of.triggers.iter().find(|of| of.reference == "refs/tags/v1").unwrap().revision,
        commit
    );
    git(&repository.work(), &["push", "--quiet", "origin", ":next"]);
    let gone = hook.push("refs/heads/next", &commit, ZEROS).await;
    let noted = hook.deliver(&harness, ("push", &octokit.new_id()), &gone).await;
    assert_eq!((noted.outcome, &*noted.message), (DeliveryOutcome::Noted, "it was deleted"));
    // Made anew at the same commit, which is another cause; the poll finds nothing to add.
    repository.push("next");
    assert_eq!(hook.tell(&harness, "push", &made).await, DeliveryOutcome::Noted);
    wait_for_ended(&harness, 3).await;
    poll(&harness).await;
    assert_eq!(details(&harness).await.triggers.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_authentic_is_answered_the_same_and_leaves_nothing() {
    let Some(octokit) = Octokit::start() else { return };
    let repository = Repository::new();
    let harness = begin(&repository).await;
    let hook = Hook::set_up(&octokit, &harness, &repository.url()).await;
    let payload = push(&hook, &repository, "second").await;
    let body = payload.to_string();
    let good = octokit.sign(&hook.secret, &body).await;
    let other = octokit.sign("a secret of another project", &body).await;
    let of_nothing = octokit.sign("x", &body).await;
    let elsewhere = Hook {
        url: "https://github.com/other/app.git".to_owned(),
        secret: hook.secret.clone(),
        octokit: &octokit,
    };
    let foreign = elsewhere.ours(payload.clone()).to_string();
    let foreign_good = octokit.sign(&hook.secret, &foreign).await;
    let of_none = json!({"zen": "x"}).to_string();
    let mut answers = Vec::new();
    for (body, signature) in [
        (&body, None),
        (&body, Some("")),
        (&body, Some("sha256=")),
        (&body, Some(other.as_str())),
        (&body, Some(of_nothing.as_str())),
        (&body, good.get(..good.len() - 2)),
        (&body, good.strip_prefix("sha256=")),
        (&body.replacen("refs/heads/main", "refs/heads/evil", 1), Some(good.as_str())),
        (&foreign, Some(foreign_good.as_str())),
        (&of_none, Some(other.as_str())),
        (&"{".repeat(100_000), Some(good.as_str())),
        (&String::new(), Some(good.as_str())),
    ] {
        let call = send(&harness, ("push", &octokit.new_id()), body.clone());
        // One by SHA-1 alone is none.
        let call = call.header("x-hub-signature", "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6");
        let call =
            signature.into_iter().fold(call, |call, text| call.header("x-hub-signature-256", text));
        answers.push(refused(call, 401).await);
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
    let log: Items<DeliveryItem> = harness.get(DELIVERIES).await;
    assert!(log.items.is_empty() && details(&harness).await.triggers.is_empty());
    // Too large: refused before it is read.
    let large = send(&harness, ("push", "1"), "x".repeat((5 << 20) + 1));
    refused(large.header("x-hub-signature-256", &good), 413).await;
    // The right one is taken after all of that, in a form too; without an id it is not.
    let call = send(&harness, ("push", ""), body.clone()).header("x-hub-signature-256", &good);
    refused(call, 400).await;
    let form = format!("payload={}", russet_text::encode_segment(&body));
    let signature = octokit.sign(&hook.secret, &form).await;
    let call = harness
        .call(Method::POST, "/webhooks/github")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-github-event", "push")
        .header("x-github-delivery", octokit.new_id())
        .header("x-hub-signature-256", signature)
        .body(form);
    ok(call).await;
    wait_for_ended(&harness, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_commits_that_are_none_fail_and_can_be_delivered_again() {
    let Some(octokit) = Octokit::start() else { return };
    let repository = Repository::new();
    let harness = begin(&repository).await;
    let hook = Hook::set_up(&octokit, &harness, &repository.url()).await;
    let commit = head(&repository);
    for name in ["refs/heads/a\nb", "refs/heads/--upload-pack=x", "refs/heads/\u{1b}[2J", "main"] {
        let payload = hook.push(name, ZEROS, &commit).await;
        assert_eq!(
            hook.tell(&harness, "push", &payload).await,
            DeliveryOutcome::Failed,
            "{name:?}"
        );
    }
    for hash in ["x", "--output=/tmp/x", "0123456789abcdef"] {
        let payload = hook.push("refs/heads/main", &commit, hash).await;
        assert_eq!(hook.tell(&harness, "push", &payload).await, DeliveryOutcome::Failed, "{hash}");
    }
    assert!(details(&harness).await.triggers.is_empty());
    // What failed is taken when it comes again under the same id, as GitHub delivers it again.
    let id = octokit.new_id();
    let wrong = hook.push("refs/heads/main", &commit, "x").await;
    assert_eq!(
        hook.deliver(&harness, ("push", &id), &wrong).await.outcome,
        DeliveryOutcome::Failed
    );
    let right = push(&hook, &repository, "second").await;
    assert_eq!(hook.deliver(&harness, ("push", &id), &right).await.outcome, DeliveryOutcome::Noted);
    wait_for_ended(&harness, 1).await;
    // And once more by hand: what was caused is not caused again.
    let path = format!("{DELIVERIES}/{id}/redeliver");
    ok(harness.as_admin(Method::POST, &path)).await;
    assert_eq!(details(&harness).await.triggers.len(), 1);
    refused(harness.as_admin(Method::POST, &format!("{DELIVERIES}/nothing/redeliver")), 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_community_is_answered() {
    let Some(octokit) = Octokit::start() else { return };
    let repository = Repository::new();
    let harness = begin(&repository).await;
    let hook = Hook::set_up(&octokit, &harness, &repository.url()).await;
    let events = ["ping", "push", "create", "delete", "pull_request", "check_run", "check_suite"];
    for event in events.into_iter().chain(["issue_comment", "status", "workflow_run", "release"]) {
        for example in octokit.examples(event).await {
            let payload = hook.ours(example);
            let outcome = hook.tell(&harness, event, &payload).await;
            // The commits of the examples are none of this repository.
            let expected = match event {
                "push" => DeliveryOutcome::Asked,
                _ if payload["action"] == "closed" => DeliveryOutcome::Noted,
                _ => DeliveryOutcome::Ignored,
            };
            // Tags that are made are new here, and those that are deleted were never here.
            let fits =
                event == "push" && (payload["created"] == true || payload["deleted"] == true);
            let expected = if fits { DeliveryOutcome::Noted } else { expected };
            assert_eq!(outcome, expected, "{event} {}", payload["action"]);
        }
    }
    // An App's ping is about no repository.
    let ping = json!({"zen": "Half measures are as bad as nothing at all.", "hook_id": 1});
    ok(hook.request(&harness, ("ping", &octokit.new_id()), &ping).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_shown_once_sealed_turned_and_taken_away() {
    let Some(octokit) = Octokit::start() else { return };
    let repository = Repository::new();
    let harness = begin(&repository).await;
    let hook = Hook::set_up(&octokit, &harness, &repository.url()).await;
    let again: WebhookSetup =
        ok(harness.as_admin(Method::PUT, WEBHOOK).json(&json!({}))).await.json().await.unwrap();
    assert!(again.secret.is_none() && again.path == "/webhooks/github");
    assert!(details(&harness).await.connection.webhook_ms.is_some());
    let bytes = harness.dir.stored_bytes();
    let secret = hook.secret.as_bytes();
    assert!(!bytes.windows(secret.len()).any(|part| part == secret), "it is sealed");
    let ping = hook.ours(octokit.examples("ping").await.remove(0));
    ok(hook.request(&harness, ("ping", "1"), &ping).await).await;
    // Connected anew, the host's secret still holds; turned, it does not.
    connect(&harness, json!({"url": repository.url(), "poll_ms": RARELY})).await;
    ok(hook.request(&harness, ("ping", "2"), &ping).await).await;
    ok(harness.as_admin(Method::PUT, WEBHOOK).json(&json!({"rotate": true}))).await;
    refused(hook.request(&harness, ("ping", "3"), &ping).await, 401).await;
    let given = json!({"secret": hook.secret});
    let given: WebhookSetup =
        ok(harness.as_admin(Method::PUT, WEBHOOK).json(&given)).await.json().await.unwrap();
    assert!(given.secret.is_none(), "whoever gave it has it");
    ok(hook.request(&harness, ("ping", "4"), &ping).await).await;
    for wrong in ["short", "with a\nline feed in it", &"x".repeat(300)] {
        refused(harness.as_admin(Method::PUT, WEBHOOK).json(&json!({"secret": wrong})), 400).await;
    }
    ok(harness.as_admin(Method::DELETE, WEBHOOK)).await;
    refused(hook.request(&harness, ("ping", "5"), &ping).await, 401).await;
    let nobody = harness.call(Method::PUT, WEBHOOK).json(&json!({})).send().await.unwrap();
    assert_ne!(nobody.status(), StatusCode::OK);
}
