//! `POST /api/v3/task/finish`.

use std::collections::BTreeMap;

use axum::Json as JsonAnswer;
use axum::extract::State;
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::{FinishMissing, FinishRequest};
use serde_json::{Value, json};

use crate::api::bearer::TaskCaller;
use crate::api::body::Json;
use crate::api::error::ApiError;
use crate::contention;
use crate::lifecycle::end_task;
use crate::meters::FailureReason;
use crate::state::App;
use crate::store::{Held, WriteTx, steps};

/// Ends the task, once all events and all output are here; before that it says what is missing.
/// The same again is answered the same.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/task/finish", tag = "agent", operation_id = "finish_finish",
    request_body = russet_protocol::runner::FinishRequest,
    responses((status = 200, description = "The task has ended", body = serde_json::Value), (status = 409, description = "Something has not come yet, or the allocation is stale", body = russet_protocol::runner::FinishMissing), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn finish(
    State(app): State<App>,
    caller: TaskCaller,
    Json(request): Json<FinishRequest>,
) -> Result<JsonAnswer<Value>, ApiError> {
    contention::retry(|| finish_task(&app, &caller, &request)).await
}

async fn finish_task(
    app: &App,
    caller: &TaskCaller,
    request: &FinishRequest,
) -> Result<JsonAnswer<Value>, ApiError> {
    let mut tx = app.store.write().await?;
    caller.lock_pipeline(&mut tx).await?;
    let held = caller.reload(&mut tx).await?;
    let is_mine =
        held.current.as_ref() == Some(&held.allocation) && request.allocation == held.allocation;
    if is_mine && held.phase == Phase::Ended && held.outcome == Some(request.outcome) {
        return Ok(JsonAnswer(json!({})));
    }
    let held = caller.look(&mut tx, Some(&request.allocation)).await?;
    if matches!(request.outcome, Outcome::NotRun | Outcome::Unauthorized) {
        return Err(ApiError::Bad("outcome: a task that was claimed was run".to_owned()));
    }
    // With a gap before them they are as good as not there.
    let stored = super::events::store_events(app, &mut tx, &held, &request.events).await?;
    let last_seq = stored.unwrap_or(held.last_seq);
    if let Some(missing) = find_missing(&mut tx, &held, last_seq, request).await? {
        // What came with this call is taken back with it, and asked for again.
        return Err(ApiError::Missing(missing));
    }
    let now_ms = app.clock.wall_ms();
    if request.outcome == Outcome::InfrastructureFail {
        tx.tally().failed(FailureReason::Reported);
    }
    end_task(&mut tx, &held, request.outcome, request.message.as_deref(), now_ms).await?;
    tx.commit().await?;
    tracing::info!(task.id = %held.task, outcome = %request.outcome, "finished");
    Ok(JsonAnswer(json!({})))
}

/// Lists the parts that have not come yet.
async fn find_missing(
    tx: &mut WriteTx,
    held: &Held,
    last_seq: u64,
    request: &FinishRequest,
) -> Result<Option<FinishMissing>, ApiError> {
    let have = steps::of_task(tx, &held.task).await?;
    let have: BTreeMap<u32, u64> =
        have.iter().map(|row| (row.step.number, row.step.output_bytes)).collect();
    let output: BTreeMap<u32, u64> = request
        .output
        .iter()
        .map(|(number, wanted)| (*number, *wanted, have.get(number).copied().unwrap_or(0)))
        .filter(|(_, wanted, committed)| committed < wanted)
        .map(|(number, _, committed)| (number, committed))
        .collect();
    let last_seq = (last_seq < request.last_seq).then_some(held.last_seq);
    if output.is_empty() && last_seq.is_none() {
        return Ok(None);
    }
    let message = "events or output are missing; send them, then finish again".to_owned();
    Ok(Some(FinishMissing { message, last_seq, output }))
}
