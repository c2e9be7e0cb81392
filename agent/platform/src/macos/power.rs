//! Sleep.

use crate::Wakefulness;
use crate::command::{Command, Tools};
use crate::macos_tools::caffeinate;

/// Returns the command that keeps the machine awake for as long as it is held.
#[must_use]
pub fn stay_awake(tools: &Tools, wakefulness: Wakefulness) -> Option<Command> {
    Some(caffeinate::stay_awake(tools, wakefulness))
}
