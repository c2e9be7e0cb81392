//! `POST /api/v3/runner/report`.

use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::runner::ClaimRequest;

use super::claim::check_name;
use crate::api::bearer::ClassCaller;
use crate::api::body::{Json, MEDIUM};
use crate::api::error::ApiError;
use crate::state::App;
use crate::store::runners;

/// Notes how a runner is that does not claim, since none of its slots can be used or all of them
/// are busy. It gets no task.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/runner/report", tag = "agent", operation_id = "report_report",
    request_body = russet_protocol::runner::ClaimRequest,
    responses((status = 204, description = "It is noted"), (status = 401, description = "The token is unknown or was revoked", body = russet_protocol::problem::Problem)),
    security(("class_token" = []))
))]
pub(super) async fn report(
    State(app): State<App>,
    caller: ClassCaller,
    Json(runner): Json<ClaimRequest, MEDIUM>,
) -> Result<StatusCode, ApiError> {
    check_name(&runner.name)?;
    let mut tx = app.store.write().await?;
    runners::touch(&mut tx, &caller.class, &runner, app.clock.wall_ms()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
