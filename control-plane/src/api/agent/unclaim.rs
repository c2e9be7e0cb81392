//! `POST /api/v3/runner/unclaim`.

use axum::Json as JsonAnswer;
use axum::extract::State;
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::UnclaimRequest;
use serde_json::{Value, json};

use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::credentials::TokenHash;
use crate::lifecycle::{end_task, put_back};
use crate::scheduler::leases::on_unclaim;
use crate::state::App;
use crate::store::allocations;

/// Puts a task back of which no step has started. The token in the body authorizes it. 409 where
/// it was put back too often: the caller is to report a failure instead.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/runner/unclaim", tag = "agent", operation_id = "unclaim_unclaim",
    request_body = russet_protocol::runner::UnclaimRequest,
    responses((status = 200, description = "The task is back in the line", body = serde_json::Value), (status = 404, description = "No task that is held has this token", body = russet_protocol::problem::Problem), (status = 409, description = "It was given back too often", body = russet_protocol::problem::Problem))
))]
pub(super) async fn unclaim(
    State(app): State<App>,
    Json(request): Json<UnclaimRequest, SMALL>,
) -> Result<JsonAnswer<Value>, ApiError> {
    let unknown = || ApiError::NotFound("no task that is held has this token".to_owned());
    let hash = TokenHash::of(request.task_token.expose());
    let mut tx = app.store.write().await?;
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
        let unclaims = on_unclaim(held.step_started, held.unclaims)
            .map_err(|why| ApiError::Conflict(why.to_owned()))?;
        let message = "its runner gave it back; it waits for another";
        objects = put_back(&mut tx, &held, unclaims, message, now_ms).await?;
    }
    tx.commit().await?;
    tracing::info!(task.id = %held.task, allocation = %held.allocation, "given back");
    for object in objects {
        app.objects.delete(&object).await;
    }
    Ok(JsonAnswer(json!({})))
}
