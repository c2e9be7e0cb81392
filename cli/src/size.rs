//! Numbers of bytes as people write them on a command line.

/// Reads `500MB`, `50GB` or `1.5TiB`: decimal and binary units.
///
/// # Errors
///
/// How it is to be written.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, f64); 9] = [
        ("KIB", 1024.0),
        ("MIB", 1_048_576.0),
        ("GIB", 1_073_741_824.0),
        ("TIB", 1_099_511_627_776.0),
        ("KB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("B", 1.0),
    ];
    let upper = text.trim().to_ascii_uppercase();
    let found = UNITS.iter().find_map(|(unit, bytes)| Some((upper.strip_suffix(unit)?, bytes)));
    let bytes = found.and_then(|(number, unit)| Some(number.trim().parse::<f64>().ok()? * unit));
    match bytes {
        // The largest that is exact is more than any disk.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is checked to be in range"
        )]
        Some(bytes) if (1.0..9e15).contains(&bytes) => Ok(bytes as u64),
        _ => Err("write a number of bytes with its unit, as in `500MB` or `50GiB`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!(parse("500MB"), Ok(500_000_000));
        assert_eq!(parse("1.5 GiB"), Ok(1_610_612_736));
        assert_eq!(parse("20b"), Ok(20));
        for wrong in ["", "5", "GB", "-1GB", "0B", "1e30TB", "nanB", "5 apples"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
