//! Settings of the companion.

use serde::{Deserialize, Serialize};

/// Settings of the companion. Quiet unless the person says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Say when a task failed.
    pub(crate) notify_failures: bool,
}
