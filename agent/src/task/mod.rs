//! The task agent: one process that runs one task as the slot's user.

use std::process::ExitCode;

/// The whole `russet task-agent`. Call it first thing in `main`: it needs to be the only thread.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(64)
}
