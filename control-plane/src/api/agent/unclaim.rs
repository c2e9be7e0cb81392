//! `POST /api/v3/runner/unclaim`.

use axum::Json as JsonAnswer;
use axum::extract::State;
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::UnclaimRequest;
use serde_json::{Value, json};

use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::contention;
use crate::credentials::TokenHash;
use crate::keeping::delete_objects;
use crate::lifecycle::{end_task, put_back};
use crate::scheduler::leases::{REST_MS, on_unclaim, rests_after};
use crate::state::App;
use crate::store::{allocations, locks};

/// Puts a task back of which no step has started. The token in the body authorizes it. 409 where
/// a step has, or where runners could not start it too often.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/runner/unclaim", tag = "agent", operation_id = "unclaim_unclaim",
    request_body = russet_protocol::runner::UnclaimRequest,
    responses((status = 200, description = "The task is back in the line", body = serde_json::Value), (status = 404, description = "No task that is held has this token", body = russet_protocol::problem::Problem), (status = 409, description = "A step of it has started, or it was given back too often", body = russet_protocol::problem::Problem))
))]
pub(super) async fn unclaim(
    State(app): State<App>,
    Json(request): Json<UnclaimRequest, SMALL>,
) -> Result<JsonAnswer<Value>, ApiError> {
    contention::retry(|| give_back(&app, &request)).await
}

async fn give_back(app: &App, request: &UnclaimRequest) -> Result<JsonAnswer<Value>, ApiError> {
    let unknown = || ApiError::NotFound("no task that is held has this token".to_owned());
    let hash = TokenHash::of(request.task_token.expose());
    let mut tx = app.store.write().await?;
    let found = allocations::by_token(&mut tx, &hash).await?.ok_or_else(unknown)?;
    locks::pipeline(&mut tx, &found.pipeline).await?;
    locks::task(&mut tx, &found.task).await?;
    let held = allocations::by_token(&mut tx, &hash).await?.ok_or_else(unknown)?;
    if held.task != request.task_id
        || held.current.as_ref() != Some(&held.allocation)
        || held.phase != Phase::Running
    {
        return Err(unknown());
    }
    let now_ms = app.clock.wall_ms();
    let mut objects = Vec::new();
    if let Some(reason) = &held.cancel {
        end_task(&mut tx, &held, Outcome::Canceled, Some(reason), now_ms).await?;
    } else {
        let unclaims = on_unclaim(held.step_started, held.unclaims, request.cause)
            .map_err(|why| ApiError::Conflict(why.to_owned()))?;
        let message = "its runner gave it back; it waits for another";
        objects = put_back(&mut tx, &held, unclaims, message, now_ms).await?;
    }
    if rests_after(request.cause) {
        // Before the task is in the line for others to see: no claim of this runner takes it.
        let runner = allocations::runner(&mut tx, &held.allocation).await?;
        let now = app.clock.steady_ms();
        app.rests.begin(&held.class, &runner, now, now + REST_MS);
        tx.tell_rest(&held.class, &runner);
    }
    tx.commit().await?;
    let cause = request.cause;
    tracing::info!(task.id = %held.task, allocation = %held.allocation, ?cause, "given back");
    delete_objects(app, objects).await;
    Ok(JsonAnswer(json!({})))
}
