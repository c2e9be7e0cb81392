//! Decides what a schedule does whose time has come, or came while no server ran.

use russet_protocol::schedules::MissedPolicy;

use super::Times;

/// Lateness up to which a time is not missed, in milliseconds.
const ON_TIME_MS: i64 = 5 * 60_000;

/// Age up to which a missed time is made up for, in milliseconds.
const MADE_UP_MS: i64 = 3_600_000;

/// Effect of a schedule whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Time that it fires for. `None`: it missed all of them.
    pub(crate) fires: Option<i64>,
    /// Next time, if there is any.
    pub(crate) next: Option<i64>,
}

/// Returns what a schedule does now that was next due at a time. It fires for one time at most: the last
/// that has come.
pub(crate) fn find_due(times: &Times, next_ms: i64, now_ms: i64, missed: MissedPolicy) -> Due {
    let oldest_ms = now_ms.saturating_sub(MADE_UP_MS).saturating_sub(1);
    let first = if next_ms > oldest_ms { Some(next_ms) } else { times.next_after(oldest_ms) };
    let come = std::iter::successors(first, |at| times.next_after(*at));
    let last = come.take_while(|at| *at <= now_ms).last();
    let limit_ms = match missed {
        MissedPolicy::Skip => ON_TIME_MS,
        MissedPolicy::Once => MADE_UP_MS,
    };
    Due {
        fires: last.filter(|at| now_ms.saturating_sub(*at) <= limit_ms),
        next: times.next_after(now_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn due(cron: &str, next: i64, now: i64, missed: MissedPolicy) -> (Option<i64>, Option<i64>) {
        let times = Times::parse(cron, "UTC").unwrap();
        let due = find_due(&times, next * MINUTE, now * MINUTE, missed);
        (due.fires.map(|at| at / MINUTE), due.next.map(|at| at / MINUTE))
    }

    #[test]
    fn a_time_that_was_missed_is_made_up_for_within_an_hour_where_that_is_wanted() {
        let (once, skip) = (MissedPolicy::Once, MissedPolicy::Skip);
        let daily = "0 3 * * *";
        for missed in [once, skip] {
            assert_eq!(due(daily, 180, 180, missed), (Some(180), Some(1620)));
            assert_eq!(due(daily, 180, 185, missed), (Some(180), Some(1620)));
            assert_eq!(due(daily, 180, 241, missed), (None, Some(1620)));
        }
        assert_eq!(due(daily, 180, 240, once), (Some(180), Some(1620)));
        assert_eq!(due(daily, 180, 186, skip), (None, Some(1620)));
    }

    #[test]
    fn of_many_that_were_missed_the_last_alone_is_made_up_for() {
        for missed in [MissedPolicy::Once, MissedPolicy::Skip] {
            assert_eq!(due("*/5 * * * *", 5, 10_003, missed), (Some(10_000), Some(10_005)));
        }
        assert_eq!(
            due("*/30 * * * *", 30, 10_013, MissedPolicy::Once),
            (Some(9_990), Some(10_020))
        );
        assert_eq!(due("*/30 * * * *", 30, 10_013, MissedPolicy::Skip), (None, Some(10_020)));
    }
}
