//! Durations as arguments.

use std::time::Duration;

use russet_text::parse_duration;

/// Parses a duration that is longer than zero.
///
/// # Errors
///
/// The text is not a duration, or is zero; the message says which.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("it must be longer than zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns a duration in whole seconds, rounded up.
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
    fn durations_need_a_unit_and_some_length() {
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("2d"), Ok(Duration::from_secs(2 * 86_400)));
        for wrong in ["", "0", "0s", "5", "-1s"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
