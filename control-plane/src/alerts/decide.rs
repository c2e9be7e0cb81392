//! Decides which alerts are opened and closed. Pure.

use std::collections::{BTreeMap, BTreeSet};

use russet_protocol::alerts::AlertKind;

/// Time for which a condition has to be gone before its alert is closed, in milliseconds. One that
/// comes and goes is one alert, not many.
pub(super) const CLOSE_AFTER_MS: i64 = 3 * 60 * 1000;

/// Kind and subject of a condition.
pub(super) type Key = (AlertKind, String);

/// Changes of a round.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Conditions that are new, with their descriptions.
    pub(super) open: Vec<(Key, String)>,
    /// Conditions that ended.
    pub(super) close: Vec<Key>,
}

/// Memory of a watcher: since when the conditions of open alerts are gone, by the steady clock.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    gone_since: BTreeMap<Key, i64>,
}

impl Watcher {
    /// Returns the changes from the alerts that are open to what is observed.
    pub(super) fn changes(
        &mut self,
        open: &BTreeSet<Key>,
        observed: &BTreeMap<Key, String>,
        steady_ms: i64,
    ) -> Changes {
        self.gone_since.retain(|key, _| open.contains(key) && !observed.contains_key(key));
        let mut changes = Changes::default();
        for (key, detail) in observed.iter().filter(|(key, _)| !open.contains(*key)) {
            changes.open.push((key.clone(), detail.clone()));
        }
        for key in open.iter().filter(|key| !observed.contains_key(*key)) {
            let since = *self.gone_since.entry(key.clone()).or_insert(steady_ms);
            if steady_ms - since >= CLOSE_AFTER_MS {
                changes.close.push(key.clone());
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEP_MS: i64 = 15_000;

    fn key(number: u8) -> Key {
        (AlertKind::MachineLost, format!("acme/mini/mini-{number}"))
    }

    proptest! {
        /// Each condition is announced once for as long as it lasts, and its end once, whatever
        /// comes and goes between.
        #[test]
        fn a_condition_is_announced_once_however_often_it_comes_and_goes(
            rounds in proptest::collection::vec(proptest::collection::btree_set(0_u8..4, 0..4), 1..80),
        ) {
            let (mut watcher, mut open) = (Watcher::default(), BTreeSet::new());
            let mut gone: BTreeMap<Key, i64> = BTreeMap::new();
            for (round, now_ms) in rounds.iter().zip((0..).step_by(STEP_MS.unsigned_abs() as usize)) {
                let observed: BTreeMap<_, _> =
                    round.iter().map(|number| (key(*number), "detail".to_owned())).collect();
                let changes = watcher.changes(&open, &observed, now_ms);
                for (key, _) in &changes.open {
                    prop_assert!(observed.contains_key(key));
                    prop_assert!(open.insert(key.clone()), "announced twice: {key:?}");
                }
                for key in open.iter() {
                    if observed.contains_key(key) { gone.remove(key); } else {
                        gone.entry(key.clone()).or_insert(now_ms);
                    }
                }
                for key in &changes.close {
                    prop_assert!(open.remove(key), "closed twice: {key:?}");
                    let since = gone.remove(key).unwrap();
                    prop_assert!(now_ms - since >= CLOSE_AFTER_MS, "closed too early");
                }
                for key in observed.keys() {
                    prop_assert!(open.contains(key), "not announced: {key:?}");
                }
                for (key, since) in &gone {
                    prop_assert!(now_ms - since < CLOSE_AFTER_MS, "left open: {key:?}");
                }
            }
        }
    }
}
