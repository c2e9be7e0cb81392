//! Place of a reader in the changes of one kind of rows. Pure.
//!
//! Changes are marked with numbers of commits, and on PostgreSQL a lower number may become visible
//! after a higher one. So the reader goes on from a horizon below which nothing can come any more,
//! and what it has seen above is remembered until the horizon has passed it.

use std::collections::HashMap;
use std::hash::Hash;

/// Changes that a reader has seen.
#[derive(Debug)]
pub(crate) struct Seen<K> {
    /// Up to here, nothing is new any more.
    all_to: i64,
    /// Last numbers of rows that were seen above.
    above: HashMap<K, i64>,
}

impl<K: Eq + Hash> Seen<K> {
    pub(crate) fn nothing() -> Self {
        Self { all_to: -1, above: HashMap::new() }
    }

    /// Returns the number above which rows are to be read.
    pub(crate) fn all_to(&self) -> i64 {
        self.all_to
    }

    /// Notes that a row of this number was read. Returns false where it was read before.
    pub(crate) fn is_new(&mut self, key: K, number: i64) -> bool {
        number > self.all_to && self.above.insert(key, number) != Some(number)
    }

    /// Notes that everything was read that was visible after `horizon` had been taken.
    pub(crate) fn pass(&mut self, horizon: i64) {
        let highest = self.above.values().copied().max().unwrap_or(self.all_to);
        self.all_to = self.all_to.max(highest.min(horizon.saturating_sub(1)));
        self.above.retain(|_, number| *number > self.all_to);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::Seen;

    #[test]
    fn a_number_that_becomes_visible_late_is_not_skipped() {
        let mut seen = Seen::nothing();
        assert!(seen.is_new("a", 12));
        seen.pass(11);
        assert_eq!(seen.all_to(), 10);
        assert!(seen.is_new("b", 11), "11 was open while 12 was seen");
        assert!(!seen.is_new("a", 12), "nothing is told twice");
        seen.pass(13);
        assert_eq!(seen.all_to(), 12);
        assert!(seen.above.is_empty());
    }

    #[test]
    fn with_one_writer_the_highest_number_is_the_place() {
        let mut seen = Seen::nothing();
        assert!(seen.is_new("a", 3) && seen.is_new("b", 7));
        seen.pass(i64::MAX);
        assert_eq!(seen.all_to(), 7);
        assert!(!seen.is_new("a", 7));
        seen.pass(i64::MAX);
        assert_eq!(seen.all_to(), 7);
    }

    /// A step of a history: a transaction begins, one that is open commits a change of a row, or
    /// the reader looks.
    #[derive(Clone, Debug)]
    enum Act {
        Begin,
        Commit(usize, u8),
        Abort(usize),
        Look,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            Just(Act::Begin),
            (any::<usize>(), 0..4_u8).prop_map(|(which, row)| Act::Commit(which, row)),
            any::<usize>().prop_map(Act::Abort),
            Just(Act::Look),
        ]
    }

    proptest! {
        #[test]
        fn every_change_is_read_in_every_order_of_begins_and_commits(
            acts in prop::collection::vec(act(), 0..60)
        ) {
            let (mut next, mut open, mut rows) = (1_i64, Vec::new(), HashMap::<u8, (i64, u32)>::new());
            let (mut seen, mut told) = (Seen::nothing(), HashMap::<u8, u32>::new());
            for act in acts.into_iter().chain([Act::Look]) {
                match act {
                    Act::Begin => {
                        open.push(next);
                        next += 1;
                    }
                    Act::Commit(which, row) if !open.is_empty() => {
                        let number = open.remove(which % open.len());
                        let version = rows.get(&row).map_or(0, |(_, version)| *version);
                        rows.insert(row, (number, version + 1));
                    }
                    Act::Abort(which) if !open.is_empty() => {
                        open.remove(which % open.len());
                    }
                    Act::Commit(..) | Act::Abort(_) => {}
                    Act::Look => {
                        let horizon = open.iter().copied().min().unwrap_or(next);
                        for (row, (number, version)) in &rows {
                            if *number > seen.all_to() && seen.is_new(*row, *number) {
                                told.insert(*row, *version);
                            }
                        }
                        seen.pass(horizon);
                        for (row, (_, version)) in &rows {
                            prop_assert_eq!(told.get(row), Some(version));
                        }
                    }
                }
            }
        }
    }
}
