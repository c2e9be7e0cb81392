//! `GET /api/v3/jobs/{id}/ssh/tunnel`: the WebSocket by which a person reaches a task.
//!
//! Threat: a page of another site can make a browser open a WebSocket with the cookie of a session, so
//! sessions of browsers are refused. The token lets somebody dial, and no more: who logs in is decided by the
//! keys of the access, in the task.

use std::time::Duration;

use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::Response;
use futures_util::future::BoxFuture;
use russet_protocol::ids::JobId;
use russet_protocol::people::Permission;
use russet_protocol::ssh::{SshPhase, TunnelOpened};
use serde::Deserialize;

use super::people::By;
use super::ssh::find_access;
use crate::api::ending::Ending;
use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::api::reach::Access;
use crate::api::refs::JobRef;
use crate::api::{Caller, ClientAddress};
use crate::people::{Denial, decide_in, namespace_of};
use crate::ssh_ways::phase_of;
use crate::state::App;
use crate::store::task_ssh::{self, TaskSsh, Way};
use crate::store::{Conn, names};
use crate::tunnels::{
    RELAYED_HEADER, RelayError, Stop, Taken, close_with, dial_peer, join_peer, with_limits,
};

/// Time for which a person waits for the agent of a task to dial in.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Interval of looks at which server the agent waits.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The task of a job.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    /// Its index, from 0.
    #[serde(default)]
    node: u32,
}

impl From<RelayError> for ApiError {
    fn from(error: RelayError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Connects a person with a task that is held for them. The WebSocket is one connection of SSH, in binary
/// frames.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/jobs/{id}/ssh/tunnel", tag = "admin", operation_id = "open_job_ssh_tunnel",
    params(("id" = String, Path, description = "The job"), ("node" = Option<u32>, Query, description = "Index of its task, from 0"), ("as" = Option<String>, Query, description = "The one who dials")),
    responses((status = 101, description = "The WebSocket"), (status = 400, description = "It is not a WebSocket", body = russet_protocol::problem::Problem), (status = 403, description = "The tasks are held for somebody else", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, the caller may not see it, or it does not run with SSH", body = russet_protocol::problem::Problem), (status = 410, description = "The task has ended", body = russet_protocol::problem::Problem), (status = 503, description = "The task cannot be reached yet", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn open(
    State(app): State<App>,
    JobRef(id): JobRef,
    Query(which): Query<Which>,
    By(by): By,
    access: Access,
    request: Request,
) -> Result<Response, ApiError> {
    let extensions = request.extensions();
    let head = (extensions.get::<Caller>().cloned(), extensions.get::<ClientAddress>().copied());
    let (Some(caller), Some(address)) = head else {
        return Err(ApiError::Denied(Denial::Credential));
    };
    check_caller(&app, &id, &caller, &access).await?;
    let is_relayed = request.headers().contains_key(RELAYED_HEADER);
    let from = address.0.to_string();
    match find_way(&app, &id, which.node, is_relayed).await? {
        Found::Here(taken) => {
            let right_ended = right_ended(&app, &caller);
            accept(&app, request, taken, (TunnelOpened { from, person: by }, right_ended)).await
        }
        Found::At(peer_url) => relay(&app, request, &peer_url, &from).await,
    }
}

/// Lets the person of the access in, and administrators.
async fn check_caller(
    app: &App,
    job: &JobId,
    caller: &Caller,
    access: &Access,
) -> Result<(), ApiError> {
    if matches!(caller, Caller::Browser(_) | Caller::Page(_)) {
        return Err(ApiError::Denied(Denial::Credential));
    }
    let mut conn = app.store.read().await?;
    let of = find_access(&mut conn, job).await?;
    if of.user.is_some() && of.user.as_ref() == caller.person().map(|person| &person.id) {
        return Ok(());
    }
    let project = names::project_of_job(&mut conn, job).await?.unwrap_or_default();
    let namespace = namespace_of(&project);
    decide_in(access.rights(), Permission::Admin, namespace.as_deref())
        .map_err(|_| ApiError::Denied(Denial::OthersSsh))
}

/// Done when the right of a caller to be connected has ended. That of the admin token does not.
fn right_ended(app: &App, caller: &Caller) -> BoxFuture<'static, ()> {
    match caller.person() {
        Some(person) => {
            let mut ending = Ending::of(app, person.clone(), caller.session_id());
            Box::pin(async move { ending.ended().await })
        }
        None => Box::pin(std::future::pending()),
    }
}

/// Place at which a task's agent waits.
enum Found {
    Here(Taken),
    /// At the server with this address.
    At(String),
}

/// Finds where the agent of a task waits, and waits for it to dial in.
async fn find_way(app: &App, job: &JobId, node: u32, is_relayed: bool) -> Result<Found, ApiError> {
    let first = find_task(&mut app.store.read().await?, job, node).await?;
    let mut changes = app.tunnels.subscribe(first.task.as_str());
    let end = tokio::time::Instant::now() + WAIT_TIMEOUT;
    let mut task = first;
    loop {
        let taken = app.tunnels.take(task.task.as_str());
        if let Some(taken) = taken.map_err(|error| ApiError::Unavailable(error.to_string()))? {
            return Ok(Found::Here(taken));
        }
        let elsewhere =
            task.way.as_ref().filter(|_| !is_relayed).filter(|way| is_at_other(app, way));
        if let Some(peer_url) = elsewhere.and_then(|way| way.peer_url.clone()) {
            return Ok(Found::At(peer_url));
        }
        if tokio::time::Instant::now() >= end {
            return Err(ApiError::Unavailable(reason_of(&task, elsewhere.is_some())));
        }
        tokio::select! {
            () = changes.changed() => {}
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            () = app.closed() => {
                let message = "the control plane restarts; dial again".to_owned();
                return Err(ApiError::Unavailable(message));
            }
        }
        task = find_task(&mut app.store.read().await?, job, node).await?;
    }
}

/// Returns true where the agent waits at another server of the database.
fn is_at_other(app: &App, way: &Way) -> bool {
    app.store.is_shared()
        && way.server.as_ref().is_some_and(|server| *server != app.server.id)
        && (way.peer_url.is_none() || way.peer_url.as_deref() != app.peer_url.as_deref())
}

/// Returns the reason why no agent waits here.
fn reason_of(task: &TaskSsh, is_elsewhere: bool) -> String {
    match (is_elsewhere, phase_of(task)) {
        (true, _) => {
            "the task waits at another server of the control plane, which this one does not \
                      reach: give each server its address by `--peer-url`"
                .to_owned()
        }
        (false, SshPhase::Starting) => {
            "the task cannot be reached yet: it waits for a runner, or has just begun".to_owned()
        }
        (false, _) => "the task's agent does not dial in at the moment; try again".to_owned(),
    }
}

async fn find_task(conn: &mut Conn, job: &JobId, node: u32) -> Result<TaskSsh, ApiError> {
    let tasks = task_ssh::of_job(conn, job).await?;
    let number = tasks.len();
    let found = tasks.into_iter().find(|task| task.node_index == node);
    let task = found.ok_or_else(|| match number {
        0 => ApiError::Unavailable("the job waits for its turn, and has no task yet".to_owned()),
        _ => ApiError::NotFound(format!("the job {job} has no task {node}, but {number}, from 0")),
    })?;
    match phase_of(&task) {
        SshPhase::Ended => Err(ApiError::Gone(format!(
            "the task has ended; `russet job rerun --ssh {job}` makes another one"
        ))),
        _ => Ok(task),
    }
}

/// Makes the person's connection a WebSocket, and hands it to the task's side.
async fn accept(
    app: &App,
    request: Request,
    taken: Taken,
    (opened, right_ended): (TunnelOpened, BoxFuture<'static, ()>),
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, app).await;
    let upgrade = upgrade.map_err(|error| ApiError::Bad(error.body_text()))?;
    Ok(with_limits(upgrade).on_upgrade(async move |socket: WebSocket| {
        if let Err(mut socket) = taken.hand_over(socket, opened, right_ended) {
            // The agent went away in this very moment.
            close_with(&mut socket, Stop::Lost).await;
        }
    }))
}

/// Passes the person's connection on to another server.
async fn relay(
    app: &App,
    request: Request,
    peer_url: &str,
    from: &str,
) -> Result<Response, ApiError> {
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, app).await;
    let upgrade = upgrade.map_err(|error| ApiError::Bad(error.body_text()))?;
    let peer = dial_peer(app.tunnels.peer_client()?, peer_url, &path, &parts.headers, from).await?;
    let (app, counted) = (app.clone(), app.tunnels.count());
    Ok(with_limits(upgrade).on_upgrade(async move |person: WebSocket| {
        let _counted = counted;
        let closing = async {
            app.closed().await;
            Stop::Closing
        };
        let why = join_peer(person, peer, closing).await;
        tracing::debug!(?why, "a connection to another server ended");
    }))
}
