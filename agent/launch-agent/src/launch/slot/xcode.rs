//! Holding a class whose Xcode cannot be used, before a claim.

use tokio_util::sync::CancellationToken;

use super::info::SlotInfo;
use crate::requests::HoldSource;
use crate::state::Input;

/// Checks before a claim that the Xcode of the class is there: two calls of stat(2). False: the
/// claim was dropped, as happens where the class is held back.
pub(super) async fn wait_for_xcode(info: &SlotInfo, dropped: &CancellationToken) -> bool {
    let Some(class) = info.class_index() else { return true };
    let Some(reason) = info.shared.xcodes.obstacle(class) else { return true };
    let hold = Input::Hold { source: HoldSource::Xcode, class: Some(class), reason: Some(reason) };
    // Nobody listens any more when the launch agent ends.
    drop(info.inputs.send(hold));
    dropped.cancelled().await;
    false
}

/// Returns the reason why a task of the slot would not find its Xcode.
pub(super) fn xcode_obstacle(info: &SlotInfo) -> Option<String> {
    info.shared.xcodes.obstacle(info.class_index()?)
}
