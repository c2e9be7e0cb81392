//! A server that comes back.

use russet_protocol::outcome::{Outcome, Phase};

use crate::support::{Harness, LEASE, ONE_JOB, ok, output_of};

#[tokio::test]
async fn a_task_goes_on_where_it_was_when_the_server_comes_back() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let mut agent = server.claim(&token).await.unwrap();
    agent.start_step(1).await;
    // More than a row of the database takes, and nothing makes them smaller.
    let mut bytes = vec![0; 100_000];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    ok(agent.append(1, 0, bytes)).await;
    // Left behind by a kill between an object and its row.
    let objects = server.dir.path().join("data/objects");
    let step = objects.join(format!("output/{}/1", agent.claim.task_id.as_ref().unwrap()));
    if !server.dir.has_bucket() {
        std::fs::write(step.join("100000-orphan"), "x").unwrap();
        // And in the middle of one.
        std::fs::write(step.join("100000-half#1"), "x").unwrap();
    }
    server.clock.advance(2 * LEASE - std::time::Duration::from_secs(1));
    let dir = server.dir.clone();
    // PostgreSQL tells how long no server was there. On SQLite all leases begin anew.
    let away = "UPDATE database_state SET alive_ms = alive_ms - 240000";
    let server = server.restart_after(async || dir.sql(away).await).await;
    assert_eq!(server.dir.objects("output/").len(), 1);
    // Nobody could renew the lease while the server was away.
    server.clock.advance(2 * LEASE - std::time::Duration::from_secs(1));
    let seq = agent.seq;
    let mut agent = server.agent(agent.claim);
    agent.seq = seq;
    ok(agent.append(1, 100_000, vec![b'b'; 10])).await;
    agent.end_step(1, 100_010).await;
    ok(agent.finish_request(Outcome::Success, &[(1, 100_010)])).await;
    let job = server.job(&pipeline).await;
    assert_eq!((job.phase, job.outcome), (Phase::Ended, Some(Outcome::Success)));
    let events = server.live(&pipeline).await.rest().await;
    assert_eq!(output_of(&events, 1).len(), 100_010);
    let token_again = server.admin.clone();
    let server = server.restart().await;
    assert_eq!(server.admin, token_again);
    assert_eq!(server.job(&pipeline).await.outcome, Some(Outcome::Success));
}

#[tokio::test]
async fn a_server_that_is_stopped_lets_those_who_wait_go() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let mut live = server.live(&pipeline).await;
    server.claim(&token).await.unwrap();
    let request = server.claim_request(&token, 50);
    let waiting = tokio::spawn(async move { request.send().await });
    let server = server.restart().await;
    assert_eq!(waiting.await.unwrap().map(|answer| answer.status().as_u16()).unwrap_or(204), 204);
    while live.next().await.is_some() {}
    assert_eq!(server.job(&pipeline).await.phase, Phase::Running);
}

#[tokio::test]
async fn tokens_are_stored_hashed_and_only_the_administrators_file_has_one() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let task_token = agent.claim.task_token.expose().to_owned();
    let (admin, dir) = (server.admin.clone(), server.dir.clone());
    // While it runs, so that its log of what is to be folded into the database is there as well.
    let holds = |bytes: &[u8], secret: &str| {
        bytes.windows(secret.len()).any(|part| part == secret.as_bytes())
    };
    let stored = dir.stored_bytes();
    assert!(holds(&stored, "acme/mini"), "the database was not read");
    assert!(!holds(&stored, &token) && !holds(&stored, &task_token));
    for entry in walkdir(&dir.path().join("data")) {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(!holds(&bytes, &token) && !holds(&bytes, &task_token), "{}", entry.display());
        assert_eq!(holds(&bytes, &admin), entry.ends_with("admin.token"), "{}", entry.display());
    }
}

/// The files below a directory.
fn walkdir(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walkdir(&path) } else { vec![path] }).collect()
}
