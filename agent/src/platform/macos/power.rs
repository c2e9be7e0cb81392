//! Sleep.

use crate::platform::command::{Command, Tools};
use crate::platform::darwin::caffeinate;

/// What keeps the machine awake for as long as it is held.
#[must_use]
pub fn stay_awake(tools: &Tools) -> Option<Command> {
    Some(caffeinate::stay_awake(tools))
}
