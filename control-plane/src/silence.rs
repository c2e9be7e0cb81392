//! Times of talk between server and runners, from the duration of a lease. Pure.

/// Shortest times, for servers with short leases.
const MIN_LOST_MS: i64 = 5_000;
const MIN_WAIT_MS: i64 = 2_000;
const MIN_REPORT_MS: i64 = 1_000;

/// Longest time for which what was heard is in memory alone, for servers with long leases.
const MAX_FLUSH_MS: i64 = 10_000;

/// Times of talk between server and runners, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Silence {
    /// Silence after which a runner is lost.
    pub(crate) lost_ms: i64,
    /// Longest time for which a claim is held.
    pub(crate) claim_ms: i64,
    /// Interval of reports of a runner that does not claim.
    pub(crate) report_ms: i64,
    /// Interval at which it is written who was heard of.
    pub(crate) flush_ms: i64,
}

impl Silence {
    /// Returns the times for a lease: for one of a minute a runner is lost after 50 seconds, claims
    /// wait for 25, reports come every 20 and what was heard is written every 10.
    pub(crate) fn of_lease(lease_ms: i64) -> Self {
        let lost_ms = (lease_ms.saturating_mul(5) / 6).max(MIN_LOST_MS);
        Self {
            lost_ms,
            flush_ms: (lost_ms / 5).min(MAX_FLUSH_MS),
            claim_ms: (lease_ms.saturating_mul(5) / 12).max(MIN_WAIT_MS),
            report_ms: (lease_ms / 3).max(MIN_REPORT_MS),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Silence;

    #[test]
    fn a_lost_runner_is_known_within_a_minute() {
        let usual = Silence::of_lease(60_000);
        assert_eq!(
            usual,
            Silence { lost_ms: 50_000, claim_ms: 25_000, report_ms: 20_000, flush_ms: 10_000 }
        );
    }

    proptest! {
        #[test]
        fn who_talks_as_often_as_asked_is_never_lost(lease in 1..86_400_000_i64) {
            let times = Silence::of_lease(lease);
            // Another server hears of it when it is written.
            prop_assert!(times.claim_ms + times.flush_ms < times.lost_ms);
            prop_assert!(times.report_ms + times.flush_ms < times.lost_ms);
        }
    }
}
