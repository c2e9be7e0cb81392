//! Ending processes of a slot's user from outside.

use std::time::Duration;

use nix::sys::signal::Signal;
use russet_platform::Process;
use russet_protocol::supervise::SlotUser;

/// Rounds and interval in which processes are ended.
const MAX_END_ROUNDS: u32 = 100;
const END_INTERVAL: Duration = Duration::from_millis(20);

/// Ends everything of a user that is the slot's alone, or the part that began at `since` or later.
/// Returns the ids of what lives still.
///
/// The helper that cleans does it more thoroughly: it has the user's own id and so cannot miss any.
/// But it cannot end a program that has the ids of another user as well.
pub(super) async fn end_processes(user: &SlotUser, since: Option<u64>) -> Vec<u32> {
    if !user.dedicated || !nix::unistd::geteuid().is_root() {
        return Vec::new();
    }
    let find_left = || {
        let mut left = russet_platform::processes_of(user.uid);
        left.retain(|pid| match russet_platform::start_time(*pid) {
            Some(start) => since.is_none_or(|since| start >= since),
            // It has ended, and only waits for its parent to notice.
            None => false,
        });
        left
    };
    let mut left = find_left();
    for _ in 0..MAX_END_ROUNDS {
        if left.is_empty() {
            break;
        }
        for pid in left {
            // Held first and asked then, so that the number cannot come to mean another.
            if let Ok(process) = Process::open(pid)
                && russet_platform::is_of_user(pid, user.uid)
            {
                drop(process.signal(Signal::SIGKILL));
            }
        }
        tokio::time::sleep(END_INTERVAL).await;
        left = find_left();
    }
    left
}

#[cfg(test)]
mod tests {
    use super::end_processes;
    use russet_protocol::supervise::SlotUser;

    const UID: u32 = 58_601;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "a process of the user that is to be ended")]
    async fn a_program_that_took_other_ids_is_ended_too() {
        if !russet_test_skip::can_be_root("to have processes of others") {
            return;
        }
        if !russet_test_skip::has_tool("setpriv") {
            return;
        }
        // As a set-uid program of root's that the user started: the real user alone is its.
        let mut command = std::process::Command::new("setpriv");
        command.args(["--ruid", &UID.to_string(), "--euid", "0", "sleep", "1000"]);
        let mut child = command.spawn().unwrap();
        while russet_platform::processes_of(UID).is_empty() {
            assert!(child.try_wait().unwrap().is_none(), "it has ended");
            tokio::task::yield_now().await;
        }
        let user = SlotUser { uid: UID, gid: UID, name: None, dedicated: true };
        let someone = SlotUser { dedicated: false, ..user.clone() };
        assert!(end_processes(&someone, None).await.is_empty());
        assert!(child.try_wait().unwrap().is_none());
        assert_eq!(end_processes(&user, None).await, Vec::<u32>::new());
        assert!(!child.wait().unwrap().success());
    }
}
