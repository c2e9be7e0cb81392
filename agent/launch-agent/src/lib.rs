//! The launch agent: root. It claims tasks, starts task agents, watches them and cleans up after
//! them. It reads nothing that a project supplies.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    expect(clippy::disallowed_methods, reason = "tests write in directories of their own")
)]

mod board;
pub mod config;
pub mod crash_points;
mod files;
pub mod health;
pub mod install;
pub mod launch;
mod local_api;
pub mod logs;
mod metrics;
mod output;
mod requests;
pub mod setup;
mod state;
#[cfg(test)]
mod testing;
pub mod update;
pub mod vault;
