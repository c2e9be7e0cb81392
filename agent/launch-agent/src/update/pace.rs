//! Speed that a transfer has to keep. Pure: what came, and when, goes in.
//!
//! Threat: a source that sends a byte now and then holds whoever fetches from it, and with it every
//! look for an update, for as long as it likes.

use std::time::{Duration, Instant};

/// Limits of a transfer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Time in which `min_bytes` have to come, again and again.
    pub(super) window: Duration,
    /// Bytes that a window has at least.
    pub(super) min_bytes: u64,
    /// The longest that a transfer takes; the next one goes on from there.
    pub(super) total: Duration,
}

/// A slow line that brings an archive in several looks: 8.5 kB a second.
pub(super) const LIMITS: Limits = Limits {
    window: Duration::from_secs(60),
    min_bytes: 512 * 1024,
    total: Duration::from_secs(3600),
};

/// It is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooSlow;

/// Speed of a transfer so far.
#[derive(Debug)]
pub(super) struct Pace {
    limits: Limits,
    ends: Instant,
    window_ends: Instant,
    bytes: u64,
}

impl Pace {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self { limits, ends: now + limits.total, window_ends: now + limits.window, bytes: 0 }
    }

    /// Returns the time until it has to be looked at again, whatever comes.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        self.window_ends.min(self.ends).saturating_duration_since(now)
    }

    /// Counts bytes that came; none, where the patience is over.
    ///
    /// # Errors
    /// The transfer is to be given up.
    pub(super) fn count(&mut self, bytes: u64, now: Instant) -> Result<(), TooSlow> {
        self.bytes = self.bytes.saturating_add(bytes);
        if now >= self.ends {
            return Err(TooSlow);
        }
        if now >= self.window_ends {
            if self.bytes < self.limits.min_bytes {
                return Err(TooSlow);
            }
            self.window_ends = now + self.limits.window;
            self.bytes = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{LIMITS, Pace, TooSlow};

    /// Seconds after which a transfer of `rate` bytes each second is given up.
    fn given_up(rate: impl Fn(u64) -> u64, seconds: u64) -> Option<u64> {
        let start = Instant::now();
        let mut pace = Pace::new(LIMITS, start);
        (1..=seconds)
            .find(|second| pace.count(rate(*second), start + Duration::from_secs(*second)).is_err())
    }

    #[test]
    fn a_trickle_is_given_up_within_a_minute_and_a_slow_line_is_not() {
        assert_eq!(given_up(|_| 2, 7200), Some(60));
        assert_eq!(given_up(|_| 9_000, 3599), None);
        assert_eq!(given_up(|_| 9_000, 7200), Some(3600));
        // A burst, and then nothing.
        assert_eq!(given_up(|second| if second < 60 { 1 << 20 } else { 0 }, 7200), Some(120));
    }

    #[test]
    fn who_gets_nothing_waits_no_longer_than_a_window() {
        let start = Instant::now();
        let mut pace = Pace::new(LIMITS, start);
        assert_eq!(pace.patience(start), LIMITS.window);
        assert_eq!(pace.count(0, start + pace.patience(start)), Err(TooSlow));
    }

    proptest! {
        /// Two windows without enough bytes are never survived.
        #[test]
        fn too_little_in_two_windows_ends_it(chunks in prop::collection::vec((0_u64..8_000, 1_u64..40), 1..60)) {
            let start = Instant::now();
            let mut pace = Pace::new(LIMITS, start);
            let (mut at, mut fed) = (0, Vec::new());
            for (bytes, pause) in chunks {
                at += pause;
                fed.push((at, bytes));
                let ended = pace.count(bytes, start + Duration::from_secs(at)).is_err();
                let lately: u64 =
                    fed.iter().filter(|(when, _)| when + 120 > at).map(|(_, bytes)| bytes).sum();
                if at >= 160 && lately < LIMITS.min_bytes {
                    prop_assert!(ended, "{at} {lately}");
                }
                if ended { break; }
            }
        }
    }
}
