//! The hours in which tasks are kept off so that an update can be installed: `02:00-04:00`, or
//! `Sun 02:00-04:00`, in the machine's own time. Pure.

use jiff::civil::{DateTime, Time, Weekday};

/// Hours of a day, or of one day of the week. They may cross midnight, and then belong to the day
/// on which they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    day: Option<Weekday>,
    from: Time,
    until: Time,
}

/// The text is no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no window of time")]
pub struct WindowError(String);

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl std::str::FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        parse_window(text).ok_or_else(|| WindowError(text.to_owned()))
    }
}

fn parse_window(text: &str) -> Option<Window> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (day, hours) = match words.as_slice() {
        [hours] => (None, *hours),
        [day, hours] => {
            let day = day.to_ascii_lowercase();
            (Some(DAYS.iter().find(|(name, _)| *name == day)?.1), *hours)
        }
        _ => return None,
    };
    let (from, until) = hours.split_once('-')?;
    let (from, until) = (parse_time(from)?, parse_time(until)?);
    (from != until).then_some(Window { day, from, until })
}

fn parse_time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<i8>().ok()).flatten();
    Time::new(two(hour)?, two(minute)?, 0, 0).ok()
}

impl Window {
    /// Returns true if a moment of the machine's own time is inside.
    #[must_use]
    pub fn contains(self, now: DateTime) -> bool {
        let (time, today) = (now.time(), now.date().weekday());
        let is_day = |day: Weekday| self.day.is_none_or(|wanted| wanted == day);
        if self.from < self.until {
            return is_day(today) && self.from <= time && time < self.until;
        }
        (is_day(today) && self.from <= time) || (is_day(today.previous()) && time < self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::Window;
    use jiff::civil::{DateTime, date};

    /// In the week of Monday, 2 November 2026.
    fn at(day: i8, hour: i8, minute: i8) -> DateTime {
        date(2026, 11, 1 + day).at(hour, minute, 0, 0)
    }

    #[test]
    fn hours_of_every_day_begin_and_end_on_the_minute() {
        let window: Window = "02:00-04:30".parse().unwrap();
        assert!(!window.contains(at(1, 1, 59)) && window.contains(at(1, 2, 0)));
        assert!(window.contains(at(7, 4, 29)) && !window.contains(at(7, 4, 30)));
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_on_which_they_begin() {
        let window: Window = "Sun 23:00-01:00".parse().unwrap();
        assert!(window.contains(at(7, 23, 0)) && window.contains(at(8, 0, 59)));
        assert!(!window.contains(at(7, 0, 30)) && !window.contains(at(8, 23, 30)));
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for bad in [
            "",
            "2-4",
            "02:00",
            "02:00-02:00",
            "25:00-26:00",
            "Xyz 02:00-04:00",
            "02:60-03:00",
            "Sun Mon 02:00-04:00",
            "02:00 - 04:00",
        ] {
            assert!(bad.parse::<Window>().is_err(), "{bad}");
        }
    }
}
