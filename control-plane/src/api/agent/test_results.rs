//! `POST /api/v3/task/test-results`.

use axum::Json as JsonAnswer;
use axum::extract::State;
use russet_protocol::runner::TestResultsRequest;
use serde_json::{Value, json};

use crate::api::bearer::TaskCaller;
use crate::api::body::Json;
use crate::api::error::ApiError;
use crate::state::App;
use crate::store::{jobs, test_results};
use crate::task_steps::mark_used;

/// Highest number of a batch.
const MAX_BATCH: u32 = 100_000;

/// Stores a batch of results; a replay of a batch is ignored.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/task/test-results", tag = "agent", operation_id = "store_test_results",
    request_body = russet_protocol::runner::TestResultsRequest,
    responses((status = 200, description = "Stored", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn store(
    State(app): State<App>,
    caller: TaskCaller,
    Json(request): Json<TestResultsRequest>,
) -> Result<JsonAnswer<Value>, ApiError> {
    if request.batch > MAX_BATCH {
        return Err(ApiError::Bad(format!("batch: {} is above {MAX_BATCH}", request.batch)));
    }
    let mut tx = app.store.write().await?;
    let held = caller.lock(&mut tx, Some(&request.allocation)).await?;
    if test_results::insert(&mut tx, &held, request.batch, &request.results).await? {
        jobs::touch(&mut tx, &held.job).await?;
        mark_used(&app, &mut tx, &held).await?;
        tx.wake_pipeline(held.pipeline.as_str());
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(JsonAnswer(json!({})))
}
