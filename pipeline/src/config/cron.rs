//! The times of schedules, as crontab(5) has them. Who runs them is not decided here.

/// Advice on what to write instead.
pub(super) const HINT: &str = "it has five parts: minute, hour, day of the month, month, day of the week, as in `0 3 * * 1-5`";

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A part of a time: what it is called, its least and greatest number, and the names of numbers,
/// from the least on.
struct Part {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const PARTS: [Part; 5] = [
    Part { name: "minute", least: 0, most: 59, names: &[] },
    Part { name: "hour", least: 0, most: 23, names: &[] },
    Part { name: "day of the month", least: 1, most: 31, names: &[] },
    Part { name: "month", least: 1, most: 12, names: &MONTHS },
    Part { name: "day of the week", least: 0, most: 7, names: &DAYS },
];

/// Mistakes in a time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    /// The number of parts is another.
    #[error("it has {0} parts, not {n}", n = PARTS.len())]
    Parts(usize),
    /// A part is out of its range.
    #[error("the {name} is `*` or from {least} to {most}")]
    Range {
        /// Name of the part.
        name: &'static str,
        /// Its least number.
        least: u32,
        /// Its greatest number.
        most: u32,
    },
}

/// Minutes at which something is due, as sets of numbers: bit `n` is set for `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CronTimes {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// 0 is Sunday.
    weekdays: u64,
    /// The hour begins with `*`: what is due goes by the time that passes, not by the clock on the wall.
    is_any_hour: bool,
    is_any_day: bool,
    is_any_weekday: bool,
}

impl CronTimes {
    /// Reads a time as crontab(5) has it.
    ///
    /// # Errors
    /// The mistake in it.
    pub fn parse(text: &str) -> Result<Self, InvalidCron> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = words[..] else {
            return Err(InvalidCron::Parts(words.len()));
        };
        // In the order of the parts: the first mistake is the one that is told.
        let (minutes, hours) = (PARTS[0].set_of(minute)?, PARTS[1].set_of(hour)?);
        let (days, months) = (PARTS[2].set_of(day)?, PARTS[3].set_of(month)?);
        let weekdays = PARTS[4].set_of(weekday)?;
        Ok(Self {
            minutes,
            hours,
            days,
            months,
            // Sunday is 7 as well.
            weekdays: weekdays | (weekdays >> 7 & 1),
            is_any_hour: hour.starts_with('*'),
            is_any_day: day.starts_with('*'),
            is_any_weekday: weekday.starts_with('*'),
        })
    }

    /// Returns true if the hour begins with `*`.
    #[must_use]
    pub fn is_any_hour(&self) -> bool {
        self.is_any_hour
    }

    /// Returns the hours and minutes of a day at which something is due, where any is.
    pub fn minutes_of_day(&self) -> impl Iterator<Item = (i8, i8)> + '_ {
        let hours = (0_i8..24).filter(|hour| has_bit(self.hours, *hour));
        hours.flat_map(|hour| {
            let minutes = (0_i8..60).filter(|minute| has_bit(self.minutes, *minute));
            minutes.map(move |minute| (hour, minute))
        })
    }

    /// Returns true if something is due on a day. Where both the day of the month and that of the week
    /// are restricted, one of them is enough.
    #[must_use]
    pub fn has_day(&self, month: i8, day: i8, weekday_from_sunday: i8) -> bool {
        let (of_month, of_week) =
            (has_bit(self.days, day), has_bit(self.weekdays, weekday_from_sunday));
        let is_day = match self.is_any_day || self.is_any_weekday {
            true => of_month && of_week,
            false => of_month || of_week,
        };
        has_bit(self.months, month) && is_day
    }
}

fn has_bit(set: u64, number: i8) -> bool {
    u32::try_from(number).is_ok_and(|number| set.checked_shr(number).unwrap_or(0) & 1 == 1)
}

/// Checks a time as crontab(5) has it.
///
/// # Errors
/// The mistake in it.
pub(super) fn check_cron(text: &str) -> Result<(), InvalidCron> {
    CronTimes::parse(text).map(drop)
}

impl Part {
    /// Returns the numbers that a list of items stands for.
    fn set_of(&self, word: &str) -> Result<u64, InvalidCron> {
        let Self { name, least, most, .. } = *self;
        let set = word.split(',').try_fold(0, |set, item| Some(set | self.item(item)?));
        set.ok_or(InvalidCron::Range { name, least, most })
    }

    /// Returns the numbers of an item: `*`, a number or a range of them, with a step or without.
    fn item(&self, item: &str) -> Option<u64> {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let has_step = item.contains('/');
        let step: u32 = step.parse().ok().filter(|step| (1..=self.most).contains(step))?;
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (self.least, self.most),
            // As crontab(5) has it, a number with a step goes on to the greatest.
            None => {
                let from = self.number(range)?;
                (from, if has_step { self.most } else { from })
            }
            Some((from, to)) => (self.number(from)?, self.number(to)?),
        };
        if from > to {
            return None;
        }
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        Some((from..=to).step_by(step).fold(0, |set, number| set | 1 << number))
    }

    fn number(&self, text: &str) -> Option<u32> {
        let lower = text.to_ascii_lowercase();
        if let Some(at) = self.names.iter().position(|name| *name == lower) {
            return u32::try_from(at).ok().map(|at| at + self.least);
        }
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_plain)?;
        (self.least..=self.most).contains(&number).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::{CronTimes, check_cron};

    #[test]
    fn a_time_stands_for_its_minutes_and_days() {
        let minutes = |text: &str| -> Vec<(i8, i8)> {
            CronTimes::parse(text).unwrap().minutes_of_day().collect()
        };
        assert_eq!(minutes("*/20 3 * * *"), [(3, 0), (3, 20), (3, 40)]);
        assert_eq!(minutes("5,10-11 22-23/1 * * *").len(), 6);
        assert_eq!(minutes("50/5 1 * * *"), [(1, 50), (1, 55)]);
        // Friday, or the 13th; with a star, both.
        let either = CronTimes::parse("0 0 13 * fri").unwrap();
        assert!(either.has_day(3, 13, 1) && either.has_day(3, 14, 5) && !either.has_day(3, 14, 1));
        let sunday = CronTimes::parse("0 0 * * 7").unwrap();
        assert!(sunday.has_day(1, 1, 0) && !sunday.has_day(1, 1, 1));
        assert!(CronTimes::parse("0 */2 * * *").unwrap().is_any_hour());
    }

    #[test]
    fn times_of_crontab_are_times() {
        for good in ["0 0 * * *", "*/15 1-5,9 1 jan SUN", "0 0 31 12 7", "  5 4  * * mon-fri "] {
            assert_eq!(check_cron(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("0 0 * *", "4 parts"),
            ("@daily", "1 parts"),
            ("60 0 * * *", "minute"),
            ("0 24 * * *", "hour"),
            ("0 0 0 * *", "day of the month"),
            ("0 0 * 13 *", "month"),
            ("0 0 * * sunday", "day of the week"),
            ("*/0 0 * * *", "minute"),
            ("5-1 0 * * *", "minute"),
            ("+1 0 * * *", "minute"),
            (", 0 * * *", "minute"),
        ] {
            let error = check_cron(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
