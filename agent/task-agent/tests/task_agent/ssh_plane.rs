//! The part of a control plane that joins people to a task that was rerun with SSH.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{Json, Response};
use axum::routing::{get, post};
use futures_util::{SinkExt as _, StreamExt as _};
use russet_protocol::ssh::{
    HoldOrders, HoldReport, SessionReport, SshReady, TASK_HOLD_PATH, TASK_READY_PATH,
    TASK_SESSIONS_PATH, TASK_TUNNEL_PATH, TunnelOpened,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

/// What the task agent said, and what it is told.
pub(crate) struct SshPlane {
    pub(crate) ready: watch::Sender<Option<SshReady>>,
    pub(crate) hold: watch::Sender<Option<HoldReport>>,
    pub(crate) sessions: watch::Sender<Vec<SessionReport>>,
    pub(crate) orders: Mutex<HoldOrders>,
    arrived: mpsc::Sender<WebSocket>,
    waiting: Mutex<Option<mpsc::Receiver<WebSocket>>>,
}

type Shared = State<Arc<SshPlane>>;

impl SshPlane {
    pub(crate) fn new() -> Arc<Self> {
        let (arrived, waiting) = mpsc::channel(4);
        Arc::new(Self {
            ready: watch::Sender::new(None),
            hold: watch::Sender::new(None),
            sessions: watch::Sender::new(Vec::new()),
            orders: Mutex::default(),
            arrived,
            waiting: Mutex::new(Some(waiting)),
        })
    }

    pub(crate) fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route(TASK_READY_PATH, post(ready))
            .route(TASK_HOLD_PATH, post(hold))
            .route(TASK_SESSIONS_PATH, post(session))
            .route(TASK_TUNNEL_PATH, get(tunnel))
            .with_state(Arc::clone(self))
    }

    /// Opens a port on loopback whose connections are joined to waiting WebSockets, as a person's
    /// own command does.
    pub(crate) async fn open_port(self: &Arc<Self>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut waiting = self.waiting.lock().unwrap().take().unwrap();
        tokio::spawn(async move {
            loop {
                let (person, _) = listener.accept().await.unwrap();
                let agent = waiting.recv().await.unwrap();
                tokio::spawn(join(agent, person));
            }
        });
        port
    }
}

async fn join(mut agent: WebSocket, person: TcpStream) {
    let opened = TunnelOpened { from: "198.51.100.7:2222".to_owned(), person: "ada".to_owned() };
    agent.send(Message::Text(serde_json::to_string(&opened).unwrap().into())).await.unwrap();
    let (mut to_agent, mut from_agent) = agent.split();
    let (mut from_person, mut to_person) = person.into_split();
    let up = async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from_person.read(&mut buffer).await {
            let bytes = Bytes::copy_from_slice(&buffer[..length]);
            if to_agent.send(Message::Binary(bytes)).await.is_err() {
                return;
            }
        }
        drop(to_agent.send(Message::Close(None)).await);
    };
    let down = async move {
        while let Some(Ok(message)) = from_agent.next().await {
            if let Message::Binary(bytes) = message
                && to_person.write_all(&bytes).await.is_err()
            {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

async fn ready(State(plane): Shared, Json(body): Json<SshReady>) -> StatusCode {
    plane.ready.send_replace(Some(body));
    StatusCode::NO_CONTENT
}

async fn hold(State(plane): Shared, Json(body): Json<HoldReport>) -> Json<HoldOrders> {
    plane.hold.send_replace(Some(body));
    Json(*plane.orders.lock().unwrap())
}

async fn session(State(plane): Shared, Json(body): Json<SessionReport>) -> StatusCode {
    plane.sessions.send_modify(|sessions| sessions.push(body));
    StatusCode::NO_CONTENT
}

async fn tunnel(State(plane): Shared, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| async move { drop(plane.arrived.send(socket).await) })
}
