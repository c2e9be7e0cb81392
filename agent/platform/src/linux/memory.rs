//! Memory, from `/proc/meminfo` (proc_meminfo(5)).

use crate::Memory;

/// Memory of this machine.
#[must_use]
pub fn memory() -> Option<Memory> {
    parse(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

/// Memory that this process takes, in bytes, from `/proc/self/statm` (proc_pid_statm(5)).
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    pages.checked_mul(u64::try_from(page).ok()?)
}

fn parse(text: &str) -> Option<Memory> {
    let value = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kilobytes.checked_mul(1024)
    };
    Some(Memory { available: value("MemAvailable:")?, total: value("MemTotal:")? })
}

#[cfg(test)]
mod tests {
    #[test]
    fn total_and_available_are_read() {
        let text = "MemTotal:       24672140 kB\nMemFree:  1 kB\nMemAvailable:   21234567 kB\n";
        let memory = super::parse(text).unwrap();
        assert_eq!((memory.total, memory.available), (24_672_140 * 1024, 21_234_567 * 1024));
        assert_eq!(super::parse("MemTotal: much\n"), None);
    }
}
