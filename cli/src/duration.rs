//! Times as people write them on a command line.

use std::time::Duration;

/// Reads `90s`, `1h30m` or `500ms`: numbers with units, as `humantime` reads them. No time at all is
/// not meant by anybody.
///
/// # Errors
///
/// How it is to be written.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("write a time with its unit, as in `500ms`, `90s`, `30m` or `1h30m`".to_owned()),
    }
}

/// In whole seconds, a part of one as a whole.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse, seconds};

    #[test]
    fn a_part_of_a_second_is_one() {
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(2)), 2);
    }

    #[test]
    fn times_need_a_unit_and_some_length() {
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("45s"), Ok(Duration::from_secs(45)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("2d"), Ok(Duration::from_secs(2 * 86_400)));
        for wrong in ["", "5", "s", "0s", "99999999999999999999h", "-1s", "1h 5"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
