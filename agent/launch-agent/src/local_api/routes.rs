//! Calls of the local API.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use russet_protocol::ids::TaskId;
use russet_protocol::local::{CancelRequest, DrainRequest, Looking, PauseRequest, Status};
#[cfg(test)]
use russet_protocol::problem::Problem;
use tokio::sync::mpsc;

use super::access::{Access, Gate, Policy};
use super::audit::Audit;
use super::listener::Peer;
use super::logs;
use super::maintenance::{Change, Keeper};
use super::reading::read_apart;
use super::shown::Shown;
use super::state::{Api, problem};
use super::task_log;
use crate::board::Board;
use crate::install::SealedMachine;
use crate::metrics::{self, Metrics};
use crate::requests::{Command, HoldSource, UpdateAction, UpdateRequests};
use russet_platform::clock::Clock;

/// The longest request; they are a sentence and a number.
const BODY_LIMIT: usize = 16 * 1024;

/// The longest reason, in characters.
const REASON_LIMIT: usize = 500;

/// Subjects of the calls.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) board: Arc<Board>,
    pub(super) maintenance: Keeper,
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) updates: Option<UpdateRequests>,
    pub(super) policy: Policy,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: Option<PathBuf>,
    pub(super) state: PathBuf,
    pub(super) machine: Option<SealedMachine>,
    pub(super) data: PathBuf,
}

/// All calls.
pub(super) fn router(parts: Parts) -> Router {
    let Parts {
        board,
        maintenance,
        commands,
        updates,
        policy,
        clock,
        metrics,
        log,
        state,
        data,
        machine,
    } = parts;
    let api = Api {
        shown: Arc::new(Shown::new(board)),
        keeper: maintenance,
        commands,
        updates,
        gate: Gate::new(policy, clock.clone()),
        audit: Arc::new(Audit::new(clock)),
        metrics,
        log: log.map(Arc::new),
        state: Arc::new(state),
        machine: machine.map(Arc::new),
        data: Arc::new(data),
    };
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/events", get(events))
        .route("/v1/metrics", get(metrics_text))
        .route("/v1/logs", get(logs::logs))
        .route("/v1/pause", post(pause))
        .route("/v1/drain", post(drain))
        .route("/v1/resume", post(resume))
        .route("/v1/tasks/{id}/cancel", post(cancel))
        .route("/v1/tasks/{id}/log", get(task_log::task_log))
        .route("/v1/machine/accept", post(accept_machine))
        .route("/v1/update/check", post(check_update))
        .route("/v1/update/install", post(install_update))
        .layer(from_fn_with_state(api.clone(), admit_caller))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(api)
}

/// Types that these calls take and answer.
#[cfg(test)]
#[derive(Debug, utoipa::OpenApi)]
#[openapi(paths(
    status,
    events,
    metrics_text,
    logs::logs,
    task_log::task_log,
    pause,
    drain,
    resume,
    cancel,
    accept_machine,
    check_update,
    install_update
))]
pub(super) struct Docs;

/// Decides, before anything else, what the caller may do; what changes something, and what is
/// refused, goes into the log.
async fn admit_caller(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let access = api.gate.access(peer.uid).await;
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if access == Access::Nothing || (changes && access != Access::Full) {
        api.audit.refused(peer.uid, method.as_str(), &path);
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
        api.audit.asked(peer.uid, method.as_str(), &path, response.status().as_u16());
    }
    response
}

/// Everything at a glance. Names of projects and jobs, ids and addresses of tasks are left out for
/// who is neither root nor an operator, unless `local_api.open`.
#[cfg_attr(test, utoipa::path(
    get, path = "/v1/status", tag = "look",
    responses(
        (status = 200, description = "The status", body = Status),
        (status = 403, description = "Tasks run as the caller", body = Problem),
    ),
))]
async fn status(State(api): State<Api>, Extension(access): Extension<Access>) -> Json<Status> {
    Json(api.shown.status(access))
}

/// The status now and after each change, as server-sent events whose data is the status. Changes
/// that come faster than the caller reads, or than twenty a second, are one.
#[cfg_attr(test, utoipa::path(
    get, path = "/v1/events", tag = "look",
    responses(
        (status = 200, description = "Events, until the agent ends", content_type = "text/event-stream", body = Status),
        (status = 403, description = "Tasks run as the caller", body = Problem),
    ),
))]
async fn events(State(api): State<Api>, Extension(access): Extension<Access>) -> Response {
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(api.shown.events(access))).into_response()
}

/// Counters of the agent, as Prometheus reads them. Numbers only, so whoever may look may see them.
#[cfg_attr(test, utoipa::path(
    get, path = "/v1/metrics", tag = "look",
    responses(
        (status = 200, description = "The metrics, in the form that `Accept` asks for", content_type = "text/plain", body = String),
        (status = 403, description = "Tasks run as the caller", body = Problem),
    ),
))]
async fn metrics_text(State(api): State<Api>, headers: axum::http::HeaderMap) -> Response {
    metrics::answer_request(&api.metrics, &headers)
}

/// Claim nothing; what runs goes on.
#[cfg_attr(test, utoipa::path(
    post, path = "/v1/pause", tag = "change", request_body = Option<PauseRequest>,
    responses(
        (status = 204, description = "It is so, and is kept over restarts"),
        (status = 403, description = "The caller is neither root nor an operator", body = Problem),
        (status = 500, description = "It could not be written down, and nothing was changed", body = Problem),
    ),
))]
async fn pause(State(api): State<Api>, body: Option<Json<PauseRequest>>) -> Response {
    let Json(wish) = body.unwrap_or_default();
    let time = wish.for_s.map(Duration::from_secs);
    change_maintenance(&api, |reason| Change::Pause(reason, time), wish.reason, "paused").await
}

/// Claim nothing and let what runs finish; the agent itself goes on.
#[cfg_attr(test, utoipa::path(
    post, path = "/v1/drain", tag = "change", request_body = Option<DrainRequest>,
    responses(
        (status = 204, description = "It is so, and is kept over restarts"),
        (status = 403, description = "The caller is neither root nor an operator", body = Problem),
        (status = 500, description = "It could not be written down, and nothing was changed", body = Problem),
    ),
))]
async fn drain(State(api): State<Api>, body: Option<Json<DrainRequest>>) -> Response {
    let Json(wish) = body.unwrap_or_default();
    let time = wish.cancel_after_s.map(Duration::from_secs);
    change_maintenance(&api, |reason| Change::Drain(reason, time), wish.reason, "drained").await
}

/// Claim again: ends a pause and a drain.
#[cfg_attr(test, utoipa::path(
    post, path = "/v1/resume", tag = "change",
    responses(
        (status = 204, description = "It is so, and is kept over restarts"),
        (status = 403, description = "The caller is neither root nor an operator", body = Problem),
        (status = 500, description = "It could not be written down, and nothing was changed", body = Problem),
    ),
))]
async fn resume(State(api): State<Api>) -> Response {
    change_maintenance(&api, |_| Change::Resume, None, "resumed").await
}

/// Cancel a task that runs: its steps are ended, and it ends as `canceled`, with the reason in its
/// log. It does not run elsewhere.
#[cfg_attr(test, utoipa::path(
    post, path = "/v1/tasks/{id}/cancel", tag = "change", request_body = Option<CancelRequest>,
    params(("id" = TaskId, Path, description = "The task, as the status calls it")),
    responses(
        (status = 202, description = "The task is told to end; the status says when it has"),
        (status = 403, description = "The caller is neither root nor an operator", body = Problem),
        (status = 404, description = "No such task runs here", body = Problem),
    ),
))]
async fn cancel(
    State(api): State<Api>,
    Path(id): Path<TaskId>,
    body: Option<Json<CancelRequest>>,
) -> Response {
    let runs = api.shown.board().status().slots.into_iter().filter_map(|slot| slot.task);
    if !runs.into_iter().any(|task| task.id.as_ref() == Some(&id)) {
        return problem(StatusCode::NOT_FOUND, "no such task runs here");
    }
    let reason = printable_reason(body.unwrap_or_default().0.reason, "canceled");
    // Nobody listens any more when the agent ends, and then the task is left to the next one.
    drop(api.commands.send(Command::CancelTask { id, reason }));
    StatusCode::ACCEPTED.into_response()
}

/// Note that the installation is for this machine, and claim here: after a disk was copied, or a Mac
/// was set up from another one.
#[cfg_attr(test, utoipa::path(
    post, path = "/v1/machine/accept", tag = "change",
    responses(
        (status = 204, description = "It is noted, and the hold `machine` has ended"),
        (status = 403, description = "The caller is neither root nor an operator", body = Problem),
        (status = 409, description = "This agent is not installed as a service, so it claims anywhere", body = Problem),
        (status = 500, description = "It could not be written down, and nothing was changed", body = Problem),
    ),
))]
async fn accept_machine(State(api): State<Api>) -> Response {
    let Some(machine) = api.machine.clone() else {
        let message = "this agent is not installed as a service: it claims on any machine";
        return problem(StatusCode::CONFLICT, message);
    };
    match read_apart(move || machine.accept()).await {
        Ok(()) => {
            // Nobody listens any more when the agent ends.
            drop(api.commands.send(Command::Hold(HoldSource::Machine, None)));
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            &format!("it could not be written down, so nothing was changed: {error}"),
        ),
    }
}

/// Look for an update now. How far it is, the status says.
#[cfg_attr(test, utoipa::path(
    post, path = "/v1/update/check", tag = "change",
    responses(
        (status = 202, description = "It is looked for; the status says when that has ended, and what came of it", body = Looking),
        (status = 403, description = "The caller is neither root nor an operator", body = Problem),
        (status = 409, description = "This agent has no source of updates", body = Problem),
    ),
))]
async fn check_update(State(api): State<Api>) -> Response {
    request_update(&api, UpdateAction::Check)
}

/// Look for an update now, and install it as soon as no task runs, also where that is not done by
/// itself.
#[cfg_attr(test, utoipa::path(
    post, path = "/v1/update/install", tag = "change",
    responses(
        (status = 202, description = "It is done when no task runs; the status says how far it is", body = Looking),
        (status = 403, description = "The caller is neither root nor an operator", body = Problem),
        (status = 409, description = "This agent has no source of updates", body = Problem),
    ),
))]
async fn install_update(State(api): State<Api>) -> Response {
    request_update(&api, UpdateAction::Install)
}

fn request_update(api: &Api, action: UpdateAction) -> Response {
    match api.updates.as_ref().and_then(|updates| updates.send(action)) {
        Some(look) => (StatusCode::ACCEPTED, Json(Looking { look })).into_response(),
        None => problem(
            StatusCode::CONFLICT,
            "this agent looks for no updates: it is not installed as a service, or `update.source` \
             in its configuration names none",
        ),
    }
}

async fn change_maintenance(
    api: &Api,
    make: impl FnOnce(String) -> Change,
    wish: Option<String>,
    default: &str,
) -> Response {
    match api.keeper.ask(make(printable_reason(wish, default))).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            &format!("it could not be written down, so nothing was changed: {error}"),
        ),
    }
}

/// Returns the reason, in the caller's words or the default.
fn printable_reason(wish: Option<String>, default: &str) -> String {
    let reason = wish.unwrap_or_else(|| format!("{default} by a person on the runner's machine"));
    russet_text::one_line_within(&reason, REASON_LIMIT)
}

#[cfg(test)]
mod tests {
    use utoipa::OpenApi as _;

    fn description() -> String {
        let mut description = super::Docs::openapi();
        description.info = utoipa::openapi::Info::new("Russet agent, on its own machine", "1");
        description.info.description = Some(
            "HTTP and JSON over a unix socket. Who calls is what the kernel says of the other end."
                .to_owned(),
        );
        description.to_pretty_json().unwrap() + "\n"
    }

    /// To write the file anew: `RUSSET_UPDATE_DOCS=1 cargo test -p russet-launch-agent --lib
    /// openapi`.
    #[test]
    fn the_committed_openapi_description_is_the_one_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/local-api.json");
        let now = description();
        if std::env::var_os("RUSSET_UPDATE_DOCS").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap_or_default() == now,
            "docs/local-api.json is not what the code says; write it anew with \
             `RUSSET_UPDATE_DOCS=1 cargo test -p russet-launch-agent --lib openapi`, then look at the diff"
        );
    }
}
