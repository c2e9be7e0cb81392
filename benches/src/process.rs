//! Usage of a process as Linux counts it: memory, processor time, wake-ups.

use std::fs;

/// One look at a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Resident memory now, in KiB.
    pub(crate) rss_kib: u64,
    /// Most resident memory so far, in KiB.
    pub(crate) peak_kib: u64,
    /// Of the memory resident now: what is not backed by a file, in KiB.
    pub(crate) anonymous_kib: u64,
    /// Processor time so far, in clock ticks.
    pub(crate) ticks: u64,
    /// Number of times that its threads went to sleep and were woken.
    pub(crate) wakeups: u64,
}

/// Looks at a process; `None` if it is gone.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = stat
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    let mut wakeups = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        wakeups += status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
            .and_then(|count| count.trim().parse::<u64>().ok())
            .unwrap_or(0);
    }
    Some(Usage {
        rss_kib: field("VmRSS:"),
        peak_kib: field("VmHWM:"),
        anonymous_kib: field("RssAnon:"),
        ticks,
        wakeups,
    })
}

/// Process ids of the children of `parent`.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let Ok(list) = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) else {
        return Vec::new();
    };
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Clock ticks in a second.
pub(crate) fn ticks_per_second() -> f64 {
    // SAFETY: sysconf reads a constant of the system and touches no memory of ours.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    ticks as f64
}
