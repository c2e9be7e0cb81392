//! Settings of retention.

use std::time::Duration;

use russet_protocol::keeping::Retention;

use crate::clock::millis;

/// Settings of retention.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// Retention unless projects have another.
    pub retention: Retention,
    /// Age at which events of the audit log go. `None`: never.
    pub audit_age: Option<Duration>,
    /// Interval of looks for what is to go.
    pub interval: Duration,
    /// Interval of looks for objects that nothing names.
    pub orphan_interval: Duration,
    /// Age below which such an object may be one that is still being uploaded.
    pub orphan_age: Duration,
}

impl Default for Keeping {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let days = |days: u32| u64::try_from(millis(DAY * days)).unwrap_or(0);
        Self {
            retention: Retention {
                pipeline_age_ms: Some(days(90)),
                pipelines: Some(2000),
                bytes: Some(5_000_000_000),
                output_age_ms: None,
                artifact_age_ms: Some(days(30)),
                test_age_ms: None,
            },
            audit_age: Some(DAY * 365),
            interval: Duration::from_secs(600),
            orphan_interval: DAY,
            orphan_age: DAY,
        }
    }
}
