//! Time since boot, and which boot that is.

use nix::time::{ClockId, clock_gettime};

/// Milliseconds since boot, system sleep included.
#[must_use]
pub fn boot_clock_ms() -> u64 {
    // It fails only for a clock that the kernel does not have; every kernel since 2.6.39 has it.
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(0, |at| crate::clock::whole_millis(std::time::Duration::from(at)))
}

/// Identity of this boot.
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}
