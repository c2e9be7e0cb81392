//! State of the local API that all handlers share, and their errors.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use russet_protocol::problem::Problem;
use tokio::sync::mpsc;

use super::access::Gate;
use super::audit::Audit;
use super::maintenance::Keeper;
use super::shown::Shown;
use crate::install::SealedMachine;
use crate::metrics::Metrics;
use crate::requests::{Command, UpdateRequests};

/// State that the handlers need.
#[derive(Clone, Debug)]
pub(super) struct Api {
    pub(super) shown: Arc<Shown>,
    pub(super) keeper: Keeper,
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) updates: Option<UpdateRequests>,
    pub(super) gate: Gate,
    pub(super) audit: Arc<Audit>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: Option<Arc<PathBuf>>,
    pub(super) state: Arc<PathBuf>,
    pub(super) machine: Option<Arc<SealedMachine>>,
    /// Directory of the slots.
    pub(super) data: Arc<PathBuf>,
}

/// Answers with an error, as JSON.
pub(super) fn problem(status: StatusCode, message: &str) -> Response {
    (status, Json(Problem { message: message.to_owned(), ..Problem::default() })).into_response()
}
