//! Times at which schedules fire. Pure: the clock and the database are elsewhere (`api/firing.rs`).

mod due;
mod times;

/// Value of `pipeline.trigger_source` of pipelines that a schedule submits, as CircleCI has it.
pub(crate) const TRIGGER_SOURCE: &str = "scheduled_pipeline";

pub(crate) use due::find_due;
pub(crate) use times::{InvalidTimes, Times};
