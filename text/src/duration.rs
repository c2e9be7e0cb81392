//! Durations.

use std::time::Duration;

use crate::number::Decimal;

const NANOSECONDS: u128 = 1_000_000_000;

/// The reason for which a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// It has another form.
    #[error("write numbers with their units, such as `500ms`, `90s`, `1.5h` or `1h30m`")]
    Form,
    /// A number has no unit.
    #[error("its unit is missing, such as `s`, `m` or `h`")]
    NoUnit,
    /// It is longer than the type holds.
    #[error("the duration is too long")]
    TooLong,
}

/// Parses a duration: numbers with units, as `90s`, `1h30m`, `1.5h` or `2 min 05 s`. A zero needs
/// no unit. The units are those of Go, with days, weeks and the usual English words.
///
/// # Errors
///
/// The text has another form, or is longer than [`Duration`] holds.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(ParseDurationError::Form);
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (number, after) = Decimal::split(rest).ok_or(ParseDurationError::Form)?;
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let part = number.times(unit_nanoseconds(unit)?);
        let sum = part.and_then(|part| total.checked_add(part));
        total = sum.ok_or(ParseDurationError::TooLong)?;
        rest = after.trim_start();
    }
    let seconds = u64::try_from(total / NANOSECONDS).map_err(|_| ParseDurationError::TooLong)?;
    let nanoseconds = u32::try_from(total % NANOSECONDS).unwrap_or_default();
    Ok(Duration::new(seconds, nanoseconds))
}

/// Returns the length of a unit in nanoseconds.
fn unit_nanoseconds(unit: &str) -> Result<u128, ParseDurationError> {
    Ok(match unit {
        "" => return Err(ParseDurationError::NoUnit),
        "ns" => 1,
        "us" | "µs" | "μs" => 1000,
        "ms" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => NANOSECONDS,
        "m" | "min" | "mins" | "minute" | "minutes" => 60 * NANOSECONDS,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600 * NANOSECONDS,
        "d" | "day" | "days" => 86_400 * NANOSECONDS,
        "w" | "week" | "weeks" => 7 * 86_400 * NANOSECONDS,
        _ => return Err(ParseDurationError::Form),
    })
}

/// Formats a duration in its two largest units: `40 ms`, `3.2 s`, `12 s`, `1 min 05 s`, `2 h 03
/// min`,
/// `1 d 04 h`. A second unit that is zero is left out (`10 min`). Smaller parts are cut off, as by a
/// clock, not rounded.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let tenths = duration.subsec_millis() / 100;
    let pair = |count: u64, unit: &str, part: u64, smaller: &str| match part {
        0 => format!("{count} {unit}"),
        _ => format!("{count} {unit} {part:02} {smaller}"),
    };
    match seconds {
        0 => match duration.subsec_millis() {
            0 => "0 s".to_owned(),
            milliseconds => format!("{milliseconds} ms"),
        },
        1..=9 if tenths > 0 => format!("{seconds}.{tenths} s"),
        1..=59 => format!("{seconds} s"),
        60..=3599 => pair(seconds / 60, "min", seconds % 60, "s"),
        3600..=86_399 => pair(seconds / 3600, "h", seconds / 60 % 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds / 3600 % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ParseDurationError, format_duration, parse_duration};

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("300ms", 300),
            ("1.5s", 1500),
            ("5h", 18_000_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("1 min 05 s", 65_000),
            ("2 days", 172_800_000),
            ("500000µs", 500),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", " ", "s", "-1h", "1..5h", "1.h", ".5h", "1x", "ten minutes", "1h-5m"] {
            assert_eq!(parse_duration(text), Err(ParseDurationError::Form), "{text}");
        }
        for text in ["5", "1h30", "1h 5"] {
            assert_eq!(parse_duration(text), Err(ParseDurationError::NoUnit), "{text}");
        }
        let long = "9".repeat(30) + "h";
        assert_eq!(parse_duration(&long), Err(ParseDurationError::TooLong));
        assert!(parse_duration(&("9".repeat(400) + "h")).is_err());
    }

    #[test]
    fn durations_are_shown_in_their_two_largest_units() {
        let milliseconds = [0, 40, 3_240, 3_000, 59_999, 61_000, 600_000, 7_380_000, 90_061_000];
        assert_eq!(
            milliseconds.map(|ms| format_duration(Duration::from_millis(ms))),
            [
                "0 s",
                "40 ms",
                "3.2 s",
                "3 s",
                "59 s",
                "1 min 01 s",
                "10 min",
                "2 h 03 min",
                "1 d 01 h"
            ]
        );
    }
}
