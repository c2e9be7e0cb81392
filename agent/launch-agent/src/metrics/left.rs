//! Remains of jobs, counted over the life of this launch agent.
//!
//! The numbers come from result records, which a job can write as well as its task agent: it is
//! the same user. So they are taken for what they are, a hint for the owner, and can neither
//! overflow nor make up kinds without end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use russet_protocol::supervise::LeftBehind;

/// So many kinds are counted; there are ten.
const MOST_KINDS: usize = 32;

/// Maximum length of a kind's name.
const LONGEST_KIND: usize = 32;

/// Remains of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Ended or removed.
    pub removed: u64,
    /// Could not be removed at the end of the task.
    pub kept: u64,
    /// Space of the removed ones on disk.
    pub bytes: u64,
}

/// LeftBehindCounters by kind (`processes`, `shared_files` …).
#[derive(Debug, Default)]
pub(crate) struct LeftBehindCounters(Mutex<BTreeMap<String, Count>>);

impl LeftBehindCounters {
    /// Adds what one task left.
    pub(crate) fn add(&self, left: &[LeftBehind]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for item in left {
            let is_name = !item.kind.is_empty()
                && item.kind.len() <= LONGEST_KIND
                && item.kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if !is_name || (counts.len() >= MOST_KINDS && !counts.contains_key(&item.kind)) {
                continue;
            }
            let count = counts.entry(item.kind.clone()).or_default();
            count.removed = count.removed.saturating_add(item.removed);
            count.kept = count.kept.saturating_add(item.kept);
            count.bytes = count.bytes.saturating_add(item.bytes);
        }
    }

    /// The numbers as they are now, for metrics.
    #[must_use]
    pub(crate) fn snapshot(&self) -> BTreeMap<String, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, LeftBehindCounters, MOST_KINDS};
    use russet_protocol::supervise::LeftBehind;

    fn left(kind: &str, removed: u64) -> LeftBehind {
        LeftBehind { kind: kind.to_owned(), removed, kept: 1, bytes: 10 }
    }

    #[test]
    fn tasks_add_up() {
        let counters = LeftBehindCounters::default();
        counters.add(&[left("processes", 2), left("mounts", 1)]);
        counters.add(&[left("processes", 3)]);
        let counts = counters.snapshot();
        assert_eq!(counts["processes"], Count { removed: 5, kept: 2, bytes: 20 });
        assert_eq!(counts.len(), 2);
    }

    #[test]
    fn a_record_that_lies_makes_no_trouble() {
        let counters = LeftBehindCounters::default();
        for number in 0..1000 {
            let name: String = format!("{number}").bytes().map(|b| char::from(b + 49)).collect();
            counters.add(&[left(&name, u64::MAX), left("a\n# HELP", 1), left("", 1)]);
        }
        counters.add(&[left(&"x".repeat(1000), 1)]);
        let counts = counters.snapshot();
        assert_eq!(counts.len(), MOST_KINDS);
        assert!(counts.values().all(|count| count.removed == u64::MAX));
    }
}
