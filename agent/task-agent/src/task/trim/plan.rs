//! Which entries of a cache are measured and which go, the oldest first. Pure.
//!
//! What is known of an entry before it is measured (its own time, and what an earlier look saw in it)
//! only makes it older than it is. So the oldest by what is known is measured first, and goes once it
//! is measured and still the oldest: no more is looked at than has to be, and a look that runs out of
//! time is gone on with by the next one.

use std::collections::BTreeSet;
use std::time::Duration;

/// Age below which an entry may be in use by programs other than tasks.
pub(super) const YOUNG: Duration = Duration::from_secs(3600);

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

/// Entry of a cache: a file, or a directory with all that is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Latest change that was seen in it, in seconds since 1970.
    pub(super) changed: i64,
    /// Set if there was not time enough to measure it the last time.
    pub(super) is_unfinished: bool,
}

/// Next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Measure this entry.
    Measure(usize),
    /// Remove this entry.
    Remove(usize),
    /// There is no more to do.
    Done,
}

/// Order in which entries are looked at.
#[derive(Debug)]
pub(super) struct Queue {
    rules: Rules,
    now: i64,
    /// Unfinished ones last, then by change; with the index, and true if it is measured.
    order: BTreeSet<(bool, i64, usize, bool)>,
}

impl Queue {
    /// Begins with what is known of the entries. `now` is in seconds since 1970.
    pub(super) fn new(entries: &[Known], rules: Rules, now: i64) -> Self {
        let order = entries.iter().enumerate();
        let order = order.map(|(index, known)| (known.is_unfinished, known.changed, index, false));
        Self { rules, now, order: order.collect() }
    }

    /// Returns the next step. A measured one is told by [`Self::note_measured`], a removed one by
    /// [`Self::note_removed`].
    pub(super) fn next_step(&mut self) -> Next {
        let Some((_, changed, index, is_measured)) = self.order.first().copied() else {
            return Next::Done;
        };
        let age = Duration::from_secs(u64::try_from(self.now.saturating_sub(changed)).unwrap_or(0));
        let is_old = self.rules.max_age.is_some_and(|max| age > max);
        let is_short = self.rules.watermark.is_some_and(|watermark| self.rules.free < watermark);
        if age < YOUNG || !(is_old || is_short) {
            // Those behind it are younger still, but for unfinished ones.
            let is_before = |entry: &(bool, i64, usize, bool)| !entry.0;
            let has_other = self.order.first().is_some_and(is_before)
                && self.order.last().is_some_and(|entry| !is_before(entry));
            if !has_other {
                return Next::Done;
            }
            self.order.retain(|entry| entry.0);
            return self.next_step();
        }
        self.order.pop_first();
        if is_measured { Next::Remove(index) } else { Next::Measure(index) }
    }

    /// An entry is measured.
    pub(super) fn note_measured(&mut self, index: usize, changed: i64) {
        self.order.insert((false, changed, index, true));
    }

    /// An entry is removed, and its bytes are free.
    pub(super) fn note_removed(&mut self, bytes: u64) {
        self.rules.free = self.rules.free.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Next, Queue, Rules, YOUNG};
    use proptest::prelude::*;
    use std::time::Duration;

    const HOUR: i64 = 3600;
    const NOW: i64 = 100_000 * HOUR;

    /// Entries by their age in hours: as it looks from outside, and as it is.
    fn run(ages: &[(i64, i64)], bytes: u64, rules: Rules) -> (Vec<usize>, Vec<usize>) {
        let known =
            ages.iter().map(|(seen, _)| Known { changed: NOW - seen * HOUR, is_unfinished: false });
        let mut queue = Queue::new(&known.collect::<Vec<_>>(), rules, NOW);
        let (mut measured, mut gone) = (Vec::new(), Vec::new());
        loop {
            match queue.next_step() {
                Next::Measure(index) => {
                    measured.push(index);
                    queue.note_measured(index, NOW - ages[index].1 * HOUR);
                }
                Next::Remove(index) => {
                    gone.push(index);
                    queue.note_removed(bytes);
                }
                Next::Done => return (measured, gone),
            }
        }
    }

    #[test]
    fn the_oldest_go_until_there_is_room_and_the_too_old_in_any_case() {
        let ages = [(5, 5), (900, 900), (40, 40), (0, 0), (90, 90)];
        let gone = |rules| run(&ages, 10, rules).1;
        let rules = Rules { free: 100, watermark: Some(115), max_age: None };
        assert_eq!(gone(rules), [1, 4]);
        let rules = Rules { watermark: Some(90), ..rules };
        assert!(gone(rules).is_empty());
        let rules = Rules { max_age: Some(Duration::from_secs(50 * 3600)), ..rules };
        assert_eq!(gone(rules), [1, 4]);
        // Even all of it is not enough, and what is in use stays.
        let rules = Rules { watermark: Some(u64::MAX), ..rules };
        assert_eq!(gone(rules), [1, 4, 2, 0]);
    }

    #[test]
    fn no_more_is_measured_than_has_to_be() {
        // One looks old and is in use.
        let ages = [(900, 2), (800, 800), (700, 700), (3, 3), (2, 2)];
        let rules = Rules { free: 0, watermark: Some(10), max_age: None };
        assert_eq!(run(&ages, 10, rules), (vec![0, 1], vec![1]));
        let rules = Rules { free: 0, watermark: None, max_age: Some(Duration::from_secs(1 << 30)) };
        assert_eq!(run(&ages, 10, rules), (vec![], vec![]));
    }

    #[test]
    fn one_that_could_not_be_measured_in_time_comes_last() {
        let known = [
            Known { changed: 0, is_unfinished: true },
            Known { changed: NOW - 50 * HOUR, is_unfinished: false },
            Known { changed: NOW, is_unfinished: false },
        ];
        let rules = Rules { free: 0, watermark: Some(100), max_age: None };
        let mut queue = Queue::new(&known, rules, NOW);
        assert_eq!(queue.next_step(), Next::Measure(1));
        queue.note_measured(1, NOW - 50 * HOUR);
        assert_eq!(queue.next_step(), Next::Remove(1));
        queue.note_removed(10);
        assert_eq!(queue.next_step(), Next::Measure(0));
        queue.note_measured(0, NOW);
        assert_eq!(queue.next_step(), Next::Done);
    }

    proptest! {
        #[test]
        fn what_goes_is_no_more_than_it_must_and_never_the_newer_before_the_older(
            ages in prop::collection::vec((0_i64..2000, 0_i64..2000), 0..40),
            free in 0_u64..500,
            watermark in prop::option::of(0_u64..1000),
            max_age in prop::option::of(0_u64..2000),
        ) {
            let ages: Vec<(i64, i64)> =
                ages.into_iter().map(|(a, b)| (a.max(b), a.min(b))).collect();
            let max_age = max_age.map(|hours| Duration::from_secs(hours * 3600));
            let rules = Rules { free, watermark, max_age };
            let (measured, gone) = run(&ages, 10, rules);
            let age = |index: usize| Duration::from_secs(ages[index].1.unsigned_abs() * 3600);
            let is_old = |index: usize| max_age.is_some_and(|max| age(index) > max);
            let mut freed = free;
            for index in &gone {
                prop_assert!(age(*index) >= YOUNG && measured.contains(index));
                prop_assert!(is_old(*index) || watermark.is_some_and(|mark| freed < mark));
                freed += 10;
            }
            for index in (0..ages.len()).filter(|index| !gone.contains(index)) {
                if age(index) < YOUNG {
                    continue;
                }
                prop_assert!(!is_old(index));
                prop_assert!(watermark.is_none_or(|mark| freed >= mark));
                prop_assert!(gone.iter().all(|other| age(*other) >= age(index)));
            }
        }
    }
}
