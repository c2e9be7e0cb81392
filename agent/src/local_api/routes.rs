//! What can be asked for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use futures_util::Stream;
use russet_protocol::local::{DrainRequest, PauseRequest, Status};
use russet_protocol::problem::Problem;

use super::access::{Access, Policy};
use super::listener::Peer;
use super::maintenance::{Change, Keeper};
use crate::launch::board::Board;
use crate::metrics::{self, Metrics};

/// The longest request; they are a sentence and a number.
const BODY_LIMIT: usize = 16 * 1024;

/// The longest reason, in characters.
const REASON_LIMIT: usize = 500;

/// What the handlers need.
#[derive(Clone, Debug)]
struct Api {
    board: Arc<Board>,
    keeper: Keeper,
    policy: Arc<Policy>,
    metrics: Arc<Metrics>,
}

/// All calls.
pub(super) fn router(
    board: Arc<Board>,
    keeper: Keeper,
    policy: Policy,
    metrics: Arc<Metrics>,
) -> Router {
    let api = Api { board, keeper, policy: Arc::new(policy), metrics };
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/events", get(events))
        .route("/v1/metrics", get(metrics_text))
        .route("/v1/pause", post(pause))
        .route("/v1/drain", post(drain))
        .route("/v1/resume", post(resume))
        .layer(from_fn_with_state(api.clone(), admit))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(api)
}

fn problem(status: StatusCode, message: &str) -> Response {
    (status, Json(Problem { message: message.to_owned(), ..Problem::default() })).into_response()
}

/// Decides, before anything else, what the caller may do; what changes something, and what is
/// refused, goes into the log.
async fn admit(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let access = api.policy.access(peer.uid);
    let changes = request.method() != axum::http::Method::GET;
    let (uid, verb) = (peer.uid, request.uri().path().to_owned());
    if access == Access::Nothing || (changes && access != Access::Full) {
        tracing::warn!(uid, verb, "audit: refused on the local API");
        let message = if access == Access::Nothing {
            "tasks may not use the local API"
        } else {
            "only root and operators (`local_api.operators`) may do that"
        };
        return problem(StatusCode::FORBIDDEN, message);
    }
    request.extensions_mut().insert(access);
    let response = next.run(request).await;
    if changes {
        let status = response.status().as_u16();
        tracing::info!(uid, verb, status, "audit: asked for on the local API");
    }
    response
}

/// What this caller may see of it.
fn shown(mut status: Status, access: Access) -> Status {
    if access == Access::Look {
        for task in status.slots.iter_mut().filter_map(|slot| slot.task.as_mut()) {
            (task.project, task.job) = (None, None);
        }
        for task in &mut status.recent {
            (task.project, task.job) = (None, None);
        }
    }
    status
}

async fn status(State(api): State<Api>, Extension(access): Extension<Access>) -> Json<Status> {
    Json(shown(api.board.status(), access))
}

/// The status now and after each change. Changes that come faster than the client reads are one.
async fn events(
    State(api): State<Api>,
    Extension(access): Extension<Access>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut changes = api.board.watch();
    changes.mark_changed();
    let stream =
        futures_util::stream::unfold((api, changes), move |(api, mut changes)| async move {
            changes.changed().await.ok()?;
            let status = shown(api.board.status(), access);
            // These types always become JSON: their keys are strings.
            let event = Event::default().json_data(&status).ok()?;
            Some((Ok(event), (api, changes)))
        });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(60)))
}

/// Numbers only, so whoever may look may see them.
async fn metrics_text(State(api): State<Api>, headers: axum::http::HeaderMap) -> Response {
    metrics::answer(&api.metrics, &headers)
}

async fn pause(State(api): State<Api>, body: Option<Json<PauseRequest>>) -> Response {
    let Json(wish) = body.unwrap_or_default();
    let time = wish.for_s.map(Duration::from_secs);
    change(&api, |reason| Change::Pause(reason, time), wish.reason, "paused").await
}

async fn drain(State(api): State<Api>, body: Option<Json<DrainRequest>>) -> Response {
    let Json(wish) = body.unwrap_or_default();
    let time = wish.cancel_after_s.map(Duration::from_secs);
    change(&api, |reason| Change::Drain(reason, time), wish.reason, "drained").await
}

async fn resume(State(api): State<Api>) -> Response {
    change(&api, |_| Change::Resume, None, "resumed").await
}

async fn change(
    api: &Api,
    make: impl FnOnce(String) -> Change,
    reason: Option<String>,
    default: &str,
) -> Response {
    let reason: String = reason
        .unwrap_or_else(|| format!("{default} by a person"))
        .chars()
        .filter(|c| !c.is_control())
        .take(REASON_LIMIT)
        .collect();
    match api.keeper.ask(make(reason)).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            &format!("it could not be written down, so nothing was changed: {error}"),
        ),
    }
}
