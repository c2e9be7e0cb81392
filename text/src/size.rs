//! Sizes in bytes.
//!
//! They are shown with decimal units, as macOS shows them, and read with decimal or binary ones.

use crate::number::Decimal;

/// The reason for which a text is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSizeError {
    /// It has another form.
    #[error("write a number of bytes, such as `17`, `500MB`, `1.5GB` or `50GiB`")]
    Form,
    /// It does not fit into 64 bits.
    #[error("the size is larger than any disk")]
    TooLarge,
}

/// Parses a size: a number of bytes, or a number with a decimal (`kB`, `MB`, …; also `k`, `M`) or
/// binary (`KiB`, `MiB`, …) unit. The case of units does not matter; white space around the number
/// is allowed. Parts of a byte are rounded.
///
/// # Errors
///
/// The text has another form, or the size does not fit into 64 bits.
pub fn parse_size(text: &str) -> Result<u64, ParseSizeError> {
    let (number, unit) = Decimal::split(text.trim()).ok_or(ParseSizeError::Form)?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let factor: u128 = match unit.as_str() {
        "" | "b" if number.has_fraction() => return Err(ParseSizeError::Form),
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1000_u128.pow(2),
        "g" | "gb" => 1000_u128.pow(3),
        "t" | "tb" => 1000_u128.pow(4),
        "p" | "pb" => 1000_u128.pow(5),
        "e" | "eb" => 1000_u128.pow(6),
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "pib" => 1 << 50,
        "eib" => 1 << 60,
        _ => return Err(ParseSizeError::Form),
    };
    let bytes = number.times(factor).and_then(|bytes| u64::try_from(bytes).ok());
    bytes.ok_or(ParseSizeError::TooLarge)
}

/// Formats a size with at most three digits: `512 B`, `1.5 kB`, `20 MB`.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut factor: u128 = 1;
    let mut shown = String::new();
    for unit in UNITS {
        factor *= 1000;
        let rounded = |parts: u128| (u128::from(bytes) * parts + factor / 2) / factor;
        let (whole, tenths) = (rounded(1), rounded(10));
        shown = if tenths < 100 {
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        } else {
            format!("{whole} {unit}")
        };
        if whole < 1000 {
            break;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{ParseSizeError, format_size, parse_size};

    #[test]
    fn sizes_may_have_a_decimal_or_a_binary_unit_or_none() {
        for (text, bytes) in [
            ("17", 17),
            ("0", 0),
            ("20b", 20),
            ("20GB", 20_000_000_000),
            ("1.5GB", 1_500_000_000),
            ("1.5 GiB", 1_610_612_736),
            ("500 m", 500_000_000),
            ("4kib", 4096),
            ("0.0000001TB", 100_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "-1", "-1GB", "1.5", "1.5B", "1.", "1.GB", ".5GB", "1..5GB", "1XB"] {
            assert_eq!(parse_size(text), Err(ParseSizeError::Form), "{text}");
        }
        for text in ["nanB", "5 apples", "1e30TB", "1 2GB", "0.1234567890123456789GB"] {
            assert_eq!(parse_size(text), Err(ParseSizeError::Form), "{text}");
        }
        assert_eq!(parse_size("99999999999TB"), Err(ParseSizeError::TooLarge));
        assert_eq!(parse_size(&u64::MAX.to_string()), Ok(u64::MAX));
    }

    #[test]
    fn sizes_are_shown_with_three_digits_at_most() {
        let sizes = [0, 999, 1000, 1_540, 9_960, 15_500, 20_400_000, 999_999_999, u64::MAX];
        assert_eq!(
            sizes.map(format_size),
            ["0 B", "999 B", "1.0 kB", "1.5 kB", "10 kB", "16 kB", "20 MB", "1.0 GB", "18 EB"]
        );
    }
}
