//! Settings of reruns with SSH.

use std::time::Duration;

/// Times for which tasks with SSH are held after their steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SshHold {
    /// While nobody is connected.
    pub idle: Duration,
    /// In all, unless somebody extends it.
    pub longest: Duration,
}

impl Default for SshHold {
    fn default() -> Self {
        Self { idle: Duration::from_secs(10 * 60), longest: Duration::from_secs(2 * 3600) }
    }
}
