//! Ending processes that outlived their step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::tally::{Kind, Tally};
use russet_platform::os::{self, ProcessInfo};

/// A process that does not go away in this time is stuck in the kernel.
const LONGEST: Duration = Duration::from_secs(10);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// So many are named; asking for the command lines of a fork bomb would take too long.
const MOST_NAMED: usize = 20;

/// Ends everything of `uid`, which has to be this process's own user, but not this process.
pub(super) fn end_all_of_user(uid: u32, reap: &dyn Fn(), tally: &mut Tally) {
    reap();
    if uid == 0 || nix::unistd::getuid().as_raw() != uid {
        return;
    }
    // Mostly there is nobody, and a look at each process of the machine would be most of what a
    // short task costs. What descends from this process has its topmost living ancestor as our
    // child; whoever does not (a daemon started it) has an owner that is quick to see.
    let has_descendants = os::ORPHANS_COME_BACK && has_children();
    if !has_descendants && !os::has_others(uid) {
        return;
    }
    end_processes(
        reap,
        &|| os::processes_with_user(uid),
        // One call reaches everybody at once, so that nobody can fork away from it.
        &|_| {
            os::signal_others(libc::SIGKILL);
        },
        tally,
    );
}

/// Ends what `uid` began at `since` or later, in the kernel's own units, but not this process: in
/// a session at the screen, what is older is the session itself.
pub(super) fn end_since(uid: u32, since: u64, reap: &dyn Fn(), tally: &mut Tally) {
    reap();
    if uid != 0 && nix::unistd::getuid().as_raw() == uid {
        let find = || Ok(begun_since(&os::processes_with_user(uid)?, since));
        end_processes(reap, &find, &kill_each, tally);
    }
}

/// Those that began at `since` or later.
pub(super) fn begun_since(processes: &[ProcessInfo], since: u64) -> Vec<ProcessInfo> {
    let began = |process: &&ProcessInfo| russet_platform::start_time(process.pid.unsigned_abs());
    let is_later = |process: &&ProcessInfo| began(process).is_some_and(|began| began >= since);
    processes.iter().filter(is_later).cloned().collect()
}

fn kill_each(found: &[ProcessInfo]) {
    for process in found {
        // SAFETY: Takes numbers only. A process that is gone is no error to us.
        unsafe { libc::kill(process.pid, libc::SIGKILL) };
    }
}

/// Ends what descends from this process, and where orphans do not come back to it, what is in
/// one of `sessions`.
pub(super) fn end_descendants(sessions: &BTreeSet<i32>, reap: &dyn Fn(), tally: &mut Tally) {
    reap();
    if os::ORPHANS_COME_BACK && !has_children() {
        return;
    }
    let me = std::process::id().cast_signed();
    end_processes(reap, &|| Ok(descendants(&os::processes()?, me, sessions)), &kill_each, tally);
}

fn has_children() -> bool {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: The pointer is to a structure that lives through the call. WNOWAIT leaves a child
    // that has ended for the reaper.
    unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) == 0 }
}

fn end_processes(
    reap: &dyn Fn(),
    find: &dyn Fn() -> std::io::Result<Vec<ProcessInfo>>,
    kill: &dyn Fn(&[ProcessInfo]),
    tally: &mut Tally,
) {
    let me = std::process::id().cast_signed();
    let until = Instant::now() + LONGEST;
    let mut named: BTreeMap<i32, String> = BTreeMap::new();
    let mut met = BTreeSet::new();
    let mut stuck = BTreeSet::new();
    loop {
        let mut alive = match find() {
            Ok(found) => found,
            Err(error) => {
                tally.kept(Kind::Processes, "processes", &format!("cannot list them: {error}"));
                break;
            }
        };
        alive.retain(|process| !process.is_zombie && process.pid != me && process.pid > 1);
        if alive.is_empty() {
            break;
        }
        for process in &alive {
            if met.insert(process.pid) && named.len() < MOST_NAMED {
                let command = os::command_line(process.pid);
                named.insert(process.pid, command.unwrap_or_else(|| process.command.clone()));
            }
        }
        if Instant::now() > until {
            for process in &alive {
                let name = named.get(&process.pid).unwrap_or(&process.command);
                let what = format!("the process `{name}` (pid {})", process.pid);
                tally.kept(Kind::Processes, &what, "it does not end");
                stuck.insert(process.pid);
            }
            break;
        }
        kill(&alive);
        std::thread::sleep(PAUSE);
        reap();
    }
    let mut more = 0;
    for pid in met.difference(&stuck) {
        match named.get(pid) {
            Some(name) => tally.removed(Kind::Processes, 0, &format!("{name} (pid {pid})")),
            None => more += 1,
        }
    }
    tally.removed_more(Kind::Processes, more);
}

/// Everybody whose ancestors include `me`, and members of `sessions` where the system gives
/// orphans to somebody else.
pub(super) fn descendants(
    processes: &[ProcessInfo],
    me: i32,
    sessions: &BTreeSet<i32>,
) -> Vec<ProcessInfo> {
    let parents: BTreeMap<i32, i32> =
        processes.iter().map(|process| (process.pid, process.parent)).collect();
    let is_below = |pid: i32| {
        let mut at = pid;
        // A listing is not taken at one instant, so it could contain a circle.
        for _ in 0..parents.len() {
            match parents.get(&at) {
                Some(parent) if *parent == me => return true,
                Some(parent) => at = *parent,
                None => return false,
            }
        }
        false
    };
    processes
        .iter()
        .filter(|process| {
            let is_ours = !os::ORPHANS_COME_BACK && sessions.contains(&process.session);
            is_ours || is_below(process.pid)
        })
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{begun_since, descendants};
    use russet_platform::os::ProcessInfo;
    use std::collections::BTreeSet;

    fn process(pid: i32, parent: i32) -> ProcessInfo {
        ProcessInfo { pid, parent, session: pid, uid: 1, is_zombie: false, command: String::new() }
    }

    #[test]
    fn what_a_session_began_with_is_told_from_what_a_task_began() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id().cast_signed();
        let me = std::process::id();
        let all = [process(me.cast_signed(), 1), process(pid, 1), process(i32::MAX, 1)];
        let began = russet_platform::start_time(child.id()).unwrap();
        let found = |since| {
            let found = begun_since(&all, since);
            found.iter().map(|process| process.pid).collect::<Vec<_>>()
        };
        assert!(found(began).contains(&pid));
        assert!(!found(began + 1).contains(&pid));
        // What has ended meanwhile is nobody's.
        assert_eq!(found(0), [me.cast_signed(), pid]);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn only_what_descends_from_us_is_ours() {
        let all = [process(2, 1), process(10, 2), process(11, 10), process(12, 11), process(20, 1)];
        let found = descendants(&all, 10, &BTreeSet::new());
        assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [11, 12]);
        let circle = [process(5, 6), process(6, 5)];
        assert!(descendants(&circle, 10, &BTreeSet::new()).is_empty());
    }
}
