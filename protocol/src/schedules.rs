//! Schedules of projects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::admin::ParameterValue;
use crate::names::named;

/// Effect of a time at which no server ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MissedPolicy {
    /// The last one that was missed is made up for, if it is not older than an hour.
    #[default]
    Once,
    /// It is left out.
    Skip,
}

named!(MissedPolicy: Once = "once", Skip = "skip");

/// `POST /api/v3/projects/{project}/schedules`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewSchedule {
    /// Name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Times, as crontab(5) has them.
    pub cron: String,
    /// Time zone that they are in, as `Europe/Berlin`.
    #[serde(default = "usual_zone")]
    pub timezone: String,
    /// Branch whose last submission it runs.
    pub branch: String,
    /// Values of the pipeline's parameters.
    #[serde(default)]
    pub parameters: BTreeMap<String, ParameterValue>,
    /// Effect of times at which no server ran.
    #[serde(default)]
    pub missed: MissedPolicy,
}

fn usual_zone() -> String {
    "UTC".to_owned()
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleItem {
    /// Id, which is `pipeline.schedule.id`.
    pub id: String,
    /// Name, unique in the project, which is `pipeline.schedule.name`.
    pub name: String,
    /// Times, as crontab(5) has them.
    pub cron: String,
    /// Time zone that they are in.
    pub timezone: String,
    /// Branch whose last submission it runs.
    pub branch: String,
    /// Values of the pipeline's parameters.
    pub parameters: BTreeMap<String, ParameterValue>,
    /// Effect of times at which no server ran.
    pub missed: MissedPolicy,
    /// Set while it does not fire.
    pub paused: bool,
    /// The one who made it.
    pub created_by: String,
    /// Time at which it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Next times, in milliseconds since 1970: one in lists, more of a single schedule. Empty where it is paused
    /// or none will come.
    #[serde(default)]
    pub next_ms: Vec<u64>,
    /// Time that it fired for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<FiringItem>,
}

/// Time that a schedule fired for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FiringItem {
    /// The time, in milliseconds since 1970.
    pub at_ms: u64,
    /// Id of its pipeline, once it is submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// Reason why none was submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}
