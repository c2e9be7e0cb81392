//! `POST /api/v3/task/heartbeat`.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::HeaderMap;
use russet_protocol::resource_class::ResourceClass;
use russet_protocol::runner::{HeartbeatFrom, HeartbeatRequest, HeartbeatResponse};

use super::claim::pause_of;
use crate::api::bearer::TaskCaller;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::prefer;
use crate::scheduler::leases;
use crate::state::App;
use crate::store::tasks;

/// Renews the lease and says whether the task is to be canceled.
///
/// With `Prefer: wait=N` the answer is held back for up to so many seconds, and comes at once
/// when the task is canceled or taken away. The lease is renewed when the call comes in.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/task/heartbeat", tag = "agent", operation_id = "heartbeat_heartbeat",
    params(("Prefer" = Option<String>, Header, description = "`wait=N`: answer when the task is canceled, or after so many seconds")),
    request_body = russet_protocol::runner::HeartbeatRequest,
    responses((status = 200, description = "The lease, and whether to cancel", body = russet_protocol::runner::HeartbeatResponse), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn heartbeat(
    State(app): State<App>,
    headers: HeaderMap,
    caller: TaskCaller,
    Json(request): Json<HeartbeatRequest, SMALL>,
) -> Result<JsonAnswer<HeartbeatResponse>, ApiError> {
    let patience = prefer::preferred_wait(&headers);
    let mut news = app.bus().tasks.subscribe(caller.held.task.as_str());
    let mut answer = renew_lease(&app, &caller, &request).await?;
    answer.pause = note_runner(&app, &caller, &request).await?;
    if patience.is_zero() {
        return Ok(JsonAnswer(answer));
    }
    let patience = tokio::time::sleep(patience);
    tokio::pin!(patience);
    let mut last = false;
    while answer.cancel.is_none() && !last {
        tokio::select! {
            () = news.changed() => {}
            () = &mut patience => last = true,
            () = app.closed() => last = true,
        }
        answer =
            HeartbeatResponse { pause: answer.pause, ..read_state(&app, &caller, &request).await? };
    }
    Ok(JsonAnswer(answer))
}

/// Notes that a runner is here whose launch agent speaks. Returns the pause that it is under.
async fn note_runner(
    app: &App,
    caller: &TaskCaller,
    request: &HeartbeatRequest,
) -> Result<Option<String>, ApiError> {
    let held = &caller.held;
    let (HeartbeatFrom::LaunchAgent, Some(runner)) = (request.from, &held.runner) else {
        return Ok(None);
    };
    app.presence.note(&held.class, runner, app.clock.wall_ms());
    let Ok(class) = held.class.parse::<ResourceClass>() else { return Ok(None) };
    pause_of(app, &mut app.store.read().await?, &class, runner).await.map(Some)
}

async fn renew_lease(
    app: &App,
    caller: &TaskCaller,
    request: &HeartbeatRequest,
) -> Result<HeartbeatResponse, ApiError> {
    let mut tx = app.store.write().await?;
    let held = caller.lock(&mut tx, Some(&request.allocation)).await?;
    let now = tx.lease_ms(&*app.clock);
    let since_claim = now - held.granted.unwrap_or(now);
    let mut expires = held.expires.unwrap_or(now);
    if leases::renews_lease(request.from, request.peer_silent_ms, since_claim, app.lease_ms) {
        expires = leases::lease_end(now, app.lease_ms, held.step_started);
        tasks::set_expires(&mut tx, &held.task, expires).await?;
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(HeartbeatResponse { lease_ms: time_left(expires, now), cancel: held.cancel, pause: None })
}

/// Returns the state, without renewing the lease.
async fn read_state(
    app: &App,
    caller: &TaskCaller,
    request: &HeartbeatRequest,
) -> Result<HeartbeatResponse, ApiError> {
    let mut conn = app.store.read().await?;
    let held = caller.look(&mut conn, Some(&request.allocation)).await?;
    let now = conn.lease_now(&*app.clock).await?;
    let expires = held.expires.unwrap_or(now);
    Ok(HeartbeatResponse { lease_ms: time_left(expires, now), cancel: held.cancel, pause: None })
}

fn time_left(expires: i64, now: i64) -> u64 {
    u64::try_from(expires - now).unwrap_or(0)
}
