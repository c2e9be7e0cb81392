//! The common part of calls that read what only operators may: logs of the agent and of tasks.

use std::io;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::Response;

use super::access::Access;
use super::state::{Api, problem};

/// A caller who wants to read something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) uid: u32,
    pub(super) access: Access,
    /// Path of the call, for the audit.
    pub(super) path: &'a str,
    /// Subject of the reading, for people.
    pub(super) subject: &'a str,
}

impl Reader<'_> {
    /// Checks the query, and that the caller may read. Returns the query, or the refusal.
    pub(super) fn check<T>(
        &self,
        api: &Api,
        asked: Result<Query<T>, QueryRejection>,
    ) -> Result<T, Box<Response>> {
        let Query(asked) = asked
            .map_err(|wrong| Box::new(problem(StatusCode::BAD_REQUEST, &wrong.body_text())))?;
        if self.access == Access::Full {
            return Ok(asked);
        }
        api.audit.refused(self.uid, "GET", self.path);
        let message =
            format!("only root and operators (`local_api.operators`) may read {}", self.subject);
        Err(Box::new(problem(StatusCode::FORBIDDEN, &message)))
    }
}

/// Reads files on another thread.
pub(super) async fn read_apart<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}
