//! `POST /api/v3/workflows/{id}/rerun`, `…/jobs/{id}/rerun`, `…/jobs/{id}/ssh/rerun`,
//! `…/pipelines/{id}/rerun`, and `GET /api/v3/workflows/{id}`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use russet_protocol::admin::{Pipeline, RerunKind, Workflow};
use russet_protocol::ids::WorkflowId;
use russet_protocol::ssh::SshRerun;
use serde::Deserialize;

use super::people::By;
use super::pipelines::no_such_pipeline;
use crate::api::Caller;
use crate::api::body::{MEDIUM, MaybeJson};
use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::api::refs::{JobRef, PipelineRef, WorkflowRef};
use crate::audit;
use crate::reruns::{Asked, RerunError, rerun_job, rerun_pipeline, rerun_workflow};
use crate::ssh_reruns::{SshRefusal, SshWish};
use crate::state::App;
use crate::store::{pipelines, workflows};

impl From<RerunError> for ApiError {
    fn from(error: RerunError) -> Self {
        match error {
            RerunError::Unknown { .. } => Self::NotFound(error.to_string()),
            RerunError::Store(error) | RerunError::Ssh(SshRefusal::Store(error)) => error.into(),
            RerunError::Ssh(SshRefusal::Key(_)) => Self::Bad(error.to_string()),
            error => Self::Conflict(error.to_string()),
        }
    }
}

/// Jobs that run again.
#[derive(Debug, Deserialize)]
pub(super) struct Options {
    #[serde(default)]
    from_failed: bool,
    #[serde(default)]
    failed_tests: bool,
}

impl Options {
    fn kind(&self) -> RerunKind {
        match (self.failed_tests, self.from_failed) {
            (true, _) => RerunKind::FailedTests,
            (false, true) => RerunKind::FromFailed,
            (false, false) => RerunKind::FromStart,
        }
    }

    /// Returns the kind for a single job.
    fn kind_of_job(&self) -> RerunKind {
        if self.failed_tests { RerunKind::FailedTests } else { RerunKind::FromStart }
    }
}

/// Notes for the audit log what runs again. The further run has no id yet.
fn note_rerun(of: &str, id: &str, kind: RerunKind) {
    audit::note_after(&serde_json::json!({"runs_again": {of: id}, "kind": kind}));
}

/// A workflow with its jobs.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/workflows/{id}", tag = "admin", operation_id = "get_workflow",
    params(("id" = String, Path, description = "The workflow")),
    responses((status = 200, description = "The workflow", body = russet_protocol::admin::Workflow), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    WorkflowRef(id): WorkflowRef,
) -> Result<Json<Workflow>, ApiError> {
    Ok(Json(find(&app, &id).await?))
}

async fn find(app: &App, id: &WorkflowId) -> Result<Workflow, ApiError> {
    let found = workflows::get(&mut app.store.read().await?, id).await?;
    let unknown = || ApiError::NotFound(format!("there is no workflow `{id}`"));
    found.ok_or_else(unknown)
}

/// Runs a workflow again, as a further run in its pipeline.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/workflows/{id}/rerun", tag = "admin", operation_id = "rerun_workflow",
    params(("id" = String, Path, description = "The workflow"), ("from_failed" = Option<bool>, Query, description = "Keep jobs that succeeded"), ("failed_tests" = Option<bool>, Query, description = "As `from_failed`; `circleci tests run` runs only the tests that failed"), ("as" = Option<String>, Query, description = "The one who asks")),
    responses((status = 201, description = "The further run", body = russet_protocol::admin::Workflow), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "It cannot run again now", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn workflow(
    State(app): State<App>,
    WorkflowRef(id): WorkflowRef,
    Query(options): Query<Options>,
    By(by): By,
) -> Result<(StatusCode, Json<Workflow>), ApiError> {
    note_rerun("workflow", id.as_str(), options.kind());
    let id = rerun_workflow(&app, &id, Asked { kind: options.kind(), by: &by, ssh: None }).await?;
    Ok((StatusCode::CREATED, Json(find(&app, &id).await?)))
}

/// Runs a job again, and what requires it, in a further run of its workflow. All other jobs are
/// kept as they ended.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/jobs/{id}/rerun", tag = "admin", operation_id = "rerun_job",
    params(("id" = String, Path, description = "The job"), ("failed_tests" = Option<bool>, Query, description = "`circleci tests run` runs only the tests that failed"), ("as" = Option<String>, Query, description = "The one who asks")),
    responses((status = 201, description = "The further run of its workflow", body = russet_protocol::admin::Workflow), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "It cannot run again now", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn job(
    State(app): State<App>,
    JobRef(id): JobRef,
    Query(options): Query<Options>,
    By(by): By,
) -> Result<(StatusCode, Json<Workflow>), ApiError> {
    let kind = options.kind_of_job();
    note_rerun("job", id.as_str(), kind);
    let id = rerun_job(&app, &id, Asked { kind, by: &by, ssh: None }).await?;
    Ok((StatusCode::CREATED, Json(find(&app, &id).await?)))
}

/// Runs a job again as `rerun` does, with SSH: its tasks are held after their steps, and the caller reaches
/// them with the keys that are kept for them and those of the body, where its class allows that.
// A path of its own: a server of a version without SSH, beside this one during an upgrade, knows none and
// says so, where it would run the job again without SSH for a parameter that it does not know.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/jobs/{id}/ssh/rerun", tag = "admin", operation_id = "rerun_job_with_ssh",
    params(("id" = String, Path, description = "The job"), ("failed_tests" = Option<bool>, Query, description = "`circleci tests run` runs only the tests that failed"), ("as" = Option<String>, Query, description = "The one who asks")),
    request_body(content = Option<russet_protocol::ssh::SshRerun>, description = "Further keys"),
    responses((status = 201, description = "The further run of its workflow", body = russet_protocol::admin::Workflow), (status = 400, description = "A key cannot be read, or is too weak", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "It cannot run again now, or not with SSH", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn job_with_ssh(
    State(app): State<App>,
    JobRef(id): JobRef,
    Query(options): Query<Options>,
    By(by): By,
    Extension(caller): Extension<Caller>,
    MaybeJson(ssh): MaybeJson<SshRerun, MEDIUM>,
) -> Result<(StatusCode, Json<Workflow>), ApiError> {
    let kind = options.kind_of_job();
    let user = caller.person().map(|person| person.id.clone());
    let wish = SshWish { user, keys: ssh.unwrap_or_default().keys };
    let after = serde_json::json!({"runs_again": {"job": id}, "kind": kind, "ssh_for": by});
    audit::note_after(&after);
    let id = rerun_job(&app, &id, Asked { kind, by: &by, ssh: Some(&wish) }).await?;
    Ok((StatusCode::CREATED, Json(find(&app, &id).await?)))
}

/// Runs the workflows of a pipeline again. Of a setup its setup workflow, which goes on anew.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/pipelines/{id}/rerun", tag = "admin", operation_id = "rerun_pipeline",
    params(("id" = String, Path, description = "The pipeline"), ("from_failed" = Option<bool>, Query, description = "Only workflows that failed, and of them keep jobs that succeeded"), ("failed_tests" = Option<bool>, Query, description = "As `from_failed`; `circleci tests run` runs only the tests that failed"), ("as" = Option<String>, Query, description = "The one who asks")),
    responses((status = 201, description = "The pipeline, with the further runs", body = russet_protocol::admin::Pipeline), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "It cannot run again now", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn pipeline(
    State(app): State<App>,
    PipelineRef(id): PipelineRef,
    Query(options): Query<Options>,
    By(by): By,
) -> Result<(StatusCode, Json<Pipeline>), ApiError> {
    note_rerun("pipeline", id.as_str(), options.kind());
    rerun_pipeline(&app, &id, Asked { kind: options.kind(), by: &by, ssh: None }).await?;
    let found = pipelines::get(&mut app.store.read().await?, &id).await?;
    let pipeline = found.ok_or_else(|| no_such_pipeline(&id))?;
    Ok((StatusCode::CREATED, Json(pipeline)))
}
