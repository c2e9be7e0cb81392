//! Statuses at Gitea and Forgejo: the same calls as those of a client that is generated from Gitea's description.

use reqwest::Method;
use russet_protocol::outcome::Outcome;
use serde_json::{Value, json};

use crate::commit_statuses::{JOB, push, run, settled, start, token};
use crate::git_projects::{Repository, connect};
use crate::github_host::{Called, Fault, GithubHost, description_folder};
use crate::support::ok;

const PATH: &str = "/api/v3/projects/acme%2Fapp/connection";

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_green_at_gitea_by_the_calls_that_its_own_client_makes() {
    let Some(folder) = description_folder() else { return };
    let repository = Repository::new();
    let host = GithubHost::start().await;
    host.be_gitea();
    let harness = start().await;
    let runner = token(&harness).await;
    let url = format!("file://{}/app.git", repository.root().display());
    let api = format!("{}/api/v1", host.url);
    connect(
        &harness,
        json!({"url": url, "host_kind": "gitea", "api_url": api, "token": "token-1"}),
    )
    .await;
    // One that arrived is not sent again, although its name has others in the same second.
    host.fail(Method::POST, [Fault::DoneThenCut]);
    let revision = push(&harness, &repository, 1).await;
    run(&harness, &runner, Outcome::Success).await;
    let of = settled(&harness).await;
    assert!(
        !of.statuses.is_empty() && of.statuses.iter().all(|of| of.is_sent),
        "{:?}",
        of.statuses
    );
    let words = host.words(JOB);
    assert!(words.last().unwrap().starts_with("success: Succeeded"), "{words:?}");

    let ours = host.calls();
    let sent = ours.iter().rfind(|call| call.method == "POST").unwrap().clone();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/gitea_client.mjs");
    let done = std::process::Command::new("node")
        .arg(script)
        .arg(folder)
        .args([&host.url, &revision, &sent.body.to_string()])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let calls = host.calls();
    let theirs = calls.get(ours.len()..).unwrap();
    let shape = |call: &Called| {
        let path = call.path.split('/').collect::<Vec<_>>();
        // Ours is below a directory of the test.
        let rest = path.get(6..).unwrap_or_default().join("/");
        (call.method.clone(), rest, call.body.clone())
    };
    let ours: Vec<_> = ours.iter().map(shape).collect();
    let theirs: Vec<_> =
        theirs.iter().filter(|call| call.path.contains("/repos/")).map(shape).collect();
    assert_eq!(theirs.len(), 3);
    for call in theirs {
        assert!(ours.contains(&call), "{call:?} is not among {ours:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gitea_is_found_by_asking() {
    let host = GithubHost::start().await;
    host.be_gitea();
    let harness = start().await;
    let wish = json!({"url": format!("{}/acme/app", host.url)});
    let of: Value = ok(harness.as_admin(Method::PUT, PATH).json(&wish)).await.json().await.unwrap();
    assert_eq!(of["host_kind"], "gitea");
    assert_eq!(of["api_url"], format!("{}/api/v1", host.url));
}
