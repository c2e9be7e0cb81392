//! Audit: a line in the log for each change and each refusal, with its author.
//!
//! Threat: a job that asks in a loop until the log has pushed out what it did before, or has
//! filled the disk. So a user's refusals are written so many times a minute, and counted then.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use russet_platform::clock::{BootTime, Clock};

/// So many refusals of a user are written in a period.
const MOST: u32 = 200;

const PERIOD: Duration = Duration::from_secs(60);

/// Refusals of more users than this are counted from the beginning.
const MOST_USERS: usize = 256;

/// The audit.
#[derive(Debug)]
pub(super) struct Audit {
    clock: Clock,
    refusals: Mutex<HashMap<u32, Count>>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    since: BootTime,
    refusals: u32,
}

/// A path as it stands in the log: one line, and no longer than any of ours.
fn shown_path(path: &str) -> String {
    path.chars().take(200).flat_map(char::escape_debug).collect()
}

/// Line about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// It, and that so many before were not written.
    Written { left_out: u32 },
    /// It, and that the next ones are only counted.
    Last,
    /// Nothing.
    LeftOut,
}

impl Audit {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, refusals: Mutex::default() }
    }

    /// Something was asked for by somebody who may, and answered with this status.
    pub(super) fn asked(&self, uid: u32, method: &str, path: &str, status: u16) {
        let path = shown_path(path);
        tracing::info!(uid, method, path, status, "audit: asked for on the local API");
    }

    /// Somebody asked for what they may not.
    pub(super) fn refused(&self, uid: u32, method: &str, path: &str) {
        let path = shown_path(path);
        match self.line(uid) {
            Line::Written { left_out: 0 } => {
                tracing::warn!(uid, method, path, "audit: refused on the local API");
            }
            Line::Written { left_out } => {
                tracing::warn!(
                    uid,
                    method,
                    path,
                    left_out,
                    "audit: refused on the local API, after more that were only counted"
                );
            }
            Line::Last => tracing::warn!(
                uid,
                method,
                path,
                "audit: refused on the local API; more of this user are only counted for a minute"
            ),
            Line::LeftOut => {}
        }
    }

    fn line(&self, uid: u32) -> Line {
        let now = self.clock.now();
        // A count that a panic left is as good as any.
        let mut counts = self.refusals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if counts.len() >= MOST_USERS && !counts.contains_key(&uid) {
            counts.clear();
        }
        let count = counts.entry(uid).or_insert(Count { since: now, refusals: 0 });
        if now.since(count.since) >= PERIOD {
            let left_out = count.refusals.saturating_sub(MOST);
            *count = Count { since: now, refusals: 1 };
            return Line::Written { left_out };
        }
        count.refusals = count.refusals.saturating_add(1);
        match count.refusals {
            ..MOST => Line::Written { left_out: 0 },
            MOST => Line::Last,
            _ => Line::LeftOut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Audit, Line, MOST, PERIOD};
    use russet_platform::clock::Clock;

    #[test]
    fn who_asks_in_a_loop_is_counted_and_hides_nobody_else() {
        let (clock, hand) = Clock::manual("boot");
        let audit = Audit::new(clock);
        for _ in 1..MOST {
            assert_eq!(audit.line(1), Line::Written { left_out: 0 });
        }
        assert_eq!(audit.line(1), Line::Last);
        assert_eq!(audit.line(1), Line::LeftOut);
        assert_eq!(audit.line(1), Line::LeftOut);
        assert_eq!(audit.line(2), Line::Written { left_out: 0 });
        hand.advance(PERIOD);
        assert_eq!(audit.line(1), Line::Written { left_out: 2 });
        assert_eq!(audit.line(1), Line::Written { left_out: 0 });
    }
}
