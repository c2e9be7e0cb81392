//! Ending processes of a slot's user from outside.

use std::time::Duration;

use nix::sys::signal::Signal;
use russet_platform::Process;
use russet_protocol::supervise::SlotUser;

/// Rounds and interval in which processes are ended.
const MAX_END_ROUNDS: u32 = 100;
const END_INTERVAL: Duration = Duration::from_millis(20);

/// Processes that are named because they do not end.
const MAX_NAMED: usize = 10;

/// Longest name of a process that is shown, in characters: it is the job's choice.
const MAX_NAME_CHARS: usize = 40;

/// A process that was killed and lives still: it is stuck in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftProcess {
    pid: u32,
    /// Start time, in the kernel's own units.
    start: u64,
    name: String,
}

impl LeftProcess {
    /// Returns true while this very process is there.
    pub(super) fn is_there(&self) -> bool {
        russet_platform::start_time(self.pid) == Some(self.start)
    }
}

/// Describes processes that do not end, in a sentence.
pub(super) fn describe_left(left: &[LeftProcess]) -> String {
    let named = left.iter().take(MAX_NAMED).map(|process| {
        let name = russet_text::one_line_within(&process.name, MAX_NAME_CHARS);
        format!(
            "{} (pid {})",
            if name.is_empty() { "a process" } else { name.as_str() },
            process.pid
        )
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let more = match left.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let verb = if left.len() == 1 { "does not end" } else { "do not end" };
    format!("{named}{more} of the slot's user {verb}, although killed")
}

/// Ends everything of a user that is the slot's alone, or the part that began at `since` or later.
/// Returns what lives still.
///
/// The helper that cleans does it more thoroughly: it has the user's own id and so cannot miss any.
/// But it cannot end a program that has the ids of another user as well.
pub(super) async fn end_processes(user: &SlotUser, since: Option<u64>) -> Vec<LeftProcess> {
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
        for pid in &left {
            let pid = *pid;
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
    name_processes(user.uid, &left)
}

fn name_processes(uid: u32, pids: &[u32]) -> Vec<LeftProcess> {
    if pids.is_empty() {
        return Vec::new();
    }
    let table = russet_platform::os::processes_with_user(uid).unwrap_or_default();
    let name = |pid: u32| {
        let found = table.iter().find(|process| process.pid.unsigned_abs() == pid);
        found.map(|process| process.command.clone()).unwrap_or_default()
    };
    let left = |pid: &u32| {
        // It may have ended just now.
        let start = russet_platform::start_time(*pid)?;
        Some(LeftProcess { pid: *pid, start, name: name(*pid) })
    };
    pids.iter().filter_map(left).collect()
}

#[cfg(test)]
mod tests {
    use super::{LeftProcess, describe_left, end_processes};
    use russet_protocol::supervise::SlotUser;

    const UID: u32 = 58_601;

    #[test]
    fn processes_that_do_not_end_are_named_with_their_numbers() {
        let left = |pid, name: &str| LeftProcess { pid, start: 1, name: name.to_owned() };
        assert_eq!(
            describe_left(&[left(7, "cat")]),
            "cat (pid 7) of the slot's user does not end, although killed"
        );
        let both = describe_left(&[left(7, "a\u{1b}[2J"), left(8, "")]);
        assert!(!both.contains('\u{1b}') && both.contains("a process (pid 8)"), "{both}");
        let many: Vec<LeftProcess> = (0..13).map(|pid| left(pid, "x")).collect();
        assert!(
            describe_left(&many).contains("x (pid 9) and 3 more of the slot's user do not end")
        );
    }

    #[test]
    fn a_process_is_there_until_another_has_its_number() {
        let (pid, start) = (std::process::id(), russet_platform::start_time(std::process::id()));
        let me = LeftProcess { pid, start: start.unwrap(), name: String::new() };
        assert!(me.is_there());
        assert!(!LeftProcess { start: me.start + 1, ..me }.is_there());
    }

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
        assert_eq!(end_processes(&user, None).await, []);
        assert!(!child.wait().unwrap().success());
    }
}
