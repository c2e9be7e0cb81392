//! Callers that take more than their share: connections, heads, bodies and calls.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use russet_protocol::admin::{Items, RunnerItem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{CLASS, Harness, LIMIT, ONE_JOB, ok, refused};

/// A connection whose bytes the test writes itself.
struct Raw(TcpStream);

impl Raw {
    async fn open(server: &Harness) -> Self {
        let address = server.url.strip_prefix("http://").unwrap();
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The head of the answer.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        let read = async {
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.unwrap());
            }
        };
        timeout(LIMIT, read).await.expect("no answer comes");
        String::from_utf8(head).unwrap()
    }

    /// Waits until the server closes it.
    async fn closed(&mut self) {
        let mut rest = Vec::new();
        let end = timeout(LIMIT, self.0.read_to_end(&mut rest)).await;
        // A reset is as good as an end.
        let _how = end.expect("the server leaves the connection open");
    }
}

fn claim_head(token: &str, length: usize) -> String {
    format!(
        "POST /api/v3/runner/claim HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         prefer: wait=50\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

fn claim_body(name: &str) -> String {
    format!(r#"{{"name": "{name}", "hostname": "", "ip": "", "version": "1"}}"#)
}

async fn claim(server: &Harness, token: &str, name: &str) -> Raw {
    let body = claim_body(name);
    let mut raw = Raw::open(server).await;
    raw.write(&format!("{}{body}", claim_head(token, body.len()))).await;
    raw
}

/// Waits until so many runners have claimed.
async fn wait_for_runners(server: &Harness, count: usize) {
    let path = format!("/api/v3/runner?resource-class={CLASS}");
    let all = async {
        while server.get::<Items<RunnerItem>>(&path).await.items.len() < count {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT * 2, all).await.expect("not all runners claim");
}

#[tokio::test]
async fn a_token_is_checked_before_a_byte_of_the_body_is_read() {
    let server = Harness::start().await;
    for (path, status) in [("runner/claim", "401"), ("task/events", "404"), ("pipelines", "404")] {
        let mut raw = Raw::open(&server).await;
        raw.write(&format!(
            "POST /api/v3/{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer rsc_x\r\n\
             content-length: 8000000\r\n\r\n"
        ))
        .await;
        let head = raw.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {head}");
    }
}

#[tokio::test]
async fn a_body_is_no_larger_than_its_call_needs() {
    let server = Harness::start().await;
    let token = server.class().await;
    let mut raw = Raw::open(&server).await;
    // Refused for what it announces.
    raw.write(&claim_head(&token, 8_000_000)).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 413"));
    for path in ["/api/v3/runner/unclaim", "/login"] {
        let body = vec![b'x'; 100_000];
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let request = server.call(Method::POST, path).header(kind.0, kind.1).body(body);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
}

#[tokio::test]
async fn bodies_of_strangers_take_no_more_memory_than_is_set_aside() {
    let server = Harness::start_limited(|limits| limits.anonymous_body_bytes = 256 * 1024).await;
    let head =
        "POST /api/v2/pipeline/continue HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n";
    let mut raw = Raw::open(&server).await;
    raw.write(head).await;
    raw.write(&"x".repeat(300 * 1024)).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 503"));
    ok(server.as_admin(Method::GET, "/api/v3/pipelines")).await;
}

#[tokio::test]
async fn silence_is_ended_before_a_head_within_one_and_within_a_body() {
    let short = Duration::from_millis(200);
    let server = Harness::start_limited(|limits| {
        limits.head_timeout = short;
        limits.idle_timeout = short;
        limits.body_timeout = short;
    })
    .await;
    let token = server.class().await;
    let mut silent = Raw::open(&server).await;
    silent.closed().await;
    let mut slow = Raw::open(&server).await;
    slow.write("GET / HTTP/1.1\r\nhost").await;
    slow.closed().await;
    let mut half = Raw::open(&server).await;
    half.write(&format!("{}{{", claim_head(&token, 1000))).await;
    assert!(half.head().await.starts_with("HTTP/1.1 408"));
    let mut idle = Raw::open(&server).await;
    let head = format!(
        "GET /api/v3/pipelines HTTP/1.1\r\nhost: x\r\ncircle-token: {}\r\n\r\n",
        server.admin
    );
    idle.write(&head).await;
    assert!(idle.head().await.starts_with("HTTP/1.1 200"));
    idle.closed().await;
}

#[tokio::test]
async fn a_reader_with_a_token_that_never_reads_is_ended() {
    let server = Harness::start_limited(|limits| {
        limits.write_timeout = Duration::from_millis(300);
        limits.calls_per_token = 1;
    })
    .await;
    let token = server.class().await;
    // More than both ends of a connection take without a reader.
    let bytes = vec![7; 48 << 20];
    let hash = blake3::hash(&bytes).to_hex().to_string();
    let path = format!("/api/v3/sources/{hash}");
    ok(server.as_admin(Method::PUT, &path).body(bytes)).await;
    let body = serde_json::json!({"project": "p", "config": ONE_JOB, "source": hash});
    ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
    let agent = server.claim(&token).await.unwrap();
    let mut reader = Raw::open(&server).await;
    let head = format!(
        "GET /api/v3/task/source HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        agent.claim.task_token.expose()
    );
    reader.write(&head).await;
    assert!(reader.head().await.starts_with("HTTP/1.1 200"));
    // Its answer takes the only call of the token until it has ended.
    let config = || agent.call(Method::GET, "/api/v2/task/config");
    refused(config(), 429).await;
    let ended = async {
        while config().send().await.unwrap().status() != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, ended).await.expect("the reader keeps its connection");
}

#[tokio::test]
async fn a_call_that_waits_is_no_silence() {
    let server = Harness::start_limited(|limits| {
        limits.head_timeout = Duration::from_millis(100);
        limits.idle_timeout = Duration::from_millis(100);
    })
    .await;
    let token = server.class().await;
    let response = ok(server.claim_request(&token, 1)).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_oldest_silent_connection_of_an_address_makes_place_for_the_next() {
    let server = Harness::start_limited(|limits| limits.connections_per_address = 4).await;
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(Raw::open(&server).await);
    }
    silent[0].closed().await;
    silent[1].closed().await;
    ok(server.as_admin(Method::GET, "/api/v3/pipelines")).await;
}

#[tokio::test]
async fn runners_and_strangers_leave_places_to_the_administrator() {
    let server = Harness::start_limited(|limits| limits.connections = 36).await;
    let token = server.class().await;
    let mut claims = Vec::new();
    for number in 0..4 {
        claims.push(claim(&server, &token, &format!("mini-{number}")).await);
    }
    wait_for_runners(&server, 4).await;
    // 32 of 36 are kept.
    let mut fifth = claim(&server, &token, "mini-5").await;
    let head = fifth.head().await;
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after"), "{head}");
    let mut hostile = Vec::new();
    for _ in 0..40 {
        hostile.push(Raw::open(&server).await);
    }
    ok(server.as_admin(Method::GET, "/api/v3/pipelines")).await;
    server.submit(ONE_JOB).await;
    let heads = claims.iter_mut().map(|claim| Box::pin(claim.head()));
    let (head, ..) = futures_util::future::select_all(heads).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[tokio::test]
async fn calls_of_one_token_and_of_one_address_are_bounded() {
    let server = Harness::start_limited(|limits| {
        limits.calls_per_token = 3;
        limits.calls_per_address = 2;
    })
    .await;
    let token = server.class().await;
    let mut claims = Vec::new();
    for number in 0..3 {
        claims.push(claim(&server, &token, &format!("mini-{number}")).await);
    }
    wait_for_runners(&server, 3).await;
    refused(server.claim_request(&token, 0), 429).await;
    let head = "POST /api/v3/runner/unclaim HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n";
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::open(&server).await;
        raw.write(head).await;
        waiting.push(raw);
    }
    let refusal = async {
        while server.call(Method::GET, "/login").send().await.unwrap().status() != 429 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, refusal).await.expect("calls without a token are not bounded");
    drop(waiting);
    let passes = async {
        while server.call(Method::GET, "/login").send().await.unwrap().status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, passes).await.expect("calls that were given up stay counted");
}

#[tokio::test]
async fn two_thousand_claims_of_one_address_wait_and_one_gets_the_task() {
    let server = Harness::start().await;
    let token = server.class().await;
    let mut claims = Vec::new();
    for number in 0..2000 {
        claims.push(claim(&server, &token, &format!("mini-{number}")).await);
    }
    wait_for_runners(&server, 2000).await;
    server.submit(ONE_JOB).await;
    let heads =
        futures_util::future::select_all(claims.iter_mut().map(|claim| Box::pin(claim.head())));
    assert!(heads.await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_full_disk_refuses_submits_and_hands_out_no_task() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let running = server.claim(&token).await.unwrap();
    server.submit(ONE_JOB).await;
    let server = server.restart_limited(|limits| limits.disk_reserve = Some(u64::MAX)).await;
    let body = serde_json::json!({"project": "acme/app", "config": ONE_JOB});
    let request = server.as_admin(Method::POST, "/api/v3/pipelines").json(&body);
    let problem = refused(request, 507).await;
    assert!(problem["hint"].as_str().unwrap().contains("make room"), "{problem}");
    assert!(server.claim(&token).await.is_none());
    // What runs waits with what is large, where it would go to that disk, and may say the rest.
    let running = server.agent(running.claim);
    for path in ["/api/v3/task/artifacts/a", "/api/v3/task/archives"] {
        let put = running.call(Method::PUT, path).body("x").send().await.unwrap();
        assert_eq!(put.status() == 507, !server.dir.has_bucket(), "{path}: {put:?}");
        assert_eq!(put.headers().contains_key("retry-after"), !server.dir.has_bucket());
    }
    ok(running.append(1, 0, b"output".to_vec())).await;
    let server = server.restart().await;
    assert!(server.claim(&token).await.is_some(), "there is room again");
}

#[tokio::test]
async fn a_connection_for_which_there_is_no_place_is_told_to_try_again() {
    let server = Harness::start_limited(|limits| {
        limits.connections = 3;
        limits.kept_connections = 3;
    })
    .await;
    let head = format!(
        "GET /api/v3/pipelines HTTP/1.1\r\nhost: x\r\ncircle-token: {}\r\n\r\n",
        server.admin
    );
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut raw = Raw::open(&server).await;
        raw.write(&head).await;
        assert!(raw.head().await.starts_with("HTTP/1.1 200"));
        kept.push(raw);
    }
    let mut late = Raw::open(&server).await;
    late.write(&head).await;
    let answer = late.head().await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
    late.closed().await;
}
