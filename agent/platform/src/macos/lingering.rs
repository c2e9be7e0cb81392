//! Sessions of systemd's that go on without their user, which macOS does not have: its counterpart is
//! the user's launchd domain.

use crate::command::CommandError;

/// Returns `None`: nobody lingers.
pub fn end_lingering(_uid: u32) -> Option<Result<(), CommandError>> {
    None
}
