//! The kernel's own words on memory.
//!
//! macOS fills memory on purpose and compresses or swaps what is not used, so that neither "free"
//! memory nor the percentage that the kernel takes for available says when it hurts: that one was
//! seen at "normal" with 40 GB of swap, and the kernel warns at half of it. Its level of pressure is
//! what it acts upon itself (xnu, `bsd/kern/kern_memorystatus_notify.c`).

use crate::{MemoryPressure, Swap};

/// `kern.memorystatus_vm_pressure_level`: a `kVMPressure…` as `NOTE_MEMORYSTATUS_PRESSURE_…`
/// (xnu, `bsd/sys/event_private.h`): 1 normal, 2 warning, 4 critical.
#[must_use]
pub fn pressure_of_level(level: u64) -> Option<MemoryPressure> {
    match level {
        1 => Some(MemoryPressure::Normal),
        2 => Some(MemoryPressure::Warning),
        4 => Some(MemoryPressure::Critical),
        _ => None,
    }
}

/// `vm.swapusage`: `struct xsw_usage` of `sys/sysctl.h`, which begins with three numbers of eight
/// bytes each: total, available, used.
#[must_use]
pub fn parse_swap_usage(bytes: &[u8]) -> Option<Swap> {
    let number = |index: usize| {
        let bytes = bytes.get(index * 8..)?.first_chunk::<8>()?;
        Some(u64::from_ne_bytes(*bytes))
    };
    Some(Swap { total: number(0)?, used: number(2)? })
}

#[cfg(test)]
mod tests {
    use super::{parse_swap_usage, pressure_of_level};
    use crate::{MemoryPressure, Swap};

    #[test]
    fn levels_are_the_kernels_and_others_are_not_guessed_at() {
        assert_eq!(pressure_of_level(1), Some(MemoryPressure::Normal));
        assert_eq!(pressure_of_level(2), Some(MemoryPressure::Warning));
        assert_eq!(pressure_of_level(4), Some(MemoryPressure::Critical));
        assert_eq!(pressure_of_level(3), None);
    }

    /// The layout of `struct xsw_usage` (xnu-11417, `bsd/sys/sysctl.h`): three `u_int64_t`, the page
    /// size as `u_int32_t`, and `boolean_t xsu_encrypted`.
    #[test]
    fn swap_is_read_from_the_kernels_structure() {
        let mut bytes = Vec::new();
        for number in [2_147_483_648_u64, 1_000_000, 2_146_483_648] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(16_384_u32.to_ne_bytes());
        bytes.extend(1_u32.to_ne_bytes());
        let swap = Swap { total: 2_147_483_648, used: 2_146_483_648 };
        assert_eq!(parse_swap_usage(&bytes), Some(swap));
        assert_eq!(parse_swap_usage(&bytes[..23]), None);
    }
}
