//! Times of a schedule in its time zone.
//!
//! Where clocks change, a schedule with fixed hours goes by the clock on the wall: a time that is skipped is
//! due as much later as clocks go forward, and one that comes twice is due the first time alone. One whose
//! hour is `*` or `*/n` goes by the time that passes: it is due each time that its minute comes.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan as _};
use russet_pipeline::{CronTimes, InvalidCron};

/// Days after which a schedule that has found no time is due never: more than between two 29ths of February
/// around a year that is none.
const MAX_DAYS: usize = 366 * 9;

/// Mistake in the times of a schedule.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidTimes {
    #[error(
        "cron: {0}: it has minute, hour, day of the month, month, day of the week, as in `0 3 * * 1-5`"
    )]
    Cron(#[from] InvalidCron),
    #[error("timezone: `{0}` is not a time zone, such as `Europe/Berlin` or `UTC`")]
    Zone(String),
    #[error("cron: no day fits it")]
    Never,
}

/// Times of a schedule.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    cron: CronTimes,
    zone: TimeZone,
}

impl Times {
    /// Reads the times of a schedule.
    pub(crate) fn parse(cron: &str, zone: &str) -> Result<Self, InvalidTimes> {
        let found = TimeZone::get(zone);
        let zone = found.map_err(|_| InvalidTimes::Zone(zone.escape_debug().to_string()))?;
        Ok(Self { cron: CronTimes::parse(cron)?, zone })
    }

    /// Returns the first time after one, in milliseconds since 1970. `None`: there is none.
    pub(crate) fn next_after(&self, after_ms: i64) -> Option<i64> {
        let after = Timestamp::from_millisecond(after_ms).ok()?;
        // A time that was skipped is due on the day after its own at most.
        let mut day = self.zone.to_datetime(after).date().checked_sub(1.day()).ok()?;
        for _ in 0..MAX_DAYS {
            let found = self.times_of_day(day).filter(|time| *time > after).min();
            // Those of the next day may come before those of this one that were skipped.
            let of_next = day.tomorrow().ok().and_then(|next| {
                found?;
                self.times_of_day(next).filter(|time| *time > after).min()
            });
            if let Some(found) = found.into_iter().chain(of_next).min() {
                return Some(found.as_millisecond());
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn times_of_day(&self, day: Date) -> impl Iterator<Item = Timestamp> + '_ {
        let weekday = day.weekday().to_sunday_zero_offset();
        let is_day = self.cron.has_day(day.month(), day.day(), weekday);
        let times = is_day.then(|| self.cron.minutes_of_day()).into_iter().flatten();
        let instants = move |(hour, minute)| self.instants_of(day.at(hour, minute, 0, 0));
        times.flat_map(instants).flatten()
    }

    /// Returns the moments at which a clock on the wall shows a time, as far as it is due at them.
    fn instants_of(&self, time: DateTime) -> [Option<Timestamp>; 2] {
        let ambiguous = self.zone.to_ambiguous_timestamp(time);
        match (ambiguous.offset(), self.cron.is_any_hour()) {
            (AmbiguousOffset::Gap { .. }, true) => [None, None],
            (AmbiguousOffset::Fold { .. }, true) => {
                [ambiguous.earlier().ok(), ambiguous.later().ok()]
            }
            _ => [ambiguous.compatible().ok(), None],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Zones with changes of an hour, of half an hour, at midnight, and none.
    const ZONES: [&str; 6] = [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Santiago",
        "Africa/Cairo",
        "UTC",
    ];

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn after(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let times = Times::parse(cron, zone).unwrap();
        let next = |from: &i64| times.next_after(*from);
        std::iter::successors(next(&ms(from)), next)
            .take(count)
            .map(|at| Timestamp::from_millisecond(at).unwrap().to_string())
            .collect()
    }

    #[test]
    fn a_skipped_time_is_due_later_and_one_that_comes_twice_the_first_time() {
        // Clocks go from 2:00 to 3:00 at 01:00 UTC.
        assert_eq!(
            after("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
        );
        // And from 3:00 to 2:00 at 01:00 UTC.
        assert_eq!(
            after("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        assert_eq!(
            after("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 3),
            ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]
        );
    }

    #[test]
    fn a_day_that_never_comes_is_found_and_one_that_comes_rarely_too() {
        assert!(after("0 0 31 2 *", "UTC", "2026-01-01T00:00:00Z", 1).is_empty());
        assert_eq!(after("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1), ["2104-02-29T00:00:00Z"]);
        assert!(Times::parse("0 0 * * *", "Mars/Olympus").is_err());
        assert!(Times::parse("0 0 * *", "UTC").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Once a day is once a day, on each day of some years, whatever clocks do.
        #[test]
        fn a_daily_schedule_is_due_once_on_each_day(
            zone in 0..ZONES.len(), hour in 0..24_i8, minute in 0..60_i8, year in 2000..2030_i16,
        ) {
            let zone = ZONES[zone];
            let times = Times::parse(&format!("{minute} {hour} * * *"), zone).unwrap();
            let tz = TimeZone::get(zone).unwrap();
            let mut day = Date::new(year, 1, 1).unwrap();
            let mut at = tz.to_timestamp(day.at(0, 0, 0, 0)).unwrap().as_millisecond() - 1;
            for _ in 0..365 {
                let next = times.next_after(at).unwrap();
                prop_assert!(next > at);
                let local = tz.to_datetime(Timestamp::from_millisecond(next).unwrap());
                prop_assert_eq!(local.date(), day);
                let is_shown = local.hour() == hour && local.minute() == minute;
                let is_skipped = tz.to_ambiguous_timestamp(day.at(hour, minute, 0, 0)).is_ambiguous();
                prop_assert!(is_shown || is_skipped, "{}", local);
                (at, day) = (next, day.tomorrow().unwrap());
            }
        }

        /// Each quarter of an hour is one, also while clocks change.
        #[test]
        fn a_schedule_of_any_hour_goes_by_the_time_that_passes(
            zone in 0..ZONES.len(), from in 0..1_500_000_i64,
        ) {
            let times = Times::parse("*/15 * * * *", ZONES[zone]).unwrap();
            let mut at = from * 900_000;
            for _ in 0..100 {
                let next = times.next_after(at).unwrap();
                prop_assert_eq!(next - at, 900_000);
                at = next;
            }
        }
    }
}
