//! Memory, from `/proc/meminfo` (proc_meminfo(5)).

use crate::{Memory, MemoryPressure, Swap};

/// Percentage of the last ten seconds in which everything waited for memory, from which on pressure
/// is critical. systemd-oomd(8) kills at 60.
const CRITICAL_STALL: f64 = 40.0;

/// Percentage in which something waited, from which on it is a warning.
const WARNING_STALL: f64 = 20.0;

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

/// Pressure on memory, from `/proc/pressure/memory` (Documentation/accounting/psi.rst of the
/// kernel); `None` where the kernel does not measure it.
#[must_use]
pub fn memory_pressure() -> Option<MemoryPressure> {
    parse_stalls(&std::fs::read_to_string("/proc/pressure/memory").ok()?)
}

/// Space for memory on disk.
#[must_use]
pub fn swap() -> Option<Swap> {
    parse_swap(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse(text: &str) -> Option<Memory> {
    let value = |name| value_of(text, name);
    Some(Memory { available: value("MemAvailable:")?, total: value("MemTotal:")? })
}

fn parse_swap(text: &str) -> Option<Swap> {
    let total = value_of(text, "SwapTotal:")?;
    Some(Swap { used: total.saturating_sub(value_of(text, "SwapFree:")?), total })
}

/// A value of `/proc/meminfo`, in bytes.
fn value_of(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Lines `some avg10=0.00 avg60=… total=…` and `full avg10=…`.
fn parse_stalls(text: &str) -> Option<MemoryPressure> {
    let average = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let value = line.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
        value.parse::<f64>().ok()
    };
    let (some, full) = (average("some ")?, average("full ")?);
    Some(if full >= CRITICAL_STALL {
        MemoryPressure::Critical
    } else if some >= WARNING_STALL {
        MemoryPressure::Warning
    } else {
        MemoryPressure::Normal
    })
}

#[cfg(test)]
mod tests {
    use super::{parse_stalls, parse_swap};
    use crate::{MemoryPressure, Swap};

    #[test]
    fn stalls_of_everything_are_critical_and_of_something_a_warning() {
        let of = |some: &str, full: &str| {
            parse_stalls(&format!(
                "some avg10={some} avg60=1.00 avg300=0.50 total=1\n\
                 full avg10={full} avg60=0.00 avg300=0.00 total=1\n"
            ))
        };
        assert_eq!(of("0.00", "0.00"), Some(MemoryPressure::Normal));
        assert_eq!(of("25.10", "3.00"), Some(MemoryPressure::Warning));
        assert_eq!(of("70.00", "41.20"), Some(MemoryPressure::Critical));
        assert_eq!(parse_stalls("some avg10=x"), None);
    }

    #[test]
    fn swap_is_what_is_not_free_of_it() {
        let text = "SwapCached: 1 kB\nSwapTotal:  100 kB\nSwapFree:  40 kB\n";
        assert_eq!(parse_swap(text), Some(Swap { used: 60 * 1024, total: 100 * 1024 }));
    }

    #[test]
    fn total_and_available_are_read() {
        let text = "MemTotal:       24672140 kB\nMemFree:  1 kB\nMemAvailable:   21234567 kB\n";
        let memory = super::parse(text).unwrap();
        assert_eq!((memory.total, memory.available), (24_672_140 * 1024, 21_234_567 * 1024));
        assert_eq!(super::parse("MemTotal: much\n"), None);
    }
}
