//! The launch agent against a fake control plane, with fake task agents.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

#[path = "launch/server.rs"]
mod server;
#[path = "launch/support.rs"]
mod support;
#[path = "launch/tasks.rs"]
mod tasks;
