//! Archives on their way to the control plane and from it.
//!
//! Packing and sending, fetching and unpacking happen at the same time, on the two ends of a file
//! that grows. So a cut costs what was on its way: sending begins anew from the file, fetching goes
//! on where it was. A task that is stopped waits for the threads that pack and unpack: nothing is
//! written any more once the clean-up begins.

mod download;
mod fetch;
mod send;

use std::path::Path;
use std::sync::Arc;

use reqwest::StatusCode;

use super::local::Local;
use crate::task::api::{Api, ApiError};
use crate::task::disk::DiskLimit;
use crate::task::stop::StopSignal;

pub(super) use fetch::{Admit, Fetched, Source, Wanted, fetch_archive};
pub(super) use send::{Sent, send_again, send_archive};

/// Tries in a row that bring nothing. Nobody's build is to wait for a cache for hours.
const MOST_TRIES: u32 = 12;

/// Reason why an archive was not transferred.
#[derive(Debug)]
pub(super) enum Failure {
    /// The task was stopped.
    Stopped,
    /// The control plane no longer holds the task.
    Stale(ApiError),
    /// Anything else, for people.
    Other(String),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Stale(_) => Self::Stale(error),
            error => Self::Other(error.to_string()),
        }
    }
}

/// Tools of a transfer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer<'a> {
    pub(super) api: &'a Api,
    pub(super) stop: &'a StopSignal,
    /// Copies of archives on this machine.
    pub(super) local: &'a Arc<Local>,
    /// Directory for archives of which no copy is kept.
    pub(super) spool: &'a Path,
    pub(super) disk: &'a DiskLimit,
}

async fn refused_by(call: &'static str, response: reqwest::Response) -> Failure {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    let problem: Option<russet_protocol::problem::Problem> = serde_json::from_str(&text).ok();
    let message = problem.map_or(text, |problem| problem.message);
    match status {
        StatusCode::CONFLICT => Failure::Stale(ApiError::Stale(message)),
        _ => Failure::from(ApiError::Refused { call, status: status.as_u16(), message }),
    }
}
