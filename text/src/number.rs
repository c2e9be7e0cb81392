//! Decimal numbers at the start of a text, read exactly.

/// Digits that are read behind a decimal point.
const MAX_FRACTION_DIGITS: usize = 18;

/// A number such as `17` or `1.5`: `digits` without the point, to be divided by `10^decimals`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    digits: u128,
    decimals: u32,
}

impl Decimal {
    /// Splits a text into the number that it starts with and the rest.
    pub(crate) fn split(text: &str) -> Option<(Self, &str)> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, rest) = text.split_at(end);
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (number, ""),
        };
        if whole.is_empty() || fraction.len() > MAX_FRACTION_DIGITS {
            return None;
        }
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some((Self { digits, decimals: u32::try_from(fraction.len()).ok()? }, rest))
    }

    /// The number times a factor, rounded to a whole number. `None` beyond the range of `u128`.
    pub(crate) fn times(self, factor: u128) -> Option<u128> {
        let divisor = 10_u128.checked_pow(self.decimals)?;
        Some(self.digits.checked_mul(factor)?.checked_add(divisor / 2)? / divisor)
    }

    /// Set when the number has digits behind a decimal point.
    pub(crate) fn has_fraction(self) -> bool {
        self.decimals > 0
    }
}
