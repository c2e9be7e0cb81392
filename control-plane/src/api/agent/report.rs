//! `POST /api/v3/runner/report`.

use axum::Json as JsonAnswer;
use axum::extract::State;
use russet_protocol::machine::RunnerOrders;
use russet_protocol::runner::ClaimRequest;

use super::claim::{admit_runner, is_registered, register};
use crate::api::bearer::ClassCaller;
use crate::api::body::{Json, MEDIUM};
use crate::api::error::ApiError;
use crate::contention;
use crate::state::App;
use crate::store::pauses;

/// Notes how a runner is that does not claim, or that something about it changed, and says what is
/// wanted of it. It gets no task.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/runner/report", tag = "agent", operation_id = "report_report",
    request_body = russet_protocol::runner::ClaimRequest,
    responses((status = 200, description = "It is noted, and this is wanted of the runner", body = russet_protocol::machine::RunnerOrders), (status = 401, description = "The token is unknown or was revoked", body = russet_protocol::problem::Problem)),
    security(("class_token" = []))
))]
pub(super) async fn report(
    State(app): State<App>,
    caller: ClassCaller,
    Json(runner): Json<ClaimRequest, MEDIUM>,
) -> Result<JsonAnswer<RunnerOrders>, ApiError> {
    let class = caller.class;
    let mut conn = app.store.read().await?;
    let runner = admit_runner(&app, &mut conn, &class, runner).await?;
    if !is_registered(&app, &mut conn, &class, &runner).await? {
        contention::retry(|| register(&app, &class, &runner)).await?;
    }
    let pauses = pauses::of_class(&mut conn, &class, app.clock.wall_ms()).await?;
    Ok(JsonAnswer(RunnerOrders {
        report_ms: u64::try_from(app.silence.report_ms).ok(),
        resource_class: Some(class.as_str().to_owned()),
        pause: pauses.of_runner(class.as_str(), &runner.name).cloned(),
    }))
}
