//! What the person wants of the companion.

use serde::{Deserialize, Serialize};

/// What the person wants. Quiet unless they say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Say when a task failed.
    pub(crate) notify_failures: bool,
}
