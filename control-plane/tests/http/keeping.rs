//! Retention, pins, deletion, sources in chunks, and what holds the disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use russet_control_plane::ManualClock;
use russet_protocol::admin::{Items, Pipeline};
use russet_protocol::keeping::{MissingChunks, RetentionSettings, Usage};
use russet_protocol::outcome::Outcome;
use serde_json::{Value, json};

use crate::support::{Harness, Home, LIMIT, ONE_JOB, ok, refused};

async fn start() -> Harness {
    Harness::start_in(Home::in_directory(), ManualClock::new()).await
}

/// Submits a pipeline that leaves 100 kB of output and 50 kB of an artifact.
async fn run_pipeline(server: &Harness, token: &str) -> Pipeline {
    let pipeline = server.submit(ONE_JOB).await;
    finish_task(server, token).await;
    pipeline
}

async fn finish_task(server: &Harness, token: &str) {
    let mut agent = server.claim(token).await.unwrap();
    agent.start_step(1).await;
    // More than a row of the database takes, and nothing makes them smaller.
    let mut bytes = vec![0; 100_000];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    ok(agent.append(1, 0, bytes)).await;
    ok(agent.append(1, 100_000, vec![b'b'; 10])).await;
    ok(agent.call(Method::PUT, "/api/v3/task/artifacts/a.bin").body(vec![1; 50_000])).await;
    let results = json!({
        "allocation": agent.claim.allocation,
        "batch": 0,
        "results": [{"name": "b", "classname": "a", "result": "success", "run_time_s": 0.1}],
    });
    ok(agent.call(Method::POST, "/api/v3/task/test-results").json(&results)).await;
    agent.end_step(1, 100_010).await;
    ok(agent.finish_request(Outcome::Success, &[(1, 100_010)])).await;
}

/// All files of objects.
fn objects(server: &Harness) -> BTreeSet<String> {
    fn walk(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.insert(path.display().to_string());
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&server.dir.path().join("data/objects"), &mut found);
    found.retain(|name| !name.ends_with("/identity"));
    found
}

/// Waits until so many objects are left. Time moves on, so that readers of them have had theirs.
async fn wait_for_objects(server: &Harness, count: usize) {
    let wait = async {
        let mut looks = 0_u32;
        while objects(server).len() != count {
            // Seldom enough that leases of tasks which are not renewed last.
            if looks.is_multiple_of(200) {
                server.clock.advance(Duration::from_secs(6));
            }
            looks += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let done = tokio::time::timeout(LIMIT, wait).await;
    done.unwrap_or_else(|_| panic!("{count} objects are wanted: {:?}", objects(server)));
}

async fn set_retention(server: &Harness, settings: Value) {
    ok(server.as_admin(Method::PUT, "/api/v3/retention").json(&settings)).await;
}

async fn numbers(server: &Harness) -> Vec<u64> {
    let list: Items<Pipeline> = server.get("/api/v3/pipelines").await;
    list.items.iter().map(|pipeline| pipeline.number).collect()
}

#[tokio::test]
async fn the_oldest_pipelines_go_with_their_objects_but_pinned_and_running_ones_stay() {
    let server = start().await;
    let token = server.class().await;
    let pinned = run_pipeline(&server, &token).await;
    let pin = format!("/api/v3/pipelines/{}/pin", pinned.id);
    ok(server.as_admin(Method::PUT, &pin)).await;
    let running = server.submit(ONE_JOB).await;
    let mut agent = server.claim(&token).await.unwrap();
    for _ in 0..4 {
        server.clock.advance(Duration::from_secs(1));
        run_pipeline(&server, &token).await;
    }
    assert_eq!(objects(&server).len(), 10);
    set_retention(&server, json!({"pipelines": 2})).await;
    wait_for_objects(&server, 6).await;
    assert_eq!(numbers(&server).await, [6, 5, 2, 1]);
    assert!(server.pipeline(&pinned).await.pinned);
    // The one that runs goes on to its end, and goes after it.
    agent.start_step(1).await;
    agent.end_step(1, 0).await;
    agent.finish(Outcome::Success).await;
    ok(server.as_admin(Method::DELETE, &pin)).await;
    set_retention(&server, json!({"pipelines": 1})).await;
    wait_for_objects(&server, 2).await;
    assert_eq!(numbers(&server).await, [6]);
    refused(server.as_admin(Method::GET, &format!("/api/v3/pipelines/{}", running.id)), 404).await;
    let settings: RetentionSettings = server.get("/api/v3/retention").await;
    assert_eq!(settings.all.pipelines, Some(1));
    // Nothing of them is left that a new start would find.
    let server = server.restart().await;
    assert_eq!(objects(&server).len(), 2);
}

#[tokio::test]
async fn parts_of_a_pipeline_go_before_it_and_say_so() {
    let server = start().await;
    let token = server.class().await;
    let pipeline = run_pipeline(&server, &token).await;
    assert_eq!(objects(&server).len(), 2);
    set_retention(&server, json!({"output_age_ms": 60_000, "artifact_age_ms": 60_000})).await;
    server.clock.advance(Duration::from_secs(61));
    set_retention(&server, json!({"output_age_ms": 60_000, "artifact_age_ms": 60_000})).await;
    wait_for_objects(&server, 0).await;
    let job = server.job(&pipeline).await;
    assert_eq!((job.outcome, job.artifacts), (Some(Outcome::Success), 0));
    let path = format!("/api/v3/jobs/{}/stdout?filter[step_num]=1", job.id);
    let text = ok(server.as_admin(Method::GET, &path)).await.text().await.unwrap();
    assert!(text.starts_with("Output was removed"), "{text}");
}

#[tokio::test]
async fn pipelines_projects_and_artifacts_are_deleted_and_never_while_they_run() {
    let server = start().await;
    let token = server.class().await;
    let ended = run_pipeline(&server, &token).await;
    let running = server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let path = |pipeline: &Pipeline| format!("/api/v3/pipelines/{}", pipeline.id);
    let problem = refused(server.as_admin(Method::DELETE, &path(&running)), 409).await;
    assert!(problem["message"].as_str().unwrap().contains("cancel it first"), "{problem}");
    refused(server.as_admin(Method::DELETE, "/api/v3/projects/acme%2Fapp"), 409).await;
    let artifact = format!("/api/v3/jobs/{}/artifacts/a.bin", ended.workflows[0].jobs[0].id);
    ok(server.as_admin(Method::DELETE, &artifact)).await;
    refused(server.as_admin(Method::DELETE, &artifact), 404).await;
    wait_for_objects(&server, 1).await;
    ok(server.as_admin(Method::DELETE, &path(&ended))).await;
    refused(server.as_admin(Method::GET, &path(&ended)), 404).await;
    refused(server.as_admin(Method::DELETE, &path(&ended)), 404).await;
    wait_for_objects(&server, 0).await;
    agent.finish(Outcome::Success).await;
    ok(server.as_admin(Method::DELETE, "/api/v3/projects/acme%2Fapp")).await;
    assert!(numbers(&server).await.is_empty());
    refused(server.as_admin(Method::DELETE, "/api/v3/projects/acme%2Fapp"), 404).await;
    // It may come again.
    run_pipeline(&server, &token).await;
    assert_eq!(objects(&server).len(), 2);
}

#[tokio::test]
async fn objects_stay_while_somebody_copies_them() {
    let server = start().await;
    let token = server.class().await;
    let pipeline = run_pipeline(&server, &token).await;
    let server = {
        let dir = server.dir.clone();
        let hold = "INSERT INTO object_holds (holder, until_ms) VALUES ('copy', 2000000000)";
        server.restart_after(async || dir.sql(hold).await).await
    };
    ok(server.as_admin(Method::DELETE, &format!("/api/v3/pipelines/{}", pipeline.id))).await;
    server.clock.advance(Duration::from_secs(700));
    let wait = async {
        while server.get::<Usage>("/api/v3/usage").await.unnamed_objects != 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.expect("the objects are noted");
    assert_eq!(objects(&server).len(), 2);
    // Whoever copied was killed: the hold ends by itself.
    server.clock.advance(Duration::from_secs(1_000_000));
    wait_for_objects(&server, 0).await;
}

fn framed(chunks: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in chunks {
        body.extend_from_slice(&u32::try_from(chunk.len()).unwrap().to_be_bytes());
        body.extend_from_slice(chunk);
    }
    body
}

/// Sends a source in chunks. Returns its id and the number of chunks that had to be sent.
async fn send_source(server: &Harness, chunks: &[&[u8]]) -> (String, usize) {
    let id = blake3::hash(&chunks.concat()).to_hex().to_string();
    let list: Vec<_> = chunks
        .iter()
        .map(|chunk| json!({"id": blake3::hash(chunk).to_hex().to_string(), "size": chunk.len()}))
        .collect();
    let path = format!("/api/v3/sources/{id}/chunks");
    let ask = async || -> MissingChunks {
        let request = server.as_admin(Method::POST, &path).json(&json!({"chunks": list}));
        ok(request).await.json().await.unwrap()
    };
    let missing = ask().await.missing;
    if !missing.is_empty() {
        let wanted: Vec<&[u8]> = chunks
            .iter()
            .filter(|chunk| missing.contains(&blake3::hash(chunk).to_hex().to_string()))
            .copied()
            .collect();
        ok(server.as_admin(Method::PUT, "/api/v3/chunks").body(framed(&wanted))).await;
        assert!(ask().await.missing.is_empty());
    }
    (id, missing.len())
}

#[tokio::test]
async fn what_snapshots_have_in_common_is_stored_once_and_goes_with_the_last_of_them() {
    let server = start().await;
    let token = server.class().await;
    let parts: Vec<Vec<u8>> = (0..4_u8).map(|n| vec![n; 10_000]).collect();
    let (first, sent) = send_source(&server, &[&parts[0], &parts[1], &parts[2]]).await;
    assert_eq!(sent, 3);
    let (second, sent) = send_source(&server, &[&parts[0], &parts[3], &parts[2]]).await;
    assert_eq!((sent, objects(&server).len()), (1, 4));
    let submit = async |source: &str| -> Pipeline {
        let body = json!({"project": "acme/app", "config": ONE_JOB, "source": source});
        ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body))
            .await
            .json()
            .await
            .unwrap()
    };
    let one = submit(&first).await;
    let agent = server.claim(&token).await.unwrap();
    let fetched = ok(agent.call(Method::GET, "/api/v3/task/source")).await.bytes().await.unwrap();
    assert_eq!(fetched, parts[..3].concat());
    agent.finish(Outcome::Success).await;
    submit(&second).await;
    let agent = server.claim(&token).await.unwrap();
    agent.finish(Outcome::Success).await;
    let usage: Usage = server.get("/api/v3/usage").await;
    assert_eq!((usage.sources, usage.projects[0].sources), (40_000, 40_000));
    // A day later what only the first one had goes with it.
    server.clock.advance(Duration::from_secs(2 * 24 * 3600));
    ok(server.as_admin(Method::DELETE, &format!("/api/v3/pipelines/{}", one.id))).await;
    wait_for_objects(&server, 3).await;
    let request =
        server.as_admin(Method::PUT, "/api/v3/chunks").body(framed(&[&[1; 5]])[..6].to_vec());
    refused(request, 400).await;
    let body = json!({"chunks": []});
    let path = format!("/api/v3/sources/{first}/chunks");
    refused(server.as_admin(Method::POST, &path).json(&body), 400).await;
}

#[tokio::test]
async fn a_snapshot_that_is_sent_whole_is_stored_once() {
    let server = start().await;
    let id = blake3::hash(b"source").to_hex().to_string();
    for _ in 0..2 {
        ok(server.as_admin(Method::PUT, &format!("/api/v3/sources/{id}")).body("source")).await;
        assert_eq!(objects(&server).len(), 1);
    }
    // Nobody submitted it.
    server.clock.advance(Duration::from_secs(2 * 24 * 3600));
    wait_for_objects(&server, 0).await;
    let body = json!({"project": "acme/app", "config": ONE_JOB, "source": id});
    let request = server.as_admin(Method::POST, "/api/v3/pipelines").json(&body);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn usage_is_what_the_disk_holds() {
    let server = start().await;
    let token = server.class().await;
    for _ in 0..5 {
        run_pipeline(&server, &token).await;
    }
    // Output that is stored in half as many bytes.
    server.submit(ONE_JOB).await;
    let mut agent = server.claim(&token).await.unwrap();
    agent.start_step(1).await;
    let mut noise = vec![0; 60_000];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    ok(agent.append(1, 0, noise.repeat(4))).await;
    agent.end_step(1, 240_000).await;
    ok(agent.finish_request(Outcome::Success, &[(1, 240_000)])).await;
    let usage: Usage = server.get("/api/v3/usage").await;
    let size = |path: &String| std::fs::metadata(path).unwrap().len();
    let held: u64 = objects(&server).iter().map(size).sum();
    assert_eq!(usage.objects, held);
    let project = &usage.projects[0];
    assert_eq!((project.pipelines, project.artifacts), (6, 250_000));
    assert_eq!(project.output_whole, 740_050);
    assert!((600_000..700_000).contains(&project.output_packed), "{project:?}");
    // Five times ten bytes, packed.
    assert!((50..1000).contains(&project.output_in_database), "{project:?}");
    let database = server.dir.path().join("data/russet.db");
    if let Ok(file) = std::fs::metadata(&database) {
        let log = std::fs::metadata(database.with_extension("db-wal")).map_or(0, |log| log.len());
        let held = file.len() + log;
        assert!(usage.database.abs_diff(held) < 1 << 20, "{} and {held}", usage.database);
    }
    assert!(usage.disk_free.is_some_and(|free| free > 0));
}
