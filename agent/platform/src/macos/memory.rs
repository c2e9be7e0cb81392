//! Memory, as the kernel's own measure of pressure has it.
//!
//! macOS fills memory on purpose, so what is "free" says nothing. `kern.memorystatus_level` is
//! the percentage that the kernel takes for available (xnu, `bsd/kern/kern_memorystatus.c`).

use super::sysctl;
use crate::macos_tools::memory::{parse_swap_usage, pressure_of_level};
use crate::{Memory, MemoryPressure, Swap};

/// Memory of this machine.
#[must_use]
pub fn memory() -> Option<Memory> {
    let total: u64 = sysctl::read_number(c"hw.memsize")?;
    let percent: u64 = sysctl::read_number(c"kern.memorystatus_level")?;
    Some(Memory { available: total / 100 * percent.min(100), total })
}

/// Pressure on memory.
#[must_use]
pub fn memory_pressure() -> Option<MemoryPressure> {
    pressure_of_level(sysctl::read_number(c"kern.memorystatus_vm_pressure_level")?)
}

/// Space for memory on disk.
#[must_use]
pub fn swap() -> Option<Swap> {
    let mut usage = [0_u8; 64];
    parse_swap_usage(sysctl::read_bytes(c"vm.swapusage", &mut usage)?)
}

/// Memory that this process takes, in bytes (`PROC_PIDTASKINFO` of `libproc.h`).
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let pid = libc::c_int::try_from(std::process::id()).ok()?;
    let size = libc::c_int::try_from(size_of::<libc::proc_taskinfo>()).ok()?;
    // SAFETY: every field of proc_taskinfo is an integer, for which zero is a value.
    let mut info: libc::proc_taskinfo = unsafe { std::mem::zeroed() };
    // SAFETY: the buffer is as long as it is said to be.
    let written =
        unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTASKINFO, 0, (&raw mut info).cast(), size) };
    (written == size).then_some(info.pti_resident_size)
}
