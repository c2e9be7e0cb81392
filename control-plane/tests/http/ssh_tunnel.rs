//! Connections of SSH between people and tasks, with both ends played by the test.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use russet_protocol::admin::Job;
use russet_protocol::outcome::Outcome;
use russet_protocol::ssh::{TASK_TUNNEL_PATH, TunnelOpened};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::{Agent, Harness, LIMIT, ok, refused};

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// Dials a WebSocket with these headers. An error is the status and the body of the answer.
pub(crate) async fn dial(
    url: &str,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, (StatusCode, String)> {
    let host = url.trim_start_matches("http://");
    let mut request = format!("ws://{host}{path}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(host).await.unwrap();
    let dialled = tokio::time::timeout(LIMIT, client_async(request, stream)).await.unwrap();
    dialled.map(|(socket, _)| socket).map_err(|error| match error {
        Error::Http(answer) => {
            let body = answer.body().clone().unwrap_or_default();
            (answer.status(), String::from_utf8_lossy(&body).into_owned())
        }
        error => panic!("{error}"),
    })
}

impl Harness {
    /// Waits at a server as the agent of a task does.
    pub(crate) async fn wait_as(&self, agent: &Agent) -> Socket {
        let token = format!("Bearer {}", agent.claim.task_token.expose());
        let headers = [
            ("authorization", token.as_str()),
            ("russet-allocation", agent.claim.allocation.as_str()),
        ];
        dial(&self.url, TASK_TUNNEL_PATH, &headers).await.unwrap()
    }

    /// Dials the first task of a job, as somebody with a token.
    pub(crate) async fn dial_task(
        &self,
        token: &str,
        job: &Job,
    ) -> Result<Socket, (StatusCode, String)> {
        let path = format!("/api/v3/jobs/{}/ssh/tunnel?node=0", job.id);
        dial(&self.url, &path, &[("circle-token", token)]).await
    }
}

/// Reads the first frame of an agent's end.
pub(crate) async fn opened(socket: &mut Socket) -> TunnelOpened {
    match next(socket).await {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Reads the next frame that is not a ping.
pub(crate) async fn next(socket: &mut Socket) -> Message {
    loop {
        let frame = tokio::time::timeout(LIMIT, socket.next()).await.unwrap();
        match frame {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(frame)) => return frame,
            other => panic!("{other:?}"),
        }
    }
}

/// Reads the close frame. Returns its code and reason.
pub(crate) async fn closed(socket: &mut Socket) -> (u16, String) {
    loop {
        match next(socket).await {
            Message::Close(frame) => {
                let frame = frame.unwrap();
                return (frame.code.into(), frame.reason.to_string());
            }
            Message::Binary(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn send(socket: &mut Socket, bytes: &[u8]) {
    socket.send(Message::Binary(Bytes::copy_from_slice(bytes))).await.unwrap();
}

/// A person's token, the job, and its task, which can be reached.
pub(crate) async fn held_task(server: &Harness) -> (String, Job, Agent) {
    let token = server.ssh_class(false).await;
    let anna = server.account("anna", Some("member"), &["read", "submit"]).await;
    let job = server.job_with_ssh(&token, &anna).await;
    let agent = server.claim_with_ssh(&token).await;
    agent.is_ready().await;
    (anna, job, agent)
}

/// Bytes that are no pattern.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(step).collect()
}

#[tokio::test]
async fn bytes_arrive_as_they_were_sent_in_both_directions() {
    let server = Harness::start().await;
    let (anna, job, agent) = held_task(&server).await;
    let mut task = server.wait_as(&agent).await;
    let mut person = server.dial_task(&anna, &job).await.unwrap();
    let head = opened(&mut task).await;
    assert_eq!((head.person.as_str(), head.from.as_str()), ("anna", "127.0.0.1"));
    let sent = noise(8 * 1024 * 1024);
    let (mut to_task, mut from_task) = (Vec::new(), Vec::new());
    let (task_tx, mut task_rx) = task.split();
    let (person_tx, mut person_rx) = person.split();
    let push = async |mut sink: futures_util::stream::SplitSink<Socket, Message>, size: usize| {
        for part in sent.chunks(size) {
            sink.send(Message::Binary(Bytes::copy_from_slice(part))).await.unwrap();
        }
        sink
    };
    let pull = async |source: &mut futures_util::stream::SplitStream<Socket>, all: &mut Vec<u8>| {
        while all.len() < sent.len() {
            if let Message::Binary(bytes) = source.next().await.unwrap().unwrap() {
                all.extend_from_slice(&bytes);
            }
        }
    };
    let all = async {
        tokio::join!(
            push(task_tx, 65_536),
            push(person_tx, 9_973),
            pull(&mut task_rx, &mut to_task),
            pull(&mut person_rx, &mut from_task),
        )
    };
    let (task_tx, person_tx, ..) = tokio::time::timeout(LIMIT, all).await.unwrap();
    assert!(to_task == sent && from_task == sent);
    // The end of one is the end of the other.
    person = person_rx.reunite(person_tx).unwrap();
    person.close(None).await.unwrap();
    let mut task = task_rx.reunite(task_tx).unwrap();
    assert_eq!(closed(&mut task).await, (1000, String::new()));
}

#[tokio::test]
async fn a_reader_that_stops_makes_the_sender_stop() {
    let server = Harness::start().await;
    let (anna, job, agent) = held_task(&server).await;
    let mut task = server.wait_as(&agent).await;
    let mut person = server.dial_task(&anna, &job).await.unwrap();
    opened(&mut task).await;
    // Nobody reads at the person's end. What is taken is what buffers of the system hold, and not more.
    let part = noise(64 * 1024);
    let mut taken = 0;
    let pushing = async {
        loop {
            task.send(Message::Binary(Bytes::copy_from_slice(&part))).await.unwrap();
            taken += part.len();
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(3), pushing).await.is_err());
    assert!(taken < 64 * 1024 * 1024, "{taken} bytes were taken, and nobody read one");
    let mut read = 0;
    while read < taken {
        if let Message::Binary(bytes) = next(&mut person).await {
            read += bytes.len();
        }
    }
}

#[tokio::test]
async fn only_the_person_and_administrators_dial_and_no_browser() {
    let server = Harness::start().await;
    let (anna, job, agent) = held_task(&server).await;
    let ben = server.account("ben", Some("operator"), &["read", "submit", "operate"]).await;
    let boss = server.account("boss", Some("admin"), &["read", "submit", "admin"]).await;
    let _waiting =
        [server.wait_as(&agent).await, server.wait_as(&agent).await, server.wait_as(&agent).await];
    let (status, why) = server.dial_task(&ben, &job).await.unwrap_err();
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(why.contains("held for somebody else"), "{why}");
    for token in [&anna, &boss, &server.admin] {
        assert!(server.dial_task(token, &job).await.is_ok());
    }
    // A call that is not a WebSocket takes no tunnel away.
    let _again = server.wait_as(&agent).await;
    let path = format!("/api/v3/jobs/{}/ssh/tunnel", job.id);
    refused(server.as_admin(reqwest::Method::GET, &path), 400).await;
    assert!(server.dial_task(&anna, &job).await.is_ok());
}

#[tokio::test]
async fn a_task_that_cannot_be_reached_says_why_and_one_that_has_ended_too() {
    let server = Harness::start().await;
    let token = server.ssh_class(false).await;
    let anna = server.account("anna", Some("member"), &["read", "submit"]).await;
    let job = server.job_with_ssh(&token, &anna).await;
    let (status, why) = server.dial_task(&anna, &job).await.unwrap_err();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(why.contains("waits for a runner"), "{why}");
    let agent = server.claim_with_ssh(&token).await;
    agent.is_ready().await;
    // Whoever dials first waits for the agent.
    let (person, mut task) = tokio::join!(server.dial_task(&anna, &job), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.wait_as(&agent).await
    });
    let mut person = person.unwrap();
    opened(&mut task).await;
    send(&mut person, b"SSH-2.0-x\r\n").await;
    assert_eq!(next(&mut task).await.into_data(), b"SSH-2.0-x\r\n".as_slice());
    agent.finish(Outcome::Failed).await;
    assert_eq!(closed(&mut person).await.1, "the task has ended");
    let (status, why) = server.dial_task(&anna, &job).await.unwrap_err();
    assert_eq!(status, StatusCode::GONE);
    assert!(why.contains("russet job rerun --ssh"), "{why}");
}

#[tokio::test]
async fn a_server_that_stops_says_so_to_both_ends() {
    let server = Harness::start().await;
    let (anna, job, agent) = held_task(&server).await;
    let mut task = server.wait_as(&agent).await;
    let mut person = server.dial_task(&anna, &job).await.unwrap();
    opened(&mut task).await;
    let mut waiting = server.wait_as(&agent).await;
    server.stop.send(()).unwrap();
    for socket in [&mut task, &mut person, &mut waiting] {
        let (code, reason) = closed(socket).await;
        assert_eq!(code, 1012);
        assert!(reason.contains("dial again"), "{reason}");
    }
    tokio::time::timeout(LIMIT, server.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_ends_with_the_right_to_it() {
    let server = Harness::start().await;
    let (anna, job, agent) = held_task(&server).await;
    let mut task = server.wait_as(&agent).await;
    let mut person = server.dial_task(&anna, &job).await.unwrap();
    opened(&mut task).await;
    let role = server.as_admin(reqwest::Method::PUT, "/api/v3/users/anna/role");
    ok(role.json(&json!({"role": "viewer"}))).await;
    assert_eq!(closed(&mut person).await.0, 1008);
    assert_eq!(closed(&mut task).await.0, 1008);
}

#[tokio::test]
async fn a_task_has_ten_connections_at_most() {
    let server = Harness::start().await;
    let (anna, job, agent) = held_task(&server).await;
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut task = server.wait_as(&agent).await;
        let person = server.dial_task(&anna, &job).await.unwrap();
        opened(&mut task).await;
        open.push((task, person));
    }
    let _waiting = server.wait_as(&agent).await;
    let (status, why) = server.dial_task(&anna, &job).await.unwrap_err();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(why.contains("10 connections"), "{why}");
    open.pop();
    let mut left = server.dial_task(&anna, &job).await;
    // The end of one takes a moment to be known.
    while left.is_err() {
        left = server.dial_task(&anna, &job).await;
    }
}
