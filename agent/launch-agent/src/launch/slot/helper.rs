//! Helpers of a slot: short processes that clean, flush or trim as the user of an assignment.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use russet_protocol::supervise::Assignment;

use super::info::SlotInfo;
use crate::launch::process::run_helper;

/// Runs a helper, and kills it when the limit is over. The second value is the end of its output.
///
/// Returns an error of kind `TimedOut` for one that was killed.
pub(super) async fn run_within(
    info: &SlotInfo,
    assignment: &Assignment,
    limit: Duration,
) -> io::Result<(ExitStatus, String)> {
    let over = info.shared.clock.sleep(limit);
    run_helper(&info.shared.staged.exe, &info.dir.fd, assignment, over).await
}
