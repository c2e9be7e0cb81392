//! Waiting for the session at the screen that a class's tasks run in.
//!
//! A class whose account is not logged in, or whose screen is locked, is held back, which people
//! see with the reason, and it is looked again every minute: a task that is not claimed runs
//! elsewhere, or when somebody logs the account in or unlocks the screen.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::info::SlotInfo;
use crate::requests::HoldSource;
use crate::state::Input;
use russet_platform::macos_tools::user_domain;

/// Time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Checks for the session before a claim, since much can happen in a minute. False: the claim was
/// dropped, as happens where the class is held back.
pub(super) async fn wait_for_session(info: &SlotInfo, dropped: &CancellationToken) -> bool {
    if !info.is_gui() {
        return true;
    }
    let absence = session_absence(info).await;
    let is_there = absence.is_none();
    set_hold(info, absence);
    if !is_there {
        dropped.cancelled().await;
    }
    is_there
}

/// Holds the class back whenever the session is not there, and lets it go on when it is.
pub(super) async fn watch_session(info: Arc<SlotInfo>) {
    loop {
        set_hold(&info, session_absence(&info).await);
        info.shared.clock.sleep(CHECK_INTERVAL).await;
    }
}

/// Returns the reason for which the session is not there; `None` where it is, or none is needed.
pub(super) async fn session_absence(info: &SlotInfo) -> Option<String> {
    if !info.is_gui() {
        return None;
    }
    let user = info.user();
    let (uid, name) = (user.uid, user.name.clone().unwrap_or_default());
    let tools = info.shared.tools.clone();
    let look = move || user_domain::session_absence(&tools, uid, &name);
    tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| Some(error.to_string()))
}

/// Sets the hold of the class, or lifts it. The same again changes nothing.
fn set_hold(info: &SlotInfo, reason: Option<String>) {
    let class = info.class_index();
    if class.is_none() {
        return;
    }
    let hold = Input::Hold { source: HoldSource::Session, class, reason };
    // Nobody listens any more when the launch agent ends.
    drop(info.inputs.send(hold));
}
