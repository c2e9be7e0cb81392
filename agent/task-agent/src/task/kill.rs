//! Ending processes.
//!
//! A process tree is never trusted to be a tree: children leave the group, the session and their
//! parent. A step is asked (TERM to its group), then its group and its session are killed. What
//! left those is ended with the task: everything of the slot's user, if that user is the slot's
//! alone, else everything that descends from the task agent.

use std::time::Duration;

use super::context::Context;
use super::reaper::Child;
use russet_platform::os;

/// Asks a step's processes to end, and ends them after `grace`. Returns when its first process
/// is gone.
pub(crate) async fn session(context: &Context, child: &mut Child, grace: Duration) {
    let leader = child.pid;
    if !grace.is_zero() {
        signal_group(leader, libc::SIGTERM);
        // A stopped process hears of TERM only when it goes on.
        signal_group(leader, libc::SIGCONT);
        tokio::select! {
            _ = child.exited() => {
                // Its leader's id is free from here on, so nothing more is sent to it. Who is
                // left in the session is found by name.
                kill_session(leader);
                return;
            }
            () = context.clock.sleep(grace) => {}
            () = context.stop.hurried() => {}
        }
    }
    signal_group(leader, libc::SIGKILL);
    kill_session(leader);
    // It can not refuse; only a process stuck in the kernel takes longer, and does not hold us.
    tokio::select! {
        _ = child.exited() => {}
        () = context.clock.sleep(STUCK) => {}
    }
}

/// Time for which a killed process is waited for.
const STUCK: Duration = Duration::from_secs(5);

fn signal_group(leader: i32, signal: i32) {
    if leader > 1 {
        // SAFETY: Takes numbers only. A group that is gone is no error to us.
        unsafe { libc::kill(-leader, signal) };
    }
}

fn kill_session(session: i32) {
    let Ok(processes) = os::processes() else { return };
    for process in processes.iter().filter(|process| process.session == session) {
        if process.pid > 1 {
            // SAFETY: Takes numbers only.
            unsafe { libc::kill(process.pid, libc::SIGKILL) };
        }
    }
}
