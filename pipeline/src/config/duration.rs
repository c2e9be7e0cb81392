//! Durations as CircleCI writes them: `90s`, `10m`, `1.5h`, `1h30m`.

use std::time::Duration;

/// Longest duration that is accepted. More is a mistake, and what adds it to a clock need not
/// think of overflow.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Reads a duration.
///
/// # Errors
///
/// The reason, to follow on "`x` is not a duration: ".
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "write a number and `s`, `m` or `h`, such as `90s`, `10m` or `1h30m`";
    let mut rest = text.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return Err(FORM);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, unit) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| FORM)?;
        let letters = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
        let (unit, after) = unit.split_at(letters);
        total += number
            * match unit {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "" => return Err("its unit is missing, such as `s`, `m` or `h`"),
                _ => return Err(FORM),
            };
        rest = after;
    }
    match Duration::try_from_secs_f64(total) {
        Ok(duration) if duration.as_millis() == 0 => Err("it is no time at all"),
        Ok(duration) if duration <= LONGEST => Ok(duration),
        _ => Err("it is longer than a week"),
    }
}

/// Reads a number of days, as `15d`; other durations too.
///
/// # Errors
///
/// The reason, to follow on a colon.
pub(super) fn parse_days(text: &str) -> Result<Duration, &'static str> {
    const MOST: u64 = 365;
    match text.trim().strip_suffix('d').map(str::parse::<u64>) {
        None => parse(text).map_err(|_| "write a number of days, such as `15d`"),
        Some(Ok(days @ 1..=MOST)) => Ok(Duration::from_secs(days * 24 * 3600)),
        Some(_) => Err("write a number of days from 1 to 365, such as `15d`"),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_days};

    #[test]
    fn days_are_for_what_is_kept() {
        assert_eq!(parse_days("15d").map(|d| d.as_secs()), Ok(15 * 86_400));
        assert_eq!(parse_days("12h").map(|d| d.as_secs()), Ok(12 * 3600));
        for bad in ["", "d", "0d", "366d", "-1d", "1.5d", "15"] {
            assert!(parse_days(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, seconds) in [("10m", 600), ("1h30m", 5400), ("90s", 90), ("1.5h", 5400)] {
            assert_eq!(parse(text).map(|d| d.as_secs()), Ok(seconds), "{text}");
        }
        let huge = "9".repeat(400) + "h";
        for bad in ["", "10", "m", "1.2.3s", "-5m", "ten minutes", "0s", "200h", "1d", "5 m", &huge]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
