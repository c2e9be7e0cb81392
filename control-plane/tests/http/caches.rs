//! Caches and workspaces, as task agents store and find them.

use std::time::Duration;

use reqwest::Method;
use russet_protocol::outcome::Outcome;
use russet_protocol::storage::{
    ARCHIVES_PATH, CACHE_LOOKUP_PATH, CACHES_PATH, CacheLookupResponse, SaveCacheResponse,
    Uploaded, WORKSPACE_PATH, Workspace,
};
use serde_json::json;

use crate::support::{Agent, Harness, ONE_JOB, ok, refused, workflow};

async fn upload(agent: &Agent, bytes: &[u8]) -> Uploaded {
    let request = agent.call(Method::PUT, ARCHIVES_PATH).body(bytes.to_vec());
    let uploaded: Uploaded = ok(request).await.json().await.unwrap();
    assert_eq!(uploaded.blake3, blake3::hash(bytes).to_hex().to_string());
    uploaded
}

fn save_request(agent: &Agent, key: &str, archive: &Uploaded) -> reqwest::RequestBuilder {
    let allocation = &agent.claim.allocation;
    let body =
        json!({ "allocation": allocation, "key": key, "archive": archive, "paths": ["~/x"] });
    agent.call(Method::POST, CACHES_PATH).json(&body)
}

async fn save(agent: &Agent, key: &str, bytes: &[u8]) -> bool {
    let archive = upload(agent, bytes).await;
    let answer: SaveCacheResponse =
        ok(save_request(agent, key, &archive)).await.json().await.unwrap();
    answer.is_stored
}

async fn found(agent: &Agent, keys: &[&str]) -> Option<(String, Vec<u8>)> {
    let request = agent.call(Method::POST, CACHE_LOOKUP_PATH).json(&json!({ "keys": keys }));
    let answer: CacheLookupResponse = ok(request).await.json().await.unwrap();
    let cache = answer.cache?;
    let path = format!("{CACHES_PATH}/{}/archive", cache.id);
    let archive = ok(agent.call(Method::GET, &path)).await.bytes().await.unwrap();
    assert_eq!(archive.len() as u64, cache.size);
    Some((cache.key, archive.to_vec()))
}

/// Counts the archives that are stored.
fn archives(server: &Harness) -> usize {
    server.dir.objects("archives/").len()
}

#[tokio::test]
async fn a_cache_has_the_hash_that_the_server_computed() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let archive = upload(&agent, b"bytes").await;
    let other = blake3::hash(b"other").to_hex().to_string();
    let claimed = Uploaded { blake3: other.clone(), ..archive.clone() };
    refused(save_request(&agent, "key", &claimed), 400).await;
    let (name, _) = archive.upload.rsplit_once('-').unwrap();
    let forged = Uploaded { upload: format!("{name}-{other}"), ..claimed };
    refused(save_request(&agent, "key", &forged), 400).await;
    ok(save_request(&agent, "key", &archive)).await;
}

#[tokio::test]
async fn a_cache_is_found_by_what_its_key_begins_with_and_never_replaced() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    for (key, text) in
        [("a-1", "one"), ("a-2", "two"), ("b", "three"), ("a_", "four"), ("ä", "five")]
    {
        assert!(save(&agent, key, text.as_bytes()).await);
    }
    assert!(!save(&agent, "a-1", b"other").await);
    for (keys, wanted) in [
        (&["a-"][..], Some("two")),
        (&["a-1"], Some("one")),
        (&["a"], Some("four")),
        (&["%", "_", "b"], Some("three")),
        (&["a-11", "c"], None),
        (&["ä"], Some("five")),
    ] {
        let text = found(&agent, keys).await.map(|(_, text)| String::from_utf8(text).unwrap());
        assert_eq!(text.as_deref(), wanted, "{keys:?}");
    }
    let exact = json!({ "keys": ["a-"], "exact": true });
    let request = agent.call(Method::POST, CACHE_LOOKUP_PATH).json(&exact);
    let answer: CacheLookupResponse = ok(request).await.json().await.unwrap();
    assert_eq!(answer.cache, None);
    assert_eq!(archives(&server), 5, "the one that was not stored is gone");
}

#[tokio::test]
async fn a_replay_of_a_save_says_the_same_and_an_archive_that_is_not_there_is_asked_for_again() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let archive = upload(&agent, b"bytes").await;
    for _ in 0..2 {
        let answer = ok(save_request(&agent, "k", &archive)).await;
        assert!(answer.json::<SaveCacheResponse>().await.unwrap().is_stored);
    }
    let gone = Uploaded { upload: "0190-none".to_owned(), ..archive.clone() };
    refused(save_request(&agent, "l", &gone), 410).await;
    for wrong in [
        Uploaded { upload: "../../../x".to_owned(), ..archive.clone() },
        Uploaded { size: 6, ..archive.clone() },
        Uploaded { blake3: "none".to_owned(), ..archive.clone() },
    ] {
        refused(save_request(&agent, "l", &wrong), 400).await;
    }
    for key in ["", "a\0b", &"k".repeat(901)] {
        refused(save_request(&agent, key, &archive), 400).await;
    }
    agent.finish(Outcome::Success).await;
    refused(save_request(&agent, "m", &archive), 409).await;
}

#[tokio::test]
async fn the_rest_of_an_archive_is_answered() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 253) as u8).collect();
    assert!(save(&agent, "k", &bytes).await);
    let request = agent.call(Method::POST, CACHE_LOOKUP_PATH).json(&json!({ "keys": ["k"] }));
    let answer: CacheLookupResponse = ok(request).await.json().await.unwrap();
    let path = format!("{CACHES_PATH}/{}/archive", answer.cache.unwrap().id);
    let from =
        |offset: usize| agent.call(Method::GET, &path).header("range", format!("bytes={offset}-"));
    let rest = ok(from(2_999_990)).await;
    assert_eq!(rest.status(), 206);
    assert_eq!(rest.bytes().await.unwrap(), bytes[2_999_990..]);
    refused(from(3_000_001), 416).await;
}

#[tokio::test]
async fn what_has_expired_is_not_found_and_its_key_is_free_and_then_it_is_deleted() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let archive = upload(&agent, b"short").await;
    let body = json!({
        "allocation": agent.claim.allocation, "key": "short", "archive": archive,
        "retention_ms": 1000,
    });
    ok(agent.call(Method::POST, CACHES_PATH).json(&body)).await;
    assert!(save(&agent, "long", b"long").await);
    server.clock.advance(Duration::from_secs(2));
    assert_eq!(found(&agent, &["short"]).await, None);
    assert!(found(&agent, &["long"]).await.is_some());
    assert!(save(&agent, "short", b"anew").await);
    assert_eq!(found(&agent, &["short"]).await.unwrap().1, b"anew");
    agent.finish(Outcome::Success).await;
    server.clock.advance(Duration::from_secs(16 * 24 * 3600));
    let gone = async {
        while archives(&server) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::LIMIT, gone).await.expect("archives stay");
}

#[tokio::test]
async fn an_archive_that_nobody_named_does_not_outlive_a_restart() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    assert!(save(&agent, "k", b"kept").await);
    let lost = upload(&agent, b"lost").await;
    let server = server.restart().await;
    if server.dir.has_bucket() {
        // Other servers may be writing there, so it goes with age.
        return;
    }
    assert_eq!(archives(&server), 1);
    let agent = server.agent(agent.claim);
    refused(save_request(&agent, "l", &lost), 410).await;
    assert_eq!(found(&agent, &["k"]).await.unwrap().1, b"kept");
}

#[tokio::test]
async fn a_workspace_has_the_layers_of_the_jobs_before_and_no_others() {
    let server = Harness::start().await;
    let token = server.class().await;
    let jobs: [(&str, &[&str]); 4] = [("a", &[]), ("b", &["a"]), ("x", &[]), ("c", &["b"])];
    server.submit(&workflow(&jobs)).await;
    let mut seen = Vec::new();
    for _ in 0..jobs.len() {
        let agent = server.claim(&token).await.unwrap();
        let name = agent.claim.job.clone().unwrap();
        let workspace = ok(agent.call(Method::GET, WORKSPACE_PATH)).await;
        let workspace: Workspace = workspace.json().await.unwrap();
        let mut shown = format!("{name}:");
        for layer in &workspace.layers {
            let path = format!("{WORKSPACE_PATH}/{}/archive", layer.id);
            let bytes = ok(agent.call(Method::GET, &path)).await.bytes().await.unwrap();
            shown += &format!(" {}={}", layer.job, String::from_utf8_lossy(&bytes));
        }
        seen.push(shown);
        let archive = upload(&agent, name.as_bytes()).await;
        let body = json!({ "allocation": agent.claim.allocation, "archive": archive });
        // The second one is a replay.
        for _ in 0..2 {
            ok(agent.call(Method::POST, WORKSPACE_PATH).json(&body)).await;
        }
        agent.finish(Outcome::Success).await;
    }
    seen.sort();
    assert_eq!(seen, ["a:", "b: a=a", "c: a=a b=b", "x:"]);
}
