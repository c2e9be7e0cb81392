//! Updates of runners: releases in a directory, and classes that are pinned.

use std::path::Path;

use reqwest::Method;
use russet_protocol::admin::{Items, ResourceClassItem, RunnerItem};
use russet_protocol::local::Update;
use serde_json::{Value, json};

use crate::support::{Harness, ok, refused};

/// Puts a release into the server's directory, as its owner does.
pub(crate) fn put_release(server: &Harness, version: &str, channel: &str) {
    let directory = server.dir.path().join("data/releases").join(version);
    std::fs::create_dir_all(&directory).unwrap();
    let archive = json!({"file": "a.tar.gz", "size": 10, "sha256": "00"});
    let payload = json!({
        "schema": 1, "channel": channel, "version": version, "counter": 1, "created_s": 1,
        "expires_s": 2, "artifacts": {"linux-x86_64": archive, "macos-universal": archive},
    });
    let envelope = json!({"payload": payload.to_string(), "signatures": []});
    std::fs::write(directory.join("manifest.json"), envelope.to_string()).unwrap();
    std::fs::write(directory.join("a.tar.gz"), format!("bytes of {version}")).unwrap();
    std::fs::write(directory.join("release.key"), "private").unwrap();
}

/// The version that the runner `mini-1` is offered.
async fn offered(server: &Harness) -> String {
    let path = "/api/v3/updates/mini-1/manifest.json";
    let envelope: Value = ok(server.call(Method::GET, path)).await.json().await.unwrap();
    let payload: Value = serde_json::from_str(envelope["payload"].as_str().unwrap()).unwrap();
    payload["version"].as_str().unwrap().to_owned()
}

async fn pin_path(server: &Harness) -> String {
    let classes: Items<ResourceClassItem> = server.get("/api/v3/runner/resource?org-id=any").await;
    format!("/api/v3/runner/resource/{}/pin", classes.items[0].id)
}

#[tokio::test]
async fn a_runner_is_offered_the_newest_release_or_what_its_class_is_pinned_to() {
    let server = Harness::start().await;
    let token = server.class().await;
    for (version, channel) in [("1.9.0", "stable"), ("1.10.0", "stable"), ("2.0.0", "beta")] {
        put_release(&server, version, channel);
    }
    let manifest = || server.call(Method::GET, "/api/v3/updates/mini-1/manifest.json");
    refused(manifest(), 404).await;
    ok(server.claim_request(&token, 0)).await;
    assert_eq!(offered(&server).await, "1.10.0");
    let path = pin_path(&server).await;
    for (pin, version) in
        [(json!({"version": "1.9.0"}), "1.9.0"), (json!({"channel": "beta"}), "2.0.0")]
    {
        let answer = ok(server.as_admin(Method::PUT, &path).json(&pin)).await;
        let answer: Value = answer.json().await.unwrap();
        assert_eq!((&answer["offers"], &answer["class"]["pin"]), (&json!(version), &pin));
        assert_eq!(offered(&server).await, version);
    }
    let header = ok(manifest()).await.headers().get("russet-pin").cloned();
    assert_eq!(header.unwrap(), r#"{"channel":"beta"}"#);
    let missing = json!({"version": "3.0.0"});
    let answer = ok(server.as_admin(Method::PUT, &path).json(&missing)).await;
    assert_eq!(answer.json::<Value>().await.unwrap()["offers"], Value::Null);
    let none = manifest().send().await.unwrap();
    assert_eq!(none.status(), 404);
    assert_eq!(none.headers()["russet-pin"], r#"{"version":"3.0.0"}"#);
    put_release(&server, "3.0.0", "stable");
    assert_eq!(offered(&server).await, "3.0.0");
    ok(server.as_admin(Method::DELETE, &path)).await;
    assert_eq!(offered(&server).await, "3.0.0");
    assert!(ok(manifest()).await.headers().get("russet-pin").is_none());
    for bad in
        [json!({"version": "new"}), json!({"channel": "a b"}), json!({"tag": "x"}), json!({})]
    {
        refused(server.as_admin(Method::PUT, &path).json(&bad), 400).await;
    }
    refused(server.call(Method::PUT, &path).json(&missing), 404).await;
}

#[tokio::test]
async fn archives_are_resumed_and_nothing_else_of_a_release_is_given_away() {
    let server = Harness::start().await;
    ok(server.claim_request(&server.class().await, 0)).await;
    put_release(&server, "1.9.0", "stable");
    let get = |file: &str| server.call(Method::GET, &format!("/api/v3/updates/mini-1/{file}"));
    assert_eq!(ok(get("a.tar.gz")).await.text().await.unwrap(), "bytes of 1.9.0");
    let rest = ok(get("a.tar.gz").header("range", "bytes=9-")).await;
    assert_eq!(rest.status(), 206);
    assert_eq!(rest.headers()["content-range"], "bytes 9-13/14");
    assert_eq!(rest.text().await.unwrap(), "1.9.0");
    refused(get("a.tar.gz").header("range", "bytes=14-"), 416).await;
    for other in ["release.key", "b.tar.gz", "..%2F..%2Fadmin.token", "%2e%2e%2fmanifest.json"] {
        refused(get(other), 404).await;
    }
    refused(server.call(Method::GET, "/api/v3/updates/other/a.tar.gz"), 404).await;
}

#[tokio::test]
async fn what_is_no_release_is_passed_over() {
    let server = Harness::start().await;
    ok(server.claim_request(&server.class().await, 0)).await;
    put_release(&server, "1.9.0", "stable");
    let directory = |name: &str| {
        let path = server.dir.path().join("data/releases").join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    let write =
        |path: &Path, text: &[u8]| std::fs::write(path.join("manifest.json"), text).unwrap();
    directory("empty");
    write(&directory("broken"), b"{\"payload\": \"{\"");
    write(&directory("large"), &vec![b' '; 300 * 1024]);
    std::fs::create_dir_all(directory("odd").join("manifest.json")).unwrap();
    std::fs::write(server.dir.path().join("data/releases/README"), "x").unwrap();
    assert_eq!(offered(&server).await, "1.9.0");
}

#[tokio::test]
async fn how_far_an_update_is_is_listed_with_its_runner() {
    let server = Harness::start().await;
    let token = server.class().await;
    let claim = |update: Value| {
        server.call(Method::POST, "/api/v3/runner/claim").bearer_auth(&token).json(&json!({
            "name": "mini-1", "version": "1.2.0", "update": update,
        }))
    };
    let listed = async || {
        let runners: Items<RunnerItem> = server.get("/api/v3/runner?namespace=acme").await;
        runners.items[0].update.clone()
    };
    ok(claim(json!({"state": "downloading", "version": "1.3.0", "percent": 40}))).await;
    let update = Update::Downloading { version: "1.3.0".to_owned(), percent: 40 };
    assert_eq!(listed().await, Some(update));
    ok(claim(json!({"state": "teleporting"}))).await;
    assert_eq!(listed().await, Some(Update::Unknown));
    ok(claim(json!({"state": "failed", "why": "x".repeat(10_000)}))).await;
    assert_eq!(listed().await, None);
}
