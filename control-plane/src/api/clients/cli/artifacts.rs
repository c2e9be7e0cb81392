//! Artifacts of a job, for CircleCI's command line.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::forms;
use crate::api::clients::{artifact_url, origin_of};
use crate::api::error::ApiError;
use crate::api::refs::JobRef;
use crate::state::App;
use crate::store::artifacts as stored;

/// Lists the artifacts of a job.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/circleci/jobs/{id}/artifacts", tag = "clients", operation_id = "list_run_job_artifacts",
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, description = "The artifacts", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    JobRef(id): JobRef,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let origin = origin_of(&app, &headers);
    let show = |path: &str| {
        json!({
            "id": path,
            "type": "artifact",
            "attributes": {"path": path, "url": artifact_url(&origin, &id, path), "execution": 0},
        })
    };
    let all = stored::of_job(&mut app.store.read().await?, &id).await?;
    let all: Vec<Value> = all.iter().map(|of| show(&of.item.path)).collect();
    Ok(Json(forms::list(&all, None)))
}
