//! `GET /api/v3/task/ssh/tunnel`: the WebSocket at which a task's agent waits for a person.

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;

use super::ssh::not_ready;
use crate::api::bearer::TaskCaller;
use crate::api::error::ApiError;
use crate::state::App;
use crate::store::task_ssh;
use crate::tunnels::{Handed, PersonEnd, Stop, close_with, join_sockets, keep_alive, with_limits};

/// Lets the agent of a task wait for a person. The first frame that it gets is a text frame with a
/// `TunnelOpened`; from then on the WebSocket is one connection of SSH, in binary frames.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/task/ssh/tunnel", tag = "agent", operation_id = "ssh_wait",
    responses((status = 101, description = "The WebSocket"), (status = 400, description = "It is not a WebSocket", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale, or the task has not said that it can be reached", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn wait(
    State(app): State<App>,
    caller: TaskCaller,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    caller.check(None)?;
    let upgrade = upgrade.map_err(|error| ApiError::Bad(error.body_text()))?;
    let mut tx = app.store.write().await?;
    let held = caller.lock(&mut tx, None).await?;
    let (task, peer_url) = (&held.task, app.peer_url.as_deref());
    if !task_ssh::set_server(&mut tx, task, &app.server.id, peer_url).await? {
        return Err(not_ready());
    }
    tx.commit().await?;
    Ok(with_limits(upgrade).on_upgrade(move |socket| serve_task(app, caller, socket)))
}

/// Serves the WebSocket of a task: waits for a person, and joins the two.
async fn serve_task(app: App, caller: TaskCaller, mut socket: WebSocket) {
    let _counted = app.tunnels.count();
    let task = caller.held.task.to_string();
    let ended = wait_for_end(&app, &caller);
    tokio::pin!(ended);
    loop {
        let mut waiting = app.tunnels.wait(&task);
        let why = tokio::select! {
            biased;
            why = &mut ended => why,
            handed = waiting.handed() => match handed {
                Some(Handed::Person(person)) => {
                    return join(socket, *person, ended.as_mut(), &task).await;
                }
                Some(Handed::Replaced) => Stop::Replaced,
                // Whoever took it went before the connection was one.
                None => continue,
            },
            why = keep_alive(&mut socket) => why,
        };
        return close_with(&mut socket, why).await;
    }
}

/// Joins a person with a task, until one of them ends or may not any more.
async fn join(
    mut socket: WebSocket,
    person: PersonEnd,
    ended: impl Future<Output = Stop>,
    task: &str,
) {
    let PersonEnd { socket: mut of_person, opened, right_ended, place: _place } = person;
    let head = serde_json::to_string(&opened).unwrap_or_default();
    if socket.send(Message::Text(head.into())).await.is_err() {
        // The agent was gone, and dials again.
        return close_with(&mut of_person, Stop::Lost).await;
    }
    let stop = async {
        tokio::select! {
            why = ended => why,
            () = right_ended => Stop::RightEnded,
        }
    };
    let why = join_sockets(socket, of_person, stop).await;
    tracing::info!(task.id = task, person = opened.person, ?why, "a connection of SSH ended");
}

/// Done when the server stops, or the task is not its agent's any more.
pub(super) async fn wait_for_end(app: &App, caller: &TaskCaller) -> Stop {
    let mut news = app.bus().tasks.subscribe(caller.held.task.as_str());
    loop {
        // Before each wait, for what changed since the call came in.
        if let Ok(mut conn) = app.store.read().await
            && let Err(ApiError::Conflict(_) | ApiError::NotFound(_)) =
                caller.look(&mut conn, None).await
        {
            return Stop::TaskOver;
        }
        tokio::select! {
            () = app.closed() => return Stop::Closing,
            () = news.changed() => {}
        }
    }
}
