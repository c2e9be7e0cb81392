//! Times in reports, as programs of all languages write them.

/// Reads a time in seconds: with a decimal point or comma, with separators of thousands, with a
/// unit. What is none is 0.
pub(super) fn parse(written: &str) -> f64 {
    let text = written.trim();
    let (text, scale) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds = number(text.trim_end()).unwrap_or(0.0) * scale;
    if f64::is_finite(seconds) { seconds.max(0.0) } else { 0.0 }
}

/// The last of `.` and `,` is the decimal sign if there is one of it; all others separate
/// thousands. A single comma is a decimal one: programs that write thousands apart write fractions
/// too.
fn number(text: &str) -> Option<f64> {
    let count = |sign: char| text.matches(sign).count();
    let decimal = match (text.rfind('.'), text.rfind(',')) {
        (Some(point), Some(comma)) if point < comma && count(',') == 1 => ',',
        (None, Some(_)) if count(',') == 1 => ',',
        _ => '.',
    };
    let plain: String = text
        .chars()
        .filter(|sign| {
            *sign == decimal || !matches!(sign, '.' | ',' | '\'' | '\u{a0}' | '\u{202f}')
        })
        .map(|sign| if sign == decimal { '.' } else { sign })
        .collect();
    plain.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn times_of_all_languages_are_read() {
        for (written, seconds) in [
            ("0.005", 0.005),
            ("0,005", 0.005),
            ("12,75", 12.75),
            ("1,234.5", 1234.5),
            ("1.234,5", 1234.5),
            ("1,234,567", 1_234_567.0),
            ("1'234.5", 1234.5),
            ("1\u{202f}234,5", 1234.5),
            (" 2.5 ", 2.5),
            ("1.2E-4", 0.000_12),
            ("3.5s", 3.5),
            ("120 ms", 0.12),
            ("NaN", 0.0),
            ("inf", 0.0),
            ("-1", 0.0),
            ("", 0.0),
            ("soon", 0.0),
        ] {
            assert!((parse(written) - seconds).abs() < 1e-9, "{written}: {}", parse(written));
        }
    }
}
