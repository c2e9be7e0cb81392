//! Times of polls and of attempts to build. Pure.

/// Pause after the first failure, in milliseconds; it doubles.
const FIRST_PAUSE_MS: i64 = 5_000;

/// Longest pause between attempts, in milliseconds.
pub(super) const MAX_PAUSE_MS: i64 = 600_000;

/// Longest pause between polls that fail, in milliseconds.
const MAX_POLL_PAUSE_MS: i64 = 3_600_000;

/// Age of a trigger from which on it is given up, in milliseconds.
const GIVE_UP_AFTER_MS: i64 = 6 * 3_600_000;

/// Time for which a poll is its server's own, in milliseconds: longer than it may take. One of a server
/// that is killed is due again then.
pub(crate) const POLL_LEASE_MS: i64 = 120_000;

/// The same of a trigger, beyond the longest time of its fetch.
pub(crate) const FETCH_LEASE_MS: i64 = 30 * 60_000;

/// Time within which all copies of a host's repository have what its webhook told, in milliseconds. A list or a
/// commit that is asked for earlier may be one of before.
pub(crate) const LAG_MS: i64 = 10_000;

/// Returns the time of the next poll. `random` spreads those of many projects over a tenth of the
/// interval; failures make it longer.
pub(crate) fn next_poll(now_ms: i64, interval_ms: i64, failures: u32, random: u32) -> i64 {
    let doubled = interval_ms.saturating_mul(1_i64 << failures.min(12));
    let longest = MAX_POLL_PAUSE_MS.max(interval_ms);
    let pause_ms = if failures == 0 { interval_ms } else { doubled.min(longest) };
    let spread = (pause_ms / 10).max(1);
    let jitter = i64::from(random).rem_euclid(spread) - spread / 2;
    now_ms.saturating_add(pause_ms).saturating_add(jitter)
}

/// Returns the time of the next attempt to build; `None`: it is given up.
pub(crate) fn next_attempt(created_ms: i64, attempts: u32, now_ms: i64) -> Option<i64> {
    next_within((created_ms, GIVE_UP_AFTER_MS), attempts, now_ms)
}

/// Returns the time of the next attempt at what is given up at an age.
pub(super) fn next_within(
    (made_ms, give_up_after_ms): (i64, i64),
    attempts: u32,
    now_ms: i64,
) -> Option<i64> {
    if now_ms.saturating_sub(made_ms) >= give_up_after_ms {
        return None;
    }
    let pause_ms = (FIRST_PAUSE_MS << attempts.saturating_sub(1).min(20)).min(MAX_PAUSE_MS);
    Some(now_ms.saturating_add(pause_ms))
}

#[cfg(test)]
mod tests {
    use super::{next_attempt, next_poll};

    #[test]
    fn polls_are_spread_around_their_interval_and_failures_make_them_rarer() {
        for random in [0, 1, 5_999, 6_000, u32::MAX] {
            let next = next_poll(1_000, 60_000, 0, random) - 1_000;
            assert!((57_000..=63_000).contains(&next), "{next}");
        }
        assert!(next_poll(0, 60_000, 1, 0) > 110_000);
        assert!((3_400_000..=3_800_000).contains(&next_poll(0, 60_000, 30, 7)));
        // One that is polled once a day is not polled more often since it fails.
        assert!(next_poll(0, 86_400_000, 3, 0) > 80_000_000);
    }

    #[test]
    fn builds_are_tried_ever_more_rarely_and_given_up_after_hours() {
        assert_eq!(next_attempt(0, 1, 0), Some(5_000));
        assert_eq!(next_attempt(0, 4, 0), Some(40_000));
        assert_eq!(next_attempt(0, 60, 0), Some(600_000));
        assert_eq!(next_attempt(0, 60, 6 * 3_600_000), None);
    }
}
