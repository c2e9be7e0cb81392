//! Texts that answers are made of, and limits of those that callers send.

use jiff::Timestamp;

/// Returns bytes in lower case hexadecimal.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A time in milliseconds since 1970, as CircleCI's API writes times.
pub(crate) fn rfc3339(ms: i64) -> String {
    format!("{:.3}", Timestamp::from_millisecond(ms).unwrap_or_default())
}

/// The same of an unsigned number.
pub(crate) fn rfc3339_of(ms: u64) -> String {
    rfc3339(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// Returns a time that is written so, in milliseconds since 1970; `None` for any other text.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// The longest message that is kept, in bytes.
pub(crate) const MESSAGE_LIMIT: usize = 8 * 1024;

/// The longest name that is kept, in bytes. A step without a name has its command for one.
pub(crate) const NAME_LIMIT: usize = 4 * 1024;

/// The beginning of a text, `limit` bytes of it at most. What a task says of itself stands in
/// every list and goes to every reader, so its length must not be up to the task.
pub(crate) fn cut_text(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}

const SERIAL_WAIT: &str = "it waits for its turn in the serial group ";

/// Returns the message of a job that waits for its turn in a serial group.
pub(crate) fn serial_wait(group: &str) -> String {
    format!("{SERIAL_WAIT}`{group}`")
}

/// Returns true for the message of a job that waits for its turn in a serial group.
pub(crate) fn is_serial_wait(message: &str) -> bool {
    message.starts_with(SERIAL_WAIT)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(super::cut_text("aäb", 2), "a");
        assert_eq!(super::cut_text("aäb", 3), "aä");
        assert_eq!(super::cut_text("aäb", 100), "aäb");
    }

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(super::rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
    }
}
