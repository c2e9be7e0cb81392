//! Keeps a machine near a limit from changing its mind with each look.
//!
//! Memory is short for minutes or it is not short: a linker takes all of it for seconds. And a disk
//! at its reserve would claim one task, run full with it, and claim the next when that is cleaned.
//! So what begins a hold and what ends it are not the same number.

use russet_platform::MemoryPressure;

use super::facts::Facts;
use crate::config::Reserve;

/// Looks in a row with critical pressure after which memory is short: two minutes.
const LOOKS_UNTIL_SHORT: u32 = 4;

/// Looks in a row without it after which memory is enough again.
const LOOKS_UNTIL_ENOUGH: u32 = 4;

/// Shortage that holds claims back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shortage {
    /// The disk had less than its reserve, and has not half as much again yet.
    pub(super) disk: bool,
    /// Memory was under critical pressure for minutes, and has not been without it for as long.
    pub(super) memory: bool,
}

impl Shortage {
    /// Returns the shortage of this very moment, for whoever looks once.
    pub(super) fn now(facts: &Facts, reserve: Reserve) -> Self {
        Self {
            disk: facts.disk.is_some_and(|disk| disk.free < reserve.bytes(disk.size)),
            memory: facts.pressure == Some(MemoryPressure::Critical),
        }
    }
}

/// Memory of looks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Damper {
    shortage: Shortage,
    /// Looks in a row that say the opposite of the shortage of memory.
    against: u32,
}

impl Damper {
    /// Takes a look into account, and returns what is short.
    pub(super) fn take_look(&mut self, facts: &Facts, reserve: Reserve) -> Shortage {
        let now = Shortage::now(facts, reserve);
        self.shortage.disk = now.disk || (self.shortage.disk && !is_restored(facts, reserve));
        self.against = if now.memory == self.shortage.memory { 0 } else { self.against + 1 };
        let needed = if self.shortage.memory { LOOKS_UNTIL_ENOUGH } else { LOOKS_UNTIL_SHORT };
        if self.against >= needed {
            (self.shortage.memory, self.against) = (now.memory, 0);
        }
        self.shortage
    }
}

/// Bytes free from which on a disk that was short is used again.
pub(super) fn restored_from(wanted: u64) -> u64 {
    wanted.saturating_add(wanted / 2)
}

fn is_restored(facts: &Facts, reserve: Reserve) -> bool {
    facts.disk.is_none_or(|disk| disk.free >= restored_from(reserve.bytes(disk.size)))
}

#[cfg(test)]
mod tests {
    use super::{Damper, LOOKS_UNTIL_SHORT};
    use crate::config::Reserve;
    use crate::health::facts::{Disk, Facts};
    use russet_platform::MemoryPressure::{self, Critical, Normal, Warning};

    fn facts(free: u64, pressure: MemoryPressure) -> Facts {
        Facts {
            disk: Some(Disk { free, size: 1_000_000 }),
            memory: None,
            pressure: Some(pressure),
            swap: None,
            load: None,
            cores: 1,
            open_files: 10_240,
            clock_skew_s: None,
        }
    }

    #[test]
    fn memory_is_short_after_minutes_of_pressure_and_not_after_a_peak() {
        let mut damper = Damper::default();
        let mut look =
            |pressure| damper.take_look(&facts(900, pressure), Reserve(Some(100))).memory;
        for _peak in 0..3 {
            assert_eq!([look(Critical), look(Critical), look(Critical)], [false; 3]);
            assert!(!look(Warning));
        }
        let looks = (0..LOOKS_UNTIL_SHORT).map(|_| look(Critical)).collect::<Vec<bool>>();
        assert_eq!(looks, [false, false, false, true]);
        assert_eq!([look(Normal), look(Normal), look(Critical)], [true; 3]);
        let looks = (0..4).map(|_| look(Normal)).collect::<Vec<bool>>();
        assert_eq!(looks, [true, true, true, false]);
    }

    #[test]
    fn a_disk_at_its_reserve_is_used_again_only_with_room_to_spare() {
        let mut damper = Damper::default();
        let mut look = |free| damper.take_look(&facts(free, Normal), Reserve(Some(100))).disk;
        assert_eq!(
            [look(101), look(99), look(101), look(149), look(150), look(101)],
            [false, true, true, true, false, false]
        );
    }
}
