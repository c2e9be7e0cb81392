//! Usage of a process as Linux counts it: memory, processor time, wake-ups.

use std::fs;

use anyhow::{Context, Result};

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

/// Memory of a process in KiB, with its share of the pages that others map too.
pub(crate) fn proportional_kib(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Counters of a process that only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// Processor time, in clock ticks.
    pub(crate) ticks: u64,
    /// Processor time of descendants that have ended, in clock ticks.
    pub(crate) child_ticks: u64,
    /// Page faults.
    pub(crate) faults: u64,
    /// Page faults of descendants that have ended.
    pub(crate) child_faults: u64,
    /// Times that its threads gave up or lost the processor.
    pub(crate) switches: u64,
    /// Bytes that it, and descendants that have ended, gave to `write` and its like.
    pub(crate) written: u64,
}

impl Counters {
    /// Reads the counters of a process (proc(5)).
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("a process is gone")?;
        let (_, rest) = stat.rsplit_once(')').context("/proc/PID/stat has another form")?;
        let fields: Vec<u64> = rest.split_whitespace().map(|x| x.parse().unwrap_or(0)).collect();
        // Field 3 of proc(5) is the first after the name.
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
        let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
        let mut switches = 0;
        for thread in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            switches += number_after(&status, "\nvoluntary_ctxt_switches:");
            switches += number_after(&status, "nonvoluntary_ctxt_switches:");
        }
        Ok(Self {
            ticks: field(14) + field(15),
            child_ticks: field(16) + field(17),
            faults: field(10) + field(12),
            child_faults: field(11) + field(13),
            switches,
            written: number_after(&io, "wchar:"),
        })
    }
}

/// Processes and threads that this machine has started since its boot.
pub(crate) fn machine_forks() -> Result<u64> {
    Ok(number_after(&fs::read_to_string("/proc/stat")?, "\nprocesses "))
}

fn number_after(text: &str, name: &str) -> u64 {
    let rest = text.split_once(name).map_or("", |(_, rest)| rest);
    rest.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
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
