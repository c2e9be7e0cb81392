//! Options of `russet server` about retention.

use std::time::Duration;

use russet_control_plane::Keeping;
use russet_protocol::keeping::Retention;

use super::keeping::{Limit, parse_age, parse_bytes, parse_count};
use crate::commands::values;

/// Retention unless `russet server retention` has set another.
#[derive(clap::Args, Debug)]
pub(super) struct KeepingArgs {
    /// Age at which pipelines are deleted, or `none`
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = parse_age)]
    pipeline_age: Limit,

    /// Number of pipelines of a project, or `none`; the oldest go first
    #[arg(long, value_name = "NUMBER", default_value = "2000", value_parser = parse_count)]
    max_pipelines: Limit,

    /// Bytes of output and artifacts of a project, or `none`; the oldest pipelines go first
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = parse_bytes)]
    max_project_bytes: Limit,

    /// Age at which the output of steps is removed, or `none`: with the pipeline
    #[arg(long, value_name = "TIME", default_value = "none", value_parser = parse_age)]
    output_age: Limit,

    /// Age at which artifacts are removed, or `none`: with the pipeline
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = parse_age)]
    artifact_age: Limit,

    /// Age at which test results are removed, or `none`: with the pipeline
    #[arg(long, value_name = "TIME", default_value = "none", value_parser = parse_age)]
    test_age: Limit,

    /// Age at which events of the audit log are removed, or `none`
    #[arg(long, value_name = "TIME", default_value = "365d", value_parser = parse_age)]
    audit_age: Limit,

    /// Interval of looks for what is not kept any longer
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = values::parse_duration)]
    retention_interval: Duration,

    /// Age from which an object that nothing names is taken for the rest of an upload
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = values::parse_duration)]
    orphan_age: Duration,
}

impl KeepingArgs {
    pub(super) fn keeping(&self) -> Keeping {
        let general = Keeping::default();
        Keeping {
            retention: Retention {
                pipeline_age_ms: self.pipeline_age.0,
                pipelines: self.max_pipelines.0,
                bytes: self.max_project_bytes.0,
                output_age_ms: self.output_age.0,
                artifact_age_ms: self.artifact_age.0,
                test_age_ms: self.test_age.0,
            },
            audit_age: self.audit_age.0.map(Duration::from_millis),
            interval: self.retention_interval,
            orphan_age: self.orphan_age,
            orphan_interval: general.orphan_interval.min(self.orphan_age),
        }
    }
}
