//! The launch agent: root. It claims tasks, starts task agents, watches them and cleans up after
//! them. It reads nothing that a project supplies.

pub mod config;
pub mod health;
pub mod install;
pub mod launch;
mod local_api;
pub mod logs;
pub(crate) mod metrics;
pub mod update;
pub mod vault;
