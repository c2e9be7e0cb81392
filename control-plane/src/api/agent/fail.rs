//! `POST /api/v2/task/event/fail`.

use axum::Json as JsonAnswer;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::FailRequest;
use serde_json::{Value, json};

use crate::api::bearer::TaskCaller;
use crate::api::body::{Json, MEDIUM};
use crate::api::error::ApiError;
use crate::contention;
use crate::lifecycle::end_task;
use crate::meters::FailureReason;
use crate::state::App;

/// The longest message that is kept, in characters.
const MESSAGE_LIMIT: usize = 8 * 1024;

/// Ends a task because its runner failed, not the job. 404 for another allocation than the one
/// that holds the task.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v2/task/event/fail", tag = "agent", operation_id = "fail_fail",
    request_body = russet_protocol::runner::FailRequest,
    responses((status = 200, description = "The task has ended", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn fail(
    State(app): State<App>,
    caller: TaskCaller,
    Json(request): Json<FailRequest, MEDIUM>,
) -> Result<JsonAnswer<Value>, ApiError> {
    let message = decode_message(&request.message)?;
    contention::retry(|| fail_task(&app, &caller, &request, &message)).await
}

async fn fail_task(
    app: &App,
    caller: &TaskCaller,
    request: &FailRequest,
    message: &str,
) -> Result<JsonAnswer<Value>, ApiError> {
    let mut tx = app.store.write().await?;
    caller.lock_pipeline(&mut tx).await?;
    let held = caller.reload(&mut tx).await?;
    if request.allocation != held.allocation || held.current.as_ref() != Some(&held.allocation) {
        return Err(ApiError::NotFound("no task is held by this allocation".to_owned()));
    }
    if held.phase == Phase::Ended {
        return match held.outcome {
            // The same again, because the first answer was lost.
            Some(Outcome::InfrastructureFail) => Ok(JsonAnswer(json!({}))),
            _ => Err(ApiError::Conflict("the task has ended already".to_owned())),
        };
    }
    let now_ms = app.clock.wall_ms();
    tx.tally().failed(FailureReason::Reported);
    end_task(&mut tx, &held, Outcome::InfrastructureFail, Some(message), now_ms).await?;
    tx.commit().await?;
    tracing::warn!(task.id = %held.task, allocation = %held.allocation, "the runner failed");
    Ok(JsonAnswer(json!({})))
}

/// The message, of bounded length and without what could drive a terminal.
fn decode_message(base64: &str) -> Result<String, ApiError> {
    let bytes = STANDARD
        .decode(base64.trim())
        .map_err(|error| ApiError::Bad(format!("message: not base64: {error}")))?;
    let text = russet_text::printable_lines(&String::from_utf8_lossy(&bytes));
    Ok(text.chars().take(MESSAGE_LIMIT).collect())
}
