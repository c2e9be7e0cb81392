//! Sleep.

use crate::command::{Command, Tools};
use crate::macos_tools::caffeinate;

/// Returns the command that keeps the machine awake for as long as it is held.
#[must_use]
pub fn stay_awake(tools: &Tools) -> Option<Command> {
    Some(caffeinate::stay_awake(tools))
}
