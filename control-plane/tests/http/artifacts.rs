//! Artifacts, test results and source snapshots.

use reqwest::Method;
use russet_protocol::admin::{ArtifactItem, Items, TestItems};
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::StoredObject;
use serde_json::json;

use crate::support::{Harness, ONE_JOB, ok, refused, workflow};

#[tokio::test]
async fn artifacts_are_stored_replaced_listed_and_downloaded() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 253) as u8).collect();
    let path = "/api/v3/task/artifacts/dist/a%20b.bin";
    ok(agent.call(Method::PUT, path).body("first")).await;
    let stored = ok(agent.call(Method::PUT, path).body(bytes.clone())).await;
    let stored: StoredObject = stored.json().await.unwrap();
    let hash = blake3::hash(&bytes).to_hex().to_string();
    assert_eq!((stored.size, &stored.blake3), (3_000_000, &hash));
    ok(agent.call(Method::PUT, "/api/v3/task/artifacts/empty").body("")).await;
    agent.finish(Outcome::Success).await;
    let base = format!("/api/v3/jobs/{}/artifacts", pipeline.workflows[0].jobs[0].id);
    let list: Items<ArtifactItem> = server.get(&base).await;
    let paths: Vec<_> = list.items.iter().map(|item| item.path.as_str()).collect();
    assert_eq!(paths, ["dist/a b.bin", "empty"]);
    let whole = ok(server.as_admin(Method::GET, &format!("{base}/dist/a%20b.bin"))).await;
    assert_eq!(whole.headers()["content-disposition"], "attachment");
    assert!(whole.bytes().await.unwrap() == bytes);
    let rest = server
        .as_admin(Method::GET, &format!("{base}/dist/a%20b.bin"))
        .header("range", "bytes=2999990-");
    assert_eq!(ok(rest).await.bytes().await.unwrap(), bytes[2_999_990..]);
    assert!(
        ok(server.as_admin(Method::GET, &format!("{base}/empty")))
            .await
            .bytes()
            .await
            .unwrap()
            .is_empty()
    );
    refused(server.as_admin(Method::GET, &format!("{base}/other")), 404).await;
    assert_eq!(server.job(&pipeline).await.artifacts, 2);
    // The one that was replaced is gone from the disk as well.
    assert_eq!(server.dir.objects("artifacts/").len(), 2);
}

#[tokio::test]
async fn artifact_paths_that_lead_elsewhere_are_refused() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    for path in ["a%2F..%2F..%2Fetc", "%2Fetc%2Fshadow", "a%00b", "a//b", "%ff", &"a".repeat(4097)]
    {
        let path = format!("/api/v3/task/artifacts/{path}");
        refused(agent.call(Method::PUT, &path).body("x"), 400).await;
    }
}

#[tokio::test]
async fn test_results_are_counted_once() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let batch = |number: u32| {
        agent.call(Method::POST, "/api/v3/task/test-results").json(&json!({
            "allocation": agent.claim.allocation, "batch": number,
            "results": [
                {"name": "a", "result": "success", "run_time_s": 0.5},
                {"name": "b", "result": "failure", "message": "no"},
            ],
        }))
    };
    ok(batch(0)).await;
    ok(batch(0)).await;
    ok(batch(1)).await;
    let job = server.job(&pipeline).await;
    assert_eq!(job.tests, [("failure".to_owned(), 2), ("success".to_owned(), 2)].into());
    let path = format!("/api/v3/jobs/{}/tests", job.id);
    assert_eq!(server.get::<TestItems>(&path).await.items.len(), 4);
}

#[tokio::test]
async fn a_submitted_source_reaches_the_task() {
    let server = Harness::start().await;
    let token = server.class().await;
    let bytes = vec![7; 100_000];
    let hash = blake3::hash(&bytes).to_hex().to_string();
    let put = |name: &str| {
        server.as_admin(Method::PUT, &format!("/api/v3/sources/{name}")).body(bytes.clone())
    };
    let submit = || {
        server
            .as_admin(Method::POST, "/api/v3/pipelines")
            .json(&json!({"project": "p", "config": ONE_JOB, "source": hash}))
    };
    refused(submit(), 422).await;
    refused(put(&"0".repeat(64)), 400).await;
    refused(put("..%2fx"), 400).await;
    ok(put(&hash)).await;
    ok(put(&hash)).await;
    ok(submit()).await;
    let agent = server.claim(&token).await.unwrap();
    let back = ok(agent.call(Method::GET, "/api/v3/task/source")).await.bytes().await.unwrap();
    assert_eq!(back, bytes);
}

#[tokio::test]
async fn a_task_that_has_left_something_is_not_put_back() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(&workflow(&[("a", &[]), ("b", &[])])).await;
    for leave_results in [false, true] {
        let agent = server.claim(&token).await.unwrap();
        if leave_results {
            let results = json!({"allocation": agent.claim.allocation, "batch": 0, "results": []});
            ok(agent.call(Method::POST, "/api/v3/task/test-results").json(&results)).await;
        } else {
            ok(agent.call(Method::PUT, "/api/v3/task/artifacts/a").body("x")).await;
        }
        let back = json!({
            "task_id": agent.claim.task_id, "task_token": agent.claim.task_token.expose(),
        });
        refused(server.call(Method::POST, "/api/v3/runner/unclaim").json(&back), 409).await;
    }
}
