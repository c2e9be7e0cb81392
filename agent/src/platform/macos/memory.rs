//! Memory, as the kernel's own measure of pressure has it.
//!
//! macOS fills memory on purpose, so what is "free" says nothing. `kern.memorystatus_level` is
//! the percentage that the kernel takes for available (xnu, `bsd/kern/kern_memorystatus.c`).

use super::sysctl;
use crate::health::facts::Memory;

/// Memory of this machine.
#[must_use]
pub fn memory() -> Option<Memory> {
    let total: u64 = sysctl::number(c"hw.memsize")?;
    let percent: u64 = sysctl::number(c"kern.memorystatus_level")?;
    Some(Memory { available: total / 100 * percent.min(100), total })
}
