//! Output: never lost, never doubled, read back from anywhere.

use reqwest::Method;
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::{Event, EventKind, FinishMissing};

use crate::support::{Agent, Harness, ONE_JOB, ok, refused};

async fn running() -> (Harness, russet_protocol::admin::Pipeline, Agent) {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    (server, pipeline, agent)
}

async fn conflict_at(request: reqwest::RequestBuilder) -> String {
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 409);
    response.headers()["upload-offset"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn appends_join_and_gaps_and_replays_are_told_where_to_go_on() {
    let (_server, _pipeline, agent) = running().await;
    let answer = ok(agent.append(1, 0, b"abc".to_vec())).await;
    assert_eq!(answer.headers()["upload-offset"], "3");
    assert_eq!(conflict_at(agent.append(1, 0, b"abc".to_vec())).await, "3");
    assert_eq!(conflict_at(agent.append(1, 4, b"x".to_vec())).await, "3");
    assert_eq!(conflict_at(agent.append(2, 1, b"x".to_vec())).await, "0");
    ok(agent.append(1, 3, b"def".to_vec())).await;
    ok(agent.append(1, 6, Vec::new())).await;
}

#[tokio::test]
async fn compressed_output_is_stored_as_it_was() {
    let (server, pipeline, agent) = running().await;
    let text: Vec<u8> = (0..300_000u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let mut at = 0;
    for part in text.chunks(1_000_000) {
        let body = zstd::encode_all(part, 1).unwrap();
        ok(agent.append(1, at, body).header("content-encoding", "zstd")).await;
        at += part.len() as u64;
    }
    let path = format!("/api/v3/jobs/{}/stdout", pipeline.workflows[0].jobs[0].id);
    let back = ok(server.as_admin(Method::GET, &path)).await;
    assert_eq!(back.headers()["x-terminal"], "false");
    assert!(back.bytes().await.unwrap() == text);
}

#[tokio::test]
async fn bombs_and_what_is_no_zstd_and_too_much_are_refused() {
    let (_server, _pipeline, agent) = running().await;
    let zeros = vec![0; 16 * 1024 * 1024];
    let bomb = zstd::encode_all(&zeros[..], 3).unwrap();
    assert!(bomb.len() < 16 * 1024);
    refused(agent.append(1, 0, bomb).header("content-encoding", "zstd"), 413).await;
    let garbage = b"garbage".to_vec();
    refused(agent.append(1, 0, garbage).header("content-encoding", "zstd"), 400).await;
    refused(agent.append(1, 0, b"x".to_vec()).header("content-encoding", "gzip"), 400).await;
    refused(agent.append(1, 0, vec![0; 4 * 1024 * 1024 + 1]), 413).await;
    let no_offset = agent.call(Method::PATCH, "/api/v3/task/steps/1/output").body("x");
    refused(no_offset, 400).await;
    ok(agent.append(1, 0, vec![0; 4 * 1024 * 1024])).await;
}

#[tokio::test]
async fn events_are_stored_once_and_in_order() {
    let (server, pipeline, mut agent) = running().await;
    agent.start_step(1).await;
    let event = |seq| Event {
        seq,
        at_ms: 5,
        kind: EventKind::StepFinished {
            step: seq as u32,
            outcome: Outcome::NotRun,
            exit_code: None,
            message: None,
            output_bytes: 0,
        },
    };
    let gap = refused(agent.events(&[event(3)]), 409).await;
    assert_eq!(gap["last_seq"], 1);
    ok(agent.events(&[event(2), event(3)])).await;
    let replay = ok(agent.events(&[event(2), event(3)])).await;
    assert_eq!(replay.text().await.unwrap(), r#"{"last_seq":3}"#);
    let steps = server.job(&pipeline).await.steps;
    assert_eq!(steps.len(), 3);
    assert_eq!(steps[2].name, "Step 3");
}

#[tokio::test]
async fn finish_brings_the_last_events_and_takes_none_where_something_is_missing() {
    let (server, pipeline, mut agent) = running().await;
    agent.start_step(1).await;
    let end = |seq, step| Event {
        seq,
        at_ms: 2000,
        kind: EventKind::StepFinished {
            step,
            outcome: Outcome::Failed,
            exit_code: Some(3),
            message: None,
            output_bytes: 2,
        },
    };
    agent.seq = 2;
    // A byte is missing, so the event that came along is asked for again.
    let missing = refused(agent.finish_with(Outcome::Failed, &[(1, 2)], &[end(2, 1)]), 409).await;
    let missing: FinishMissing = serde_json::from_value(missing).unwrap();
    assert_eq!((missing.last_seq, missing.output), (None, [(1, 0)].into()));
    assert_eq!(server.job(&pipeline).await.steps[0].outcome, None);
    ok(agent.append(1, 0, b"ab".to_vec())).await;
    // So is one behind a gap.
    agent.seq = 3;
    let missing = refused(agent.finish_with(Outcome::Failed, &[(1, 2)], &[end(3, 1)]), 409).await;
    let missing: FinishMissing = serde_json::from_value(missing).unwrap();
    assert_eq!(missing.last_seq, Some(1));
    // Events that are here already may come again.
    let started = EventKind::StepStarted {
        step: 1,
        name: "again".to_owned(),
        background: false,
        detail: None,
    };
    let first = Event { seq: 1, at_ms: 1001, kind: started };
    agent.seq = 2;
    ok(agent.finish_with(Outcome::Failed, &[(1, 2)], &[first, end(2, 1)])).await;
    ok(agent.finish_with(Outcome::Failed, &[(1, 2)], &[end(2, 1)])).await;
    let job = server.job(&pipeline).await;
    assert_eq!(job.outcome, Some(Outcome::Failed));
    assert_eq!((job.steps[0].name.as_str(), job.steps[0].exit_code), ("step 1", Some(3)));
}

#[tokio::test]
async fn finish_waits_for_all_events_and_bytes_and_can_be_repeated() {
    let (server, pipeline, mut agent) = running().await;
    agent.start_step(1).await;
    ok(agent.append(1, 0, b"abc".to_vec())).await;
    let mut ahead = agent.clone();
    ahead.seq = 2;
    let missing = refused(ahead.finish_request(Outcome::Failed, &[(1, 5), (2, 1)]), 409).await;
    let missing: FinishMissing = serde_json::from_value(missing).unwrap();
    assert_eq!(missing.last_seq, Some(1));
    assert_eq!(missing.output, [(1, 3), (2, 0)].into());
    ok(agent.append(1, 3, b"de".to_vec())).await;
    agent.end_step(1, 5).await;
    ok(agent.finish_request(Outcome::Failed, &[(1, 5)])).await;
    ok(agent.finish_request(Outcome::Failed, &[(1, 5)])).await;
    refused(agent.finish_request(Outcome::Success, &[(1, 5)]), 409).await;
    refused(agent.append(1, 5, b"f".to_vec()), 409).await;
    assert_eq!(server.job(&pipeline).await.outcome, Some(Outcome::Failed));
}

#[tokio::test]
async fn output_is_read_from_any_offset_and_says_when_it_ended() {
    let (server, pipeline, mut agent) = running().await;
    let big: Vec<u8> = (0..600_000u32).map(|n| (n % 251) as u8).collect();
    agent.start_step(0).await;
    ok(agent.append(0, 0, b"setup\n".to_vec())).await;
    agent.start_step(1).await;
    ok(agent.append(1, 0, big.clone())).await;
    ok(agent.append(1, 600_000, b"tail".to_vec())).await;
    let path = format!("/api/v3/jobs/{}/stdout", pipeline.workflows[0].jobs[0].id);
    // Step 0 may still grow, so what is behind it has no place in the whole yet.
    let whole = ok(server.as_admin(Method::GET, &path)).await;
    assert_eq!(&whole.bytes().await.unwrap()[..], b"setup\n");
    agent.end_step(0, 6).await;
    let one = format!("{path}?filter%5Bstep_num%5D=1");
    let from = |path: &str, at: u64| {
        server.as_admin(Method::GET, path).header("range", format!("bytes={at}-"))
    };
    let part = ok(from(&one, 599_999)).await;
    assert_eq!(part.status().as_u16(), 206);
    assert_eq!(part.headers()["content-range"], "bytes 599999-600003/600004");
    assert_eq!(part.headers()["x-terminal"], "false");
    assert_eq!(part.bytes().await.unwrap()[1..], *b"tail");
    assert_eq!(ok(from(&one, 600_004)).await.status().as_u16(), 204);
    refused(from(&one, 600_005), 416).await;
    agent.end_step(1, 600_004).await;
    assert_eq!(ok(from(&one, 600_004)).await.headers()["x-terminal"], "true");
    agent.finish(Outcome::Success).await;
    let all = ok(from(&path, 3)).await;
    assert_eq!(all.headers()["x-terminal"], "true");
    let expected: Vec<u8> = [&b"up\n"[..], &big, b"tail"].concat();
    assert!(all.bytes().await.unwrap() == expected);
}

#[tokio::test]
async fn a_reader_that_follows_gets_all_and_then_the_end() {
    let (server, pipeline, mut agent) = running().await;
    agent.start_step(1).await;
    ok(agent.append(1, 0, b"one ".to_vec())).await;
    let path = format!("/api/v3/jobs/{}/stdout?follow=true", pipeline.workflows[0].jobs[0].id);
    let mut reader = ok(server.as_admin(Method::GET, &path)).await;
    assert_eq!(&reader.chunk().await.unwrap().unwrap()[..], b"one ");
    ok(agent.append(1, 4, b"two ".to_vec())).await;
    assert_eq!(&reader.chunk().await.unwrap().unwrap()[..], b"two ");
    agent.end_step(1, 8).await;
    agent.start_step(2).await;
    ok(agent.append(2, 0, b"three".to_vec())).await;
    agent.finish(Outcome::Success).await;
    assert_eq!(&reader.bytes().await.unwrap()[..], b"three");
}

async fn stdout(
    server: &Harness,
    pipeline: &russet_protocol::admin::Pipeline,
    query: &str,
) -> Vec<u8> {
    let path = format!("/api/v3/jobs/{}/stdout{query}", pipeline.workflows[0].jobs[0].id);
    ok(server.as_admin(Method::GET, &path)).await.bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn small_appends_are_packed_and_every_range_stays_readable() {
    let (server, pipeline, agent) = running().await;
    let line = |number: u64| format!("line {number} of a build that prints much the same\n");
    let mut all = String::new();
    let mut number = 0;
    while all.len() < 600_000 {
        let text: String = (number..number + 40).map(line).collect();
        number += 40;
        ok(agent.append(1, all.len() as u64, text.clone().into())).await;
        all.push_str(&text);
    }
    let rows = async {
        while server.dir.count("SELECT count(*) FROM output").await > 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::LIMIT, rows).await.expect("rows are not packed");
    assert!(stdout(&server, &pipeline, "").await == all.as_bytes());
    let path = format!("/api/v3/jobs/{}/stdout", pipeline.workflows[0].jobs[0].id);
    for at in (0..all.len()).step_by(37_511) {
        let part = server.as_admin(Method::GET, &path).header("range", format!("bytes={at}-"));
        assert!(ok(part).await.bytes().await.unwrap() == all.as_bytes()[at..], "{at}");
    }
    // The next bytes follow behind what was packed.
    ok(agent.append(1, all.len() as u64, b"end\n".to_vec())).await;
    assert!(stdout(&server, &pipeline, "").await.ends_with(b"same\nend\n"));
}

#[tokio::test]
async fn output_is_stored_compressed() {
    let (server, pipeline, agent) = running().await;
    let text = "a line that a build prints again and again\n".repeat(20_000);
    ok(agent.append(1, 0, text.clone().into())).await;
    let stored = "SELECT coalesce(sum(length(data)), 0) FROM output WHERE frames IS NOT NULL";
    let stored = server.dir.count(stored).await;
    assert!((1..text.len() as i64 / 20).contains(&stored), "{stored}");
    assert!(stdout(&server, &pipeline, "").await == text.as_bytes());
}

#[tokio::test]
async fn output_of_an_earlier_version_stays_readable_beside_new() {
    let (server, pipeline, agent) = running().await;
    ok(agent.append(1, 0, b"old\n".to_vec())).await;
    let home = server.dir.clone();
    let change = async || home.sql("UPDATE output SET frames = NULL, times = NULL").await;
    let server = server.restart_after(change).await;
    let agent = server.agent(agent.claim);
    ok(agent.append(1, 4, b"new\n".to_vec())).await;
    assert_eq!(stdout(&server, &pipeline, "").await, b"old\nnew\n");
    let timed = String::from_utf8(stdout(&server, &pipeline, "?timestamps=true").await).unwrap();
    let (old, new) = timed.split_once('\n').unwrap();
    assert_eq!(old, "????-??-??T??:??:??.???Z old");
    assert!(new.starts_with("1970-01-12T") && new.ends_with("Z new\n"), "{timed}");
}

#[tokio::test]
async fn each_line_has_the_time_at_which_it_was_received() {
    let (server, pipeline, mut agent) = running().await;
    agent.start_step(1).await;
    ok(agent.append(1, 0, b"one\ntw".to_vec())).await;
    server.clock.advance(std::time::Duration::from_millis(1500));
    ok(agent.append(1, 6, b"o\nthree\n".to_vec())).await;
    let timed = String::from_utf8(stdout(&server, &pipeline, "?timestamps=true").await).unwrap();
    let expected = "1970-01-12T13:46:40.000Z one\n1970-01-12T13:46:40.000Z two\n\
                    1970-01-12T13:46:41.500Z three\n";
    assert_eq!(timed, expected);
    let path = format!("/api/v3/jobs/{}/stdout?timestamps=true", pipeline.workflows[0].jobs[0].id);
    refused(server.as_admin(Method::GET, &path).header("range", "bytes=3-"), 400).await;
}
