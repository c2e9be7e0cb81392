//! Which sets go. Pure.

use std::time::Duration;

/// A set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::launch) struct SetState {
    /// Its name.
    pub(in crate::launch) name: String,
    /// Space that it takes on disk, in bytes. What it shares with others counts.
    pub(in crate::launch) bytes: u64,
    /// Time since a task was given it or left it.
    pub(in crate::launch) unused: Duration,
}

/// Rules of the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::launch) struct Rules {
    /// Limit of all sets, in bytes.
    pub(in crate::launch) max_bytes: u64,
    /// Sets that were not used for longer go in any case.
    pub(in crate::launch) max_age: Duration,
    /// Bytes by which the disk lacks free space.
    pub(in crate::launch) lacking: u64,
}

/// Returns the names of the sets that go: those that were not used for too long, and then those that
/// were not used for longest, until the rest is within the limit and the disk has its free space.
pub(in crate::launch) fn plan_removal(sets: &[SetState], rules: Rules) -> Vec<String> {
    let mut order: Vec<&SetState> = sets.iter().collect();
    order.sort_by(|a, b| (b.unused, &a.name).cmp(&(a.unused, &b.name)));
    let mut sum: u64 = sets.iter().fold(0, |sum, set| sum.saturating_add(set.bytes));
    let mut lacking = rules.lacking;
    let mut going = Vec::new();
    for set in order {
        if set.unused > rules.max_age || sum > rules.max_bytes || lacking > 0 {
            sum = sum.saturating_sub(set.bytes);
            lacking = lacking.saturating_sub(set.bytes);
            going.push(set.name.clone());
        }
    }
    going
}

#[cfg(test)]
mod tests {
    use super::{Rules, SetState, plan_removal};
    use std::time::Duration;

    const DAY: u64 = 86_400;

    fn set(name: &str, bytes: u64, days: u64) -> SetState {
        SetState { name: name.to_owned(), bytes, unused: Duration::from_secs(days * DAY) }
    }

    #[test]
    fn the_longest_unused_go_until_the_rest_is_within_the_limit() {
        let sets = [set("a", 10, 3), set("b", 10, 20), set("c", 10, 5), set("d", 10, 0)];
        let rules = Rules { max_bytes: 40, max_age: Duration::from_secs(14 * DAY), lacking: 0 };
        assert_eq!(plan_removal(&sets, rules), ["b"]);
        assert_eq!(plan_removal(&sets, Rules { max_bytes: 25, ..rules }), ["b", "c"]);
        assert_eq!(plan_removal(&sets, Rules { max_bytes: 0, ..rules }), ["b", "c", "a", "d"]);
        assert_eq!(plan_removal(&sets, Rules { lacking: 15, ..rules }), ["b", "c"]);
        assert!(plan_removal(&[], rules).is_empty());
    }
}
