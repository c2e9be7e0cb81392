//! Requests about the hold of a task for SSH, from the helper that a person calls to the task agent.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Bytes of a request or a reply.
pub(crate) const MAX_LINE_BYTES: u64 = 4096;

/// Request: a line of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HoldRequest {
    /// Adds time to the hold, in milliseconds; at most `MAX_EXTENSION_MS`.
    Extend(u64),
    /// Ends the hold.
    End,
}

/// Reply: a line of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HoldReply {
    /// Set if the steps of the job have ended and only the hold keeps the task.
    pub(crate) waiting: bool,
    /// Time until the hold ends if nothing changes, in milliseconds; while steps run, the time that it
    /// will take if nobody is connected then.
    pub(crate) remaining_ms: u64,
}

/// Returns the path of the socket in a task's `TMPDIR`. A short one: it has to fit 103 bytes on macOS.
pub(crate) fn socket_in(tmp: &Path) -> PathBuf {
    tmp.join(".ssh-hold")
}
