//! Which entries of a cache go. Pure.

use std::time::Duration;

/// Age below which an entry may be in use by programs other than tasks.
pub(super) const YOUNG: Duration = Duration::from_secs(3600);

/// One entry of a cache: a file, or a directory with all that is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Space that it takes on disk.
    pub(super) bytes: u64,
    /// Since the last change of anything in it.
    pub(super) age: Duration,
}

/// Rules of the owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// Bytes that are free now.
    pub(super) free: u64,
    /// Bytes that are to be free. `None`: room is no reason.
    pub(super) watermark: Option<u64>,
    /// Older entries go in any case. `None`: age is no reason.
    pub(super) max_age: Option<Duration>,
}

/// The entries that go, the oldest first: all that are too old, and then as many as it takes to
/// reach the watermark. Young ones stay whatever happens.
pub(super) fn plan_removal(entries: &[Entry], rules: Rules) -> Vec<usize> {
    let mut order: Vec<(usize, &Entry)> =
        entries.iter().enumerate().filter(|(_, entry)| entry.age >= YOUNG).collect();
    order.sort_by_key(|(index, entry)| (std::cmp::Reverse(entry.age), *index));
    let mut free = rules.free;
    let mut going = Vec::new();
    for (index, entry) in order {
        let is_old = rules.max_age.is_some_and(|max| entry.age > max);
        let is_short = rules.watermark.is_some_and(|watermark| free < watermark);
        if is_old || is_short {
            free = free.saturating_add(entry.bytes);
            going.push(index);
        }
    }
    going
}

#[cfg(test)]
mod tests {
    use super::{Entry, Rules, YOUNG, plan_removal};
    use proptest::prelude::*;
    use std::time::Duration;

    const HOUR: u64 = 3600;

    fn entry(bytes: u64, hours: u64) -> Entry {
        Entry { bytes, age: Duration::from_secs(hours * HOUR) }
    }

    #[test]
    fn the_oldest_go_until_there_is_room_and_the_too_old_in_any_case() {
        let entries = [entry(10, 5), entry(10, 900), entry(10, 40), entry(10, 0), entry(10, 90)];
        let rules = Rules { free: 100, watermark: Some(115), max_age: None };
        assert_eq!(plan_removal(&entries, rules), [1, 4]);
        let rules = Rules { watermark: Some(90), ..rules };
        assert!(plan_removal(&entries, rules).is_empty());
        let rules = Rules { max_age: Some(Duration::from_secs(50 * HOUR)), ..rules };
        assert_eq!(plan_removal(&entries, rules), [1, 4]);
        // Even all of it is not enough, and what is in use stays.
        let rules = Rules { watermark: Some(u64::MAX), ..rules };
        assert_eq!(plan_removal(&entries, rules), [1, 4, 2, 0]);
    }

    proptest! {
        #[test]
        fn a_plan_takes_no_more_than_it_must_and_never_the_newer_before_the_older(
            sizes in prop::collection::vec((0_u64..1000, 0_u64..2000), 0..40),
            free in 0_u64..5000,
            watermark in prop::option::of(0_u64..10_000),
            max_age in prop::option::of(0_u64..2000),
        ) {
            let entries: Vec<Entry> =
                sizes.iter().map(|(bytes, minutes)| Entry {
                    bytes: *bytes,
                    age: Duration::from_secs(minutes * 60),
                }).collect();
            let max_age = max_age.map(|minutes| Duration::from_secs(minutes * 60));
            let rules = Rules { free, watermark, max_age };
            let going = plan_removal(&entries, rules);
            let is_old = |entry: &Entry| max_age.is_some_and(|max| entry.age > max);
            let mut freed = free;
            for index in &going {
                let entry = entries[*index];
                prop_assert!(entry.age >= YOUNG);
                // Each one that goes had to: it is too old, or room was still short.
                prop_assert!(is_old(&entry) || watermark.is_some_and(|mark| freed < mark));
                freed += entry.bytes;
            }
            let mut unique = going.clone();
            unique.sort_unstable();
            unique.dedup();
            prop_assert_eq!(unique.len(), going.len());
            let stays = |index: &usize| !going.contains(index);
            for index in (0..entries.len()).filter(stays) {
                let entry = entries[index];
                if entry.age < YOUNG {
                    continue;
                }
                // What stays may stay: not too old, enough room, and nothing newer went.
                prop_assert!(!is_old(&entry));
                prop_assert!(watermark.is_none_or(|mark| freed >= mark));
                prop_assert!(going.iter().all(|gone| entries[*gone].age >= entry.age));
            }
        }
    }
}
