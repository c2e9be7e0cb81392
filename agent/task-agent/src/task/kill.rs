//! Ending processes.
//!
//! A process tree is never trusted to be a tree: children leave the group, the session and their
//! parent. A step is asked (TERM to its group), then its group is killed, and what descends from it
//! in the task agent's session. What left that is ended with the task: everything of the slot's
//! user, if that user is the slot's alone, else everything that descends from the task agent.

use std::collections::BTreeSet;
use std::time::Duration;

use russet_protocol::supervise::Limits;

use super::clean;
use super::reaper::Child;
use super::stop::StopSignal;
use russet_platform::clock::Clock;
use russet_platform::os;

/// Time between TERM and KILL, unless configured.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Returns the time between TERM and KILL that the owner configured.
pub(crate) fn grace_of(limits: &Limits) -> Duration {
    match limits.kill_grace_ms {
        0 => DEFAULT_GRACE,
        milliseconds => Duration::from_millis(milliseconds),
    }
}

/// Asks a step's processes to end, and ends them after `grace`. Returns when its first process
/// is gone.
pub(crate) async fn end_step(child: &mut Child, grace: Duration, clock: &Clock, stop: &StopSignal) {
    let leader = child.pid;
    // Who its parents are is only known while those live.
    let mut members = Members::default();
    members.find(leader);
    if !grace.is_zero() {
        signal_group(leader, libc::SIGTERM);
        // A stopped process hears of TERM only when it goes on.
        signal_group(leader, libc::SIGCONT);
        tokio::select! {
            _ = child.exited() => {
                // Its leader's id is free from here on, so nothing more is sent to it.
                members.kill();
                return;
            }
            () = clock.sleep(grace) => {}
            () = stop.hurried() => {}
        }
        members.find(leader);
    }
    signal_group(leader, libc::SIGKILL);
    members.kill();
    // It cannot refuse; only a process stuck in the kernel takes longer, and does not hold us.
    tokio::select! {
        _ = child.exited() => {}
        () = clock.sleep(STUCK) => {}
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

/// Processes with the times at which they began, which tell them from others that got their ids.
#[derive(Debug, Default)]
struct Members(BTreeSet<(i32, u64)>);

impl Members {
    /// Adds what descends from `leader` in the session of this process.
    fn find(&mut self, leader: i32) {
        let (Ok(processes), Ok(session)) = (os::processes(), nix::unistd::getsid(None)) else {
            return;
        };
        let found = clean::descendants_of(&processes, leader);
        let ours = found.into_iter().filter(|process| process.session == session.as_raw());
        self.0.extend(ours.filter_map(|process| {
            Some((process.pid, russet_platform::start_time(process.pid.unsigned_abs())?))
        }));
    }

    fn kill(&self) {
        for (pid, began) in &self.0 {
            if *pid > 1 && russet_platform::start_time(pid.unsigned_abs()) == Some(*began) {
                // SAFETY: Takes numbers only.
                unsafe { libc::kill(*pid, libc::SIGKILL) };
            }
        }
    }
}
