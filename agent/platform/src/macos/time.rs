//! Time since boot, and which boot that is.

use nix::time::{ClockId, clock_gettime};

/// Milliseconds since boot, system sleep included: Darwin's `CLOCK_MONOTONIC` goes on in sleep,
/// unlike `CLOCK_UPTIME_RAW`, which `Instant` reads.
#[must_use]
pub fn boot_clock_ms() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |at| crate::clock::whole_millis(std::time::Duration::from(at)))
}

/// Identity of this boot session.
#[must_use]
pub fn boot_id() -> String {
    super::sysctl::read_string(c"kern.bootsessionuuid").unwrap_or_else(|| "unknown".to_owned())
}
