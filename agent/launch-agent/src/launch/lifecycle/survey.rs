//! Keeping the list of directories where everybody may write, which clean-ups look into.
//!
//! A helper that becomes nobody makes it; root puts it in place and reads none of it. All launch
//! agents of a machine share one, so who finds a young one leaves it as it is.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use russet_platform::shared_directories::SharedDirectoryList;
use russet_platform::users;
use russet_protocol::supervise::{Assignment, Mode};

use crate::launch::process::{describe_status, run_helper};
use crate::launch::slot::SlotInfo;

/// Age at which the list is made anew.
const LIST_INTERVAL: Duration = Duration::from_secs(3600);

/// Interval at which its age is looked at, and at which another try is made.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// Timeout of the helper that looks through the disks.
const HELPER_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Keeps the list young for as long as this agent runs. `log` is the directory for the helper's
/// output.
pub(super) async fn keep_list(info: Arc<SlotInfo>, log: OwnedFd) {
    let list = SharedDirectoryList::of_machine();
    loop {
        if list.age().is_none_or(|age| age >= LIST_INTERVAL)
            && let Err(error) = make_list(&list, &info, &log).await
        {
            let text = "could not list the directories where everybody may write; what a task \
                        leaves in unusual ones stays there";
            tracing::warn!(%error, "{text}");
        }
        // By the runtime's clock: the list's age is that of a file, which the system's clock tells.
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn make_list(list: &SharedDirectoryList, info: &SlotInfo, log: &OwnedFd) -> io::Result<()> {
    // Another agent makes it just now.
    let Some(lock) = list.lock()? else { return Ok(()) };
    let assignment =
        Assignment { mode: Mode::Survey, user: Some(users::nobody()), ..info.blank_assignment() };
    let limit = tokio::time::sleep(HELPER_TIMEOUT);
    let (status, said) = run_helper(&info.shared.staged.exe, log, &assignment, limit).await?;
    if !status.success() {
        let text = format!("the helper {}: {said}", describe_status(status));
        return Err(io::Error::other(text));
    }
    list.keep_draft(&lock)
}
