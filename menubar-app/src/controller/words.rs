//! Times, bars and names as people read them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use russet_text::{format_duration, one_line_within};

/// Cells of a bar.
const CELLS: u64 = 10;

/// Longest text from elsewhere in one line of a menu, in characters.
const LONGEST: usize = 80;

/// Text from elsewhere (a job says what it likes) as one line of a menu.
pub(super) fn plain_text(text: &str) -> String {
    one_line_within(text.trim(), LONGEST)
}

/// Formats a duration to the second: menus do not show parts of one.
pub(super) fn length(ms: u64) -> String {
    format_duration(Duration::from_secs(ms / 1000))
}

/// Formats an estimate: rounded to the second below a minute, else to the minute.
pub(super) fn about(ms: u64) -> String {
    let unit = if ms < 59_500 { 1000 } else { 60_000 };
    format_duration(Duration::from_millis((ms + unit / 2) / unit * unit))
}

/// A point in time: the hour, and the day where that is not today.
pub(super) fn time(ms: u64, now_ms: u64, zone: &TimeZone) -> String {
    let at = |ms: u64| {
        let ms = i64::try_from(ms).ok()?;
        Some(Timestamp::from_millisecond(ms).ok()?.to_zoned_datetime(zone.clone()))
    };
    let (Some(then), Some(now)) = (at(ms), at(now_ms)) else { return "an unknown time".to_owned() };
    if then.date() == now.date() {
        then.strftime("%H:%M").to_string()
    } else {
        then.strftime("%b %-d, %H:%M").to_string()
    }
}

/// A share as a bar and a number.
pub(super) fn progress_bar(percent: u64) -> String {
    let full = (percent.min(100) * CELLS + 50) / 100;
    let part = |sign: &str, count: u64| sign.repeat(usize::try_from(count).unwrap_or_default());
    format!("{}{} {percent} %", part("▰", full), part("▱", CELLS - full))
}

/// So many of something.
pub(super) fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    #[test]
    fn lengths_are_told_in_their_two_largest_units() {
        let told = [0, 59_999, 61_000, 3_600_000, 90_061_000].map(super::length);
        assert_eq!(told, ["0 s", "59 s", "1 min 01 s", "1 h", "1 d 01 h"]);
        let estimates = [4_400, 59_900, 90_000, 400_000, 9_000_000].map(super::about);
        assert_eq!(estimates, ["4 s", "1 min", "2 min", "7 min", "2 h 30 min"]);
    }

    #[test]
    fn a_time_of_another_day_has_its_day() {
        let noon = 1_800_014_400_000;
        let day = 86_400_000;
        assert_eq!(super::time(noon, noon + 1, &TimeZone::UTC), "12:00");
        assert_eq!(super::time(noon, noon + day, &TimeZone::UTC), "Jan 15, 12:00");
        assert_eq!(super::time(u64::MAX, noon, &TimeZone::UTC), "an unknown time");
    }

    #[test]
    fn a_bar_is_never_longer_than_it_is() {
        assert_eq!(super::progress_bar(42), "▰▰▰▰▱▱▱▱▱▱ 42 %");
        assert_eq!(super::progress_bar(250), "▰▰▰▰▰▰▰▰▰▰ 250 %");
    }

    #[test]
    fn text_from_elsewhere_is_one_short_line_in_our_direction() {
        assert_eq!(super::plain_text(" a\nb\u{202e}c "), "a b\u{fffd}c");
        let long = super::plain_text(&"x".repeat(500));
        assert!(long.chars().count() == 80 && long.ends_with('…'));
    }
}
