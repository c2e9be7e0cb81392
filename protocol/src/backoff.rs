//! Pauses between attempts to reach the other side.
//!
//! Pure: a pause is computed here and slept by the caller, with the caller's clock.

use std::time::Duration;

/// Doublings after which the longest pause is reached in any case.
const MAX_DOUBLINGS: u32 = 20;

/// Pauses that double from the first to the longest.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    tries: u32,
    random: Option<fn() -> f64>,
}

impl Backoff {
    /// Creates pauses of exactly `first`, twice `first` and so on up to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, tries: 0, random: None }
    }

    /// Shortens each pause at random by up to a half, so that many clients do not return at the
    /// same moment. `random` returns numbers in `0.0..1.0`.
    #[must_use]
    pub fn with_jitter(self, random: fn() -> f64) -> Self {
        Self { random: Some(random), ..self }
    }

    /// Returns the pause before the next attempt.
    pub fn next_pause(&mut self) -> Duration {
        let pause = Self::pause(self.first, self.longest, self.tries);
        self.tries = self.tries.saturating_add(1);
        match self.random {
            Some(random) => pause.mul_f64(0.5 + random().clamp(0.0, 1.0) / 2.0),
            None => pause,
        }
    }

    /// Starts again with the first pause, after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// Returns the number of pauses since the last success.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Returns the pause after `failures` earlier ones, for callers that keep the count themselves.
    #[must_use]
    pub fn pause(first: Duration, longest: Duration, failures: u32) -> Duration {
        first.saturating_mul(1 << failures.min(MAX_DOUBLINGS)).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_anew_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        let pauses: Vec<u128> = (0..9).map(|_| backoff.next_pause().as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.tries(), 9);
        backoff.reset();
        assert_eq!(backoff.next_pause().as_millis(), 50);
        assert_eq!(Backoff::pause(Duration::MAX, Duration::MAX, u32::MAX), Duration::MAX);
    }

    #[test]
    fn jitter_shortens_a_pause_by_half_at_most() {
        let second = Duration::from_secs(1);
        for (random, expected) in [((|| 0.0) as fn() -> f64, 500), (|| 1.0, 1000), (|| 7.0, 1000)] {
            let mut backoff = Backoff::new(second, second).with_jitter(random);
            assert_eq!(backoff.next_pause().as_millis(), expected);
        }
    }
}
