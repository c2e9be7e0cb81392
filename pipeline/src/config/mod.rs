//! The tree to typed jobs and workflows.
//!
//! Each key of each place is in [`crate::vocabulary`]: what is supported, what CircleCI has and is
//! refused here by name until it is supported, and what has no effect. All else is a mistake.

mod caches;
pub(crate) mod cron;
mod duration;
mod environment;
mod executors;
mod filters;
mod graph;
mod invocation;
mod jobs;
mod not_run;
mod root;
mod steps;
mod workflows;

pub(crate) use invocation::Invocation;
pub(crate) use jobs::JobDefinition;
pub(crate) use root::{Config, Written, read};
pub(crate) use workflows::WorkflowDefinition;
