//! Sizes as arguments.

use russet_text::parse_size;

/// Parses a size of at least one byte.
///
/// # Errors
///
/// The text is not a size, is zero, or is larger than any disk; the message says which.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Ok(0) => Err("it must be at least one byte".to_owned()),
        // The database counts in signed numbers.
        Ok(bytes) if i64::try_from(bytes).is_err() => Err("it is larger than any disk".to_owned()),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_may_have_a_unit_and_are_not_zero() {
        assert_eq!(parse("17"), Ok(17));
        assert_eq!(parse("1.5GB"), Ok(1_500_000_000));
        for wrong in ["", "0", "0B", "-1GB", "18EB"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
