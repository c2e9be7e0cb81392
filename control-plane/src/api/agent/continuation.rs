//! `POST /api/v2/pipeline/continue`: a job of a setup says what its pipeline goes on with.
//!
//! The key is the caller's only credential, as in CircleCI's API. It is that of one claim, so a
//! task that was taken back, or has ended, cannot go on with anything any more.

use axum::Json as JsonAnswer;
use axum::extract::State;
use russet_protocol::admin::{ContinueRequest, Continued, Job, SubmitRequest};
use russet_protocol::outcome::Phase;

use crate::api::admin::submit::{Built, Of, admit_submission, compile_request, prepare_workflows};
use crate::api::body::Json;
use crate::api::error::ApiError;
use crate::credentials::TokenHash;
use crate::lifecycle::move_on;
use crate::people::Reach;
use crate::state::App;
use crate::store::{Conn, Held, allocations, locks, pipelines, setups};

/// Name of the configuration in messages; only the job knows its file.
const CONFIG_NAME: &str = "continuation";

/// Compiles the configuration and adds its workflows to the pipeline.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v2/pipeline/continue", tag = "agent", operation_id = "continue_pipeline",
    request_body = russet_protocol::admin::ContinueRequest,
    responses((status = 200, description = "The pipeline goes on", body = russet_protocol::admin::Continued), (status = 404, description = "No job has this key", body = russet_protocol::problem::Problem), (status = 409, description = "The pipeline has gone on already, or the job has ended", body = russet_protocol::problem::Problem), (status = 422, description = "The configuration cannot be run", body = russet_protocol::problem::Problem))
))]
pub(super) async fn go_on(
    State(app): State<App>,
    Json(request): Json<ContinueRequest>,
) -> Result<JsonAnswer<Continued>, ApiError> {
    let hash = TokenHash::of(request.continuation_key.expose());
    let mut conn = app.store.read().await?;
    let (held, submission, reach) = open_setup(&mut conn, &hash).await?;
    let pipeline = pipelines::get(&mut conn, &held.pipeline).await?.ok_or_else(unknown)?;
    drop(conn);
    let mut parameters = submission.parameters.clone();
    parameters.extend(request.parameters.unwrap_or_default());
    let submission = SubmitRequest {
        config: request.configuration,
        config_path: CONFIG_NAME.to_owned(),
        parameters,
        ..submission
    };
    let of = Of { id: &pipeline.id, number: pipeline.number, is_continuation: true };
    let Built { compiled, warnings } = compile_request(&app, &submission, of).await?;
    let tasks = |job: &Job| usize::try_from(job.parallelism.max(1)).unwrap_or(usize::MAX);
    let before = pipeline.workflows.iter().flat_map(|workflow| &workflow.jobs).map(tasks).sum();
    let workflows = prepare_workflows(&submission, compiled.workflows, before)?;
    let now_ms = app.clock.wall_ms();
    let mut tx = app.store.write().await?;
    locks::pipeline(&mut tx, &pipeline.id).await?;
    // It was looked at long before; this is what decides.
    open_setup(&mut tx, &hash).await?;
    if pipelines::is_canceled(&mut tx, &pipeline.id).await? {
        return Err(ApiError::Conflict("the pipeline was canceled".to_owned()));
    }
    admit_submission(&mut tx, &submission, &workflows, &reach, now_ms).await?;
    if !setups::set_continued(&mut tx, &pipeline.id, now_ms).await? {
        return Err(gone_on());
    }
    pipelines::extend(&mut tx, &pipeline, &workflows, &warnings, now_ms).await?;
    for workflow in &workflows {
        move_on(&mut tx, &workflow.id, &pipeline.id, now_ms).await?;
    }
    tx.wake_pipeline(pipeline.id.as_str());
    tx.commit().await?;
    let names: Vec<&str> = workflows.iter().map(|workflow| workflow.name.as_str()).collect();
    tracing::info!(pipeline.id = %pipeline.id, workflows = names.join(", "), "continued");
    let message = if names.is_empty() {
        "The pipeline goes on with nothing to run.".to_owned()
    } else {
        format!("The pipeline goes on with {}.", names.join(", "))
    };
    Ok(JsonAnswer(Continued { message }))
}

/// The task that has a key and may still use it, what its pipeline was submitted with, and where that
/// may go.
async fn open_setup(
    conn: &mut Conn,
    hash: &TokenHash,
) -> Result<(Held, SubmitRequest, Reach), ApiError> {
    let held = allocations::by_continuation(conn, hash).await?.ok_or_else(unknown)?;
    let setup = setups::get(conn, &held.pipeline).await?.ok_or_else(unknown)?;
    if setup.is_continued {
        return Err(gone_on());
    }
    if held.current.as_ref() != Some(&held.allocation) || held.phase != Phase::Running {
        let message = "the job with this continuation key does not run any more";
        return Err(ApiError::Conflict(message.to_owned()));
    }
    Ok((held, setup.submission, setup.reach))
}

fn unknown() -> ApiError {
    ApiError::NotFound("no job of a setup has this continuation key".to_owned())
}

fn gone_on() -> ApiError {
    ApiError::Conflict("the pipeline has gone on already, and does so once".to_owned())
}
