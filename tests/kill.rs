//! A control plane that is killed at any moment keeps every byte and event that it acknowledged.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed step of a test is its failure"
)]

mod support;

use std::collections::BTreeMap;

use russet_protocol::outcome::Outcome;
use russet_protocol::runner::{ClaimResponse, EventsResponse};
use serde_json::json;
use support::admin::assert_outcome;
use support::{Agent, AgentOptions, CLASS, Server, config, run};

/// One connection-less call of an agent; `None` where the server is gone.
async fn call(
    client: &reqwest::Client,
    request: reqwest::RequestBuilder,
) -> Option<(u16, reqwest::header::HeaderMap, Vec<u8>)> {
    let answer = client.execute(request.build().unwrap()).await.ok()?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Some((status, headers, answer.bytes().await.ok()?.to_vec()))
}

/// Plays a task agent that appends output and events as fast as it can while the server is
/// killed under it, and compares at the end what was acknowledged with what is there.
#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let mut server = Server::start();
    let token = server.admin.class_token(CLASS);
    let pipeline = server.admin.submit(&config(&[&run("true")]));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = server.url().to_owned();
    let claim = client
        .post(format!("{url}/api/v3/runner/claim"))
        .bearer_auth(&token)
        .json(&json!({ "name": "hand", "hostname": "h", "ip": "", "version": "0" }));
    let (status, _, body) = runtime.block_on(call(&client, claim)).unwrap();
    assert_eq!(status, 200);
    let claim: ClaimResponse = serde_json::from_slice(&body).unwrap();

    let mut acknowledged = 0_u64;
    let mut events = 0_u64;
    for round in 0..8 {
        let writer = {
            let (client, url, claim) = (client.clone(), url.clone(), claim.clone());
            runtime.spawn(async move {
                write_until_gone(&client, &url, &claim, acknowledged, events).await
            })
        };
        // A different moment in each round; the writer is busy all the time.
        std::thread::sleep(std::time::Duration::from_millis(20 + 17 * round));
        server.kill();
        (acknowledged, events) = runtime.block_on(writer).unwrap();
        server.start_again();
        let job = server.admin.only_job(&pipeline);
        let stored = server.admin.step_output(&job, 1);
        assert!(stored.len() as u64 >= acknowledged, "{} < {acknowledged}", stored.len());
        assert!(stored.iter().enumerate().all(|(at, &byte)| byte == pattern(at as u64)));
        acknowledged = stored.len() as u64;
    }
    assert!(acknowledged > 0 && events > 0, "{acknowledged} bytes, {events} events");
    let finish = client
        .post(format!("{url}/api/v3/task/finish"))
        .bearer_auth(claim.task_token.expose())
        .json(&json!({ "allocation": claim.allocation, "outcome": "success", "last_seq": events + 1000,
                       "output": BTreeMap::from([(1, acknowledged)]) }));
    let (status, _, body) = runtime.block_on(call(&client, finish)).unwrap();
    assert_eq!(status, 409, "a finish with missing events was accepted");
    let missing: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(missing["last_seq"].as_u64().unwrap() >= events, "{missing} but {events} acknowledged");
}

/// The byte that stands at this offset of the output.
fn pattern(at: u64) -> u8 {
    b'a' + u8::try_from(at % 23).unwrap()
}

async fn write_until_gone(
    client: &reqwest::Client,
    url: &str,
    claim: &ClaimResponse,
    mut offset: u64,
    mut events: u64,
) -> (u64, u64) {
    let token = claim.task_token.expose();
    let allocation = claim.allocation.as_str();
    for size in (1..).map(|number| 1 + (number * 7919) % 30_000) {
        let body: Vec<u8> = (offset..offset + size).map(pattern).collect();
        let patch = client
            .patch(format!("{url}/api/v3/task/steps/1/output"))
            .bearer_auth(token)
            .header(russet_protocol::ALLOCATION_HEADER, allocation)
            .header(russet_protocol::UPLOAD_OFFSET_HEADER, offset)
            .body(body);
        let Some((status, headers, _)) = call(client, patch).await else { break };
        let committed = headers.get(russet_protocol::UPLOAD_OFFSET_HEADER);
        let committed = committed.and_then(|value| value.to_str().ok()?.parse().ok());
        offset = committed.unwrap_or_else(|| panic!("{status} without an offset"));
        let seq = events + 1;
        let event = json!({ "allocation": allocation, "events": [{ "seq": seq, "at_ms": seq,
            "event": "step_started", "step": seq, "name": "step" }] });
        let post = client.post(format!("{url}/api/v3/task/events")).bearer_auth(token).json(&event);
        let Some((_, _, body)) = call(client, post).await else { break };
        if let Ok(answer) = serde_json::from_slice::<EventsResponse>(&body) {
            events = answer.last_seq;
        }
    }
    (offset, events)
}

#[test]
fn a_queue_survives_a_kill_and_is_worked_off_after_it() {
    let mut server = Server::start();
    let token = server.admin.class_token(CLASS);
    let pipelines: Vec<_> = (0..5)
        .map(|number| server.admin.submit(&config(&[&run(&format!("echo {number}"))])))
        .collect();
    server.kill();
    server.start_again();
    let _agent = Agent::start_at(server.url(), &token, &AgentOptions::default());
    for (number, pipeline) in pipelines.iter().enumerate() {
        server.admin.wait(pipeline);
        let job = server.admin.only_job(pipeline);
        assert_outcome(&server.admin, &job, Outcome::Success);
        assert_eq!(server.admin.step_output(&job, 1), format!("{number}\n").into_bytes());
    }
}
