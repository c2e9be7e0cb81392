//! Pipelines, workflows and jobs in paths, by an id or by what people call them.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use russet_protocol::ids::{JobId, PipelineId, WorkflowId};

use super::error::ApiError;
use super::params::PathParams;
use super::reach::{Access, Named};
use crate::people::Reach;
use crate::references::{ReferenceError, find_job, find_pipeline, find_project, find_workflow};
use crate::state::App;

impl From<ReferenceError> for ApiError {
    fn from(error: ReferenceError) -> Self {
        match error {
            ReferenceError::Unknown { .. } => Self::NotFound(error.to_string()),
            ReferenceError::Ambiguous { .. } | ReferenceError::Short { .. } => {
                Self::Conflict(error.to_string())
            }
            ReferenceError::Store(error) => error.into(),
        }
    }
}

/// Returns the part of a path that names something.
async fn named(parts: &mut Parts, app: &App) -> Result<String, ApiError> {
    let params = RawPathParams::from_request_parts(parts, app)
        .await
        .map_err(|error| ApiError::Bad(error.body_text()))?;
    let id = params.iter().find(|(name, _)| *name == "id").map(|(_, value)| value.to_owned());
    id.ok_or_else(|| ApiError::Bad("the path names nothing".to_owned()))
}

/// Returns what the caller may see. Calls of agents name nothing in this way.
fn sight(parts: &Parts) -> Reach {
    let access = parts.extensions.get::<Access>();
    access.map_or(Reach::Within(Default::default()), Access::sight)
}

/// The pipeline of a path with `{id}`.
#[derive(Debug)]
pub(super) struct PipelineRef(pub(super) PipelineId);

impl FromRequestParts<App> for PipelineRef {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        // The door has looked, where it had to; what it let through is what counts.
        if let Some(Named::Pipeline(id)) = parts.extensions.get() {
            return Ok(Self(id.clone()));
        }
        let (text, sight) = (named(parts, app).await?, sight(parts));
        Ok(Self(find_pipeline(&mut app.store.read().await?, &text, &sight).await?))
    }
}

/// The workflow of a path with `{id}`.
#[derive(Debug)]
pub(super) struct WorkflowRef(pub(super) WorkflowId);

impl FromRequestParts<App> for WorkflowRef {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        // The door has looked, where it had to; what it let through is what counts.
        if let Some(Named::Workflow(id)) = parts.extensions.get() {
            return Ok(Self(id.clone()));
        }
        let (text, sight) = (named(parts, app).await?, sight(parts));
        Ok(Self(find_workflow(&mut app.store.read().await?, &text, &sight).await?))
    }
}

/// The job of a path with `{id}`.
#[derive(Debug)]
pub(super) struct JobRef(pub(super) JobId);

impl FromRequestParts<App> for JobRef {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        // The door has looked, where it had to; what it let through is what counts.
        if let Some(Named::Job(id)) = parts.extensions.get() {
            return Ok(Self(id.clone()));
        }
        let (text, sight) = (named(parts, app).await?, sight(parts));
        Ok(Self(find_job(&mut app.store.read().await?, &text, &sight).await?))
    }
}

/// The project of a path with `{host}/{owner}/{name}`.
#[derive(Debug)]
pub(super) struct SlugRef(pub(super) String);

impl FromRequestParts<App> for SlugRef {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let params = PathParams::read(parts, app).await?;
        let parts = ["host", "owner", "name"].map(|name| params.get(name));
        Ok(Self(find_project(&mut app.store.read().await?, &parts).await?))
    }
}
