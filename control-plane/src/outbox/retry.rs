//! Times of the attempts to deliver a message. Pure.

/// Pause after the first attempt that fails, in milliseconds; it doubles.
const FIRST_PAUSE_MS: i64 = 10_000;

/// Longest pause between attempts, in milliseconds.
const MAX_PAUSE_MS: i64 = 3_600_000;

/// Age of a message from which on it is given up, in milliseconds.
const GIVE_UP_AFTER_MS: i64 = 24 * 3_600_000;

/// Time for which an attempt has a message for itself, in milliseconds: longer than it may take. A
/// server that is killed in it leaves the message to the next attempt.
pub(super) const ATTEMPT_MS: i64 = 60_000;

/// Returns the time of the next attempt after some that failed; `None`: the message is given up.
pub(super) fn next_attempt(created_ms: i64, attempts: u32, now_ms: i64) -> Option<i64> {
    if now_ms.saturating_sub(created_ms) >= GIVE_UP_AFTER_MS {
        return None;
    }
    let doublings = attempts.saturating_sub(1).min(20);
    let pause_ms = (FIRST_PAUSE_MS << doublings).min(MAX_PAUSE_MS);
    Some(now_ms.saturating_add(pause_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_tried_ever_more_rarely_and_given_up_after_a_day() {
        let (mut now_ms, mut attempts, mut pauses) = (0, 1, Vec::new());
        while let Some(next_ms) = next_attempt(0, attempts, now_ms) {
            pauses.push((next_ms - now_ms) / 1000);
            (now_ms, attempts) = (next_ms, attempts + 1);
        }
        assert_eq!(pauses[..10], [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600]);
        assert!((24..36).contains(&(now_ms / 3_600_000)), "{now_ms}");
        assert!(pauses.len() < 40);
    }
}
