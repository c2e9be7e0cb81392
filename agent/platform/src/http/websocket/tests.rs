use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket as Accepted, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::net::{TcpListener, UnixListener};

use super::{WebSocketError, open_websocket, pump, wait_for_text};
use crate::http::api_client;

/// Sends back what comes, after a line of text, and ends when asked to.
async fn echo(mut socket: Accepted) {
    socket.send(Message::Text("hello".into())).await.unwrap();
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            Message::Binary(bytes) if &bytes[..] == b"end" => {
                let frame = CloseFrame { code: 1001, reason: "the server ends".into() };
                socket.send(Message::Close(Some(frame))).await.unwrap();
            }
            Message::Binary(bytes) => socket.send(Message::Binary(bytes)).await.unwrap(),
            _ => {}
        }
    }
}

fn routes() -> Router {
    let upgrade = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo);
    Router::new()
        .route("/echo", get(upgrade))
        .route("/busy", get(async || (StatusCode::SERVICE_UNAVAILABLE, "nobody waits")))
}

async fn serve_tcp() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes()).await });
    url
}

#[tokio::test]
async fn bytes_go_both_ways_and_a_slow_reader_loses_none() {
    let url = serve_tcp().await;
    let client = api_client(&url, None, None).unwrap();
    let mut socket = open_websocket(client.get(format!("{url}/echo"))).await.unwrap();
    assert_eq!(wait_for_text(&mut socket).await.unwrap(), "hello");
    let (near, far) = duplex(4096);
    let pumping = tokio::spawn(pump(socket, far));
    let (mut reader, mut writer) = tokio::io::split(near);
    let wanted: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let sent = wanted.clone();
    let writing = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer
    });
    let mut got = vec![0; wanted.len()];
    reader.read_exact(&mut got).await.unwrap();
    assert!(got == wanted);
    drop((reader, writing.await.unwrap()));
    let pumped = pumping.await.unwrap();
    assert_eq!((pumped.sent, pumped.received), (3_000_000, 3_000_000));
    assert!(pumped.error.is_none(), "{:?}", pumped.error);
}

#[tokio::test]
async fn the_reason_of_the_other_end_is_told_and_ends_the_local_stream() {
    let url = serve_tcp().await;
    let client = api_client(&url, None, None).unwrap();
    let mut socket = open_websocket(client.get(format!("{url}/echo"))).await.unwrap();
    wait_for_text(&mut socket).await.unwrap();
    let (mut near, far) = duplex(4096);
    let pumping = tokio::spawn(pump(socket, far));
    near.write_all(b"end").await.unwrap();
    assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
    let error = pumping.await.unwrap().error.unwrap();
    assert!(error.to_string().ends_with(": the server ends"), "{error}");
}

#[tokio::test]
async fn a_refusal_is_an_error_with_the_servers_own_words() {
    let url = serve_tcp().await;
    let client = api_client(&url, None, None).unwrap();
    let error = open_websocket(client.get(format!("{url}/busy"))).await.unwrap_err();
    let WebSocketError::Refused { status, body } = error else { panic!("{error}") };
    assert_eq!((status.as_u16(), &body[..]), (503, &b"nobody waits"[..]));
}

#[tokio::test]
async fn a_websocket_goes_through_the_relay_like_every_call() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("relay");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { axum::serve(listener, routes()).await });
    let client = api_client("http://ci.example", None, Some(&path)).unwrap();
    let mut socket = open_websocket(client.get("http://ci.example/echo")).await.unwrap();
    assert_eq!(wait_for_text(&mut socket).await.unwrap(), "hello");
}
