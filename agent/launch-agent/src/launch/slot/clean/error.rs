//! Reasons why a slot is not clean.

use std::io;

use crate::launch::slot::processes::{LeftProcess, describe_left};
use crate::state::slot::aside::Limit;

/// The reason why a slot is not clean.
#[derive(Debug, thiserror::Error)]
pub(super) enum CleanError {
    /// Processes of the slot's user do not end.
    #[error("{}", describe_left(.0))]
    Processes(Vec<LeftProcess>),
    /// The system refuses to delete something, by the word of the helper. Everything else is gone.
    #[error("the system refuses to delete something: {said}")]
    Refused {
        /// Last words of the helper.
        said: String,
        /// Bytes that are left.
        bytes: u64,
    },
    /// It does, and as much as may be kept aside is there already.
    #[error("the system refuses to delete something, and {limit}: {said}")]
    NoRoom {
        /// Obstacle in the way.
        limit: Limit,
        /// Last words of the helper.
        said: String,
    },
    /// The helper failed otherwise.
    #[error("the helper {0}")]
    Helper(String),
    /// A call of this process failed.
    #[error(transparent)]
    Call(#[from] io::Error),
}
