//! Times of attempts to send a status. Pure.

use super::schedule::next_within;

/// Time for which a status is the server's that took it, in milliseconds: longer than an attempt may take.
pub(super) const LEASE_MS: i64 = 60_000;

/// Pause between calls with one credential, in milliseconds. GitHub asks for a second between calls that change
/// something, and lets 80 a minute pass
/// (<https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api>).
pub(super) const GROUP_PAUSE_MS: i64 = 1_000;

/// Age of a state from which on it is given up, in milliseconds: a day.
pub(crate) const GIVE_UP_AFTER_MS: i64 = 24 * 3_600_000;

/// Returns the time of the next attempt; `None`: the state is given up.
pub(super) fn next_attempt(changed_ms: i64, attempts: u32, now_ms: i64) -> Option<i64> {
    next_within((changed_ms, GIVE_UP_AFTER_MS), attempts, now_ms)
}

#[cfg(test)]
mod tests {
    use super::{GIVE_UP_AFTER_MS, next_attempt};
    use crate::projects::schedule::MAX_PAUSE_MS;

    #[test]
    fn a_host_that_is_away_is_asked_ever_more_rarely_for_a_day() {
        assert_eq!(next_attempt(0, 1, 0), Some(5_000));
        assert_eq!(next_attempt(0, 3, 0), Some(20_000));
        assert_eq!(next_attempt(0, u32::MAX, 0), Some(MAX_PAUSE_MS));
        assert!(next_attempt(0, 1, GIVE_UP_AFTER_MS - 1).is_some());
        assert!(next_attempt(0, 1, GIVE_UP_AFTER_MS).is_none());
    }
}
