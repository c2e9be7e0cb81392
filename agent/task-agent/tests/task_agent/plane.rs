//! A control plane for one task: it holds what arrives, and misbehaves as told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, patch, post, put};
use russet_protocol::UPLOAD_OFFSET_HEADER;
use russet_protocol::problem::Problem;
use russet_protocol::runner::{
    Event, EventKind, EventsRequest, EventsResponse, FinishMissing, FinishRequest,
    HeartbeatRequest, HeartbeatResponse, StoredObject, TestResult, TestResultsRequest,
};
use russet_protocol::task::TaskConfig;
use tokio::sync::watch;

use crate::ssh_plane::SshPlane;

/// Fault of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The request is not handled at all.
    Refuse(u16),
    /// The request is handled, and the answer says that it was not.
    Forget(u16),
    /// The request is handled, and the answer breaks off.
    Truncate,
}

type Faults = Box<dyn Fn(usize, &str) -> Option<Fault> + Send + Sync>;

/// Messages that have arrived.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) output: BTreeMap<u32, Vec<u8>>,
    pub(crate) events: Vec<Event>,
    pub(crate) finish: Option<FinishRequest>,
    /// As a server does that is older than events in `finish`.
    pub(crate) ignores_last_events: bool,
    pub(crate) artifacts: BTreeMap<String, Vec<u8>>,
    pub(crate) results: BTreeMap<u32, Vec<TestResult>>,
    pub(crate) heartbeats: Vec<HeartbeatRequest>,
    pub(crate) unclaimed: bool,
    pub(crate) requests: usize,
    /// Paths of requests.
    pub(crate) paths: Vec<String>,
}

impl Held {
    /// The output of a step, as text.
    pub(crate) fn text(&self, step: u32) -> String {
        let bytes = self.output.get(&step).map(Vec::as_slice).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// Returns the end of a step.
    pub(crate) fn finished(&self, step: u32) -> Option<&EventKind> {
        self.events.iter().map(|event| &event.kind).find(
            |kind| matches!(kind, EventKind::StepFinished { step: number, .. } if *number == step),
        )
    }
}

/// The control plane.
pub(crate) struct Plane {
    config: Mutex<Option<TaskConfig>>,
    source: Mutex<Bytes>,
    pub(crate) held: watch::Sender<Held>,
    cancel: watch::Sender<Option<String>>,
    stale: watch::Sender<bool>,
    faults: Mutex<Option<Faults>>,
    pub(crate) ssh: Arc<SshPlane>,
}

impl Plane {
    /// Starts to serve and returns the address.
    pub(crate) async fn start() -> (Arc<Self>, String) {
        let plane = Arc::new(Self {
            config: Mutex::default(),
            source: Mutex::default(),
            held: watch::Sender::new(Held::default()),
            cancel: watch::Sender::new(None),
            stale: watch::Sender::new(false),
            faults: Mutex::default(),
            ssh: SshPlane::new(),
        });
        let app = Router::new()
            .route("/api/v2/task/config", get(config))
            .route("/api/v3/task/heartbeat", post(heartbeat))
            .route("/api/v3/task/events", post(events))
            .route("/api/v3/task/steps/{step}/output", patch(output))
            .route("/api/v3/task/artifacts/{*path}", put(artifact))
            .route("/api/v3/task/test-results", post(results))
            .route("/api/v3/task/source", get(source))
            .route("/api/v3/task/finish", post(finish))
            .route("/api/v3/runner/unclaim", post(unclaim))
            .with_state(Arc::clone(&plane))
            .merge(plane.ssh.routes())
            .layer(axum::extract::DefaultBodyLimit::disable())
            .layer(from_fn_with_state(Arc::clone(&plane), misbehave));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (plane, url)
    }

    pub(crate) fn set_config(&self, config: TaskConfig) {
        *self.config.lock().unwrap() = Some(config);
    }

    pub(crate) fn set_source(&self, bytes: Vec<u8>) {
        *self.source.lock().unwrap() = bytes.into();
    }

    pub(crate) fn set_faults(
        &self,
        faults: impl Fn(usize, &str) -> Option<Fault> + Send + Sync + 'static,
    ) {
        *self.faults.lock().unwrap() = Some(Box::new(faults));
    }

    pub(crate) fn cancel(&self, why: &str) {
        self.cancel.send_replace(Some(why.to_owned()));
    }

    pub(crate) fn forget_the_task(&self) {
        self.stale.send_replace(true);
    }

    /// Waits until what is held is as wanted.
    pub(crate) async fn until(&self, what: &str, is_so: impl FnMut(&Held) -> bool) {
        let mut held = self.held.subscribe();
        let wait = held.wait_for(is_so);
        let limit = Duration::from_secs(60);
        assert!(tokio::time::timeout(limit, wait).await.is_ok(), "never happened: {what}");
    }
}

type Shared = State<Arc<Plane>>;

async fn misbehave(State(plane): Shared, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut number = 0;
    plane.held.send_modify(|held| {
        held.requests += 1;
        held.paths.push(path.clone());
        number = held.requests;
    });
    assert!(request.headers().contains_key("authorization"), "{path}");
    let fault = plane.faults.lock().unwrap().as_ref().and_then(|faults| faults(number, &path));
    let problem = |status: u16| {
        let status = StatusCode::from_u16(status).unwrap();
        (status, Json(Problem { message: "as told".to_owned(), ..Problem::default() }))
    };
    if *plane.stale.borrow() {
        return problem(404).into_response();
    }
    match fault {
        None => next.run(request).await,
        Some(Fault::Refuse(status)) => problem(status).into_response(),
        Some(Fault::Forget(status)) => {
            next.run(request).await;
            problem(status).into_response()
        }
        Some(Fault::Truncate) => {
            next.run(request).await;
            let broken = futures_util::stream::iter([
                Ok(Bytes::from_static(b"{\"last")),
                Err(std::io::Error::other("cut")),
            ]);
            Response::new(Body::from_stream(broken))
        }
    }
}

async fn config(State(plane): Shared) -> Json<TaskConfig> {
    Json(plane.config.lock().unwrap().clone().unwrap())
}

async fn source(State(plane): Shared) -> Bytes {
    plane.source.lock().unwrap().clone()
}

async fn heartbeat(
    State(plane): Shared,
    headers: HeaderMap,
    Json(body): Json<HeartbeatRequest>,
) -> Json<HeartbeatResponse> {
    plane.held.send_modify(|held| held.heartbeats.push(body));
    let wait = headers.get("prefer").and_then(|value| value.to_str().ok()?.strip_prefix("wait="));
    let wait = wait.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let mut cancel = plane.cancel.subscribe();
    let canceled = cancel.wait_for(Option::is_some);
    drop(tokio::time::timeout(wait.unwrap_or_default(), canceled).await);
    Json(HeartbeatResponse { lease_ms: 60_000, cancel: plane.cancel.borrow().clone(), pause: None })
}

async fn events(State(plane): Shared, Json(body): Json<EventsRequest>) -> Json<EventsResponse> {
    let mut last_seq = 0;
    plane.held.send_modify(|held| {
        for event in body.events {
            let next = u64::try_from(held.events.len()).unwrap() + 1;
            assert!(event.seq <= next, "a gap before event {}", event.seq);
            if event.seq == next {
                held.events.push(event);
            }
        }
        last_seq = held.events.len().try_into().unwrap();
    });
    Json(EventsResponse { last_seq })
}

async fn output(
    State(plane): Shared,
    Path(step): Path<u32>,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let offset: usize = headers[UPLOAD_OFFSET_HEADER].to_str().unwrap().parse().unwrap();
    let mut answer = (StatusCode::CONFLICT, 0);
    plane.held.send_modify(|held| {
        let output = held.output.entry(step).or_default();
        if offset == output.len() {
            output.extend_from_slice(&body);
            answer.0 = StatusCode::NO_CONTENT;
        }
        answer.1 = output.len();
    });
    (answer.0, [(UPLOAD_OFFSET_HEADER, answer.1.to_string())])
}

async fn artifact(
    State(plane): Shared,
    Path(path): Path<String>,
    body: Bytes,
) -> Json<StoredObject> {
    let stored = StoredObject {
        size: body.len().try_into().unwrap(),
        blake3: blake3::hash(&body).to_hex().to_string(),
    };
    plane.held.send_modify(|held| drop(held.artifacts.insert(path, body.to_vec())));
    Json(stored)
}

async fn results(State(plane): Shared, Json(body): Json<TestResultsRequest>) -> StatusCode {
    plane.held.send_modify(|held| drop(held.results.insert(body.batch, body.results)));
    StatusCode::NO_CONTENT
}

async fn finish(State(plane): Shared, Json(body): Json<FinishRequest>) -> Response {
    let mut missing =
        FinishMissing { message: "not everything is here".to_owned(), ..Default::default() };
    plane.held.send_if_modified(|held| {
        let ours = held.events.len();
        if !held.ignores_last_events {
            let next = |event: &&Event| event.seq > ours.try_into().unwrap();
            let more: Vec<Event> = body.events.iter().filter(next).cloned().collect();
            held.events.extend(more);
        }
        let last = u64::try_from(held.events.len()).unwrap();
        missing.last_seq = (last != body.last_seq).then_some(last);
        for (step, bytes) in &body.output {
            let has = u64::try_from(held.output.get(step).map_or(0, Vec::len)).unwrap();
            if has != *bytes {
                missing.output.insert(*step, has);
            }
        }
        let is_complete = missing.last_seq.is_none() && missing.output.is_empty();
        if is_complete {
            held.finish = Some(body);
        } else {
            held.events.truncate(ours);
        }
        is_complete
    });
    if missing.last_seq.is_none() && missing.output.is_empty() {
        StatusCode::OK.into_response()
    } else {
        (StatusCode::CONFLICT, Json(missing)).into_response()
    }
}

async fn unclaim(State(plane): Shared) -> StatusCode {
    plane.held.send_modify(|held| held.unclaimed = true);
    StatusCode::OK
}
