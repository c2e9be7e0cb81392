//! Extended headers: records of `length key=value\n`, for what a plain header has no room for.

use std::io;

/// Adds a record.
pub(super) fn add(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    // The length counts itself.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + digits(length) {
        length = rest + digits(length);
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// The records, in their order. A key may have any bytes as its value.
pub(super) fn read(mut records: &[u8]) -> io::Result<Vec<(&str, &[u8])>> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "an extended header is malformed");
    let mut found = Vec::new();
    while !records.is_empty() {
        let space = records.iter().take(8).position(|byte| *byte == b' ').ok_or_else(broken)?;
        let length = records.get(..space).and_then(|text| std::str::from_utf8(text).ok());
        let length: usize = length.and_then(|text| text.parse().ok()).ok_or_else(broken)?;
        let record = records.get(space + 1..length).ok_or_else(broken)?;
        let record = record.strip_suffix(b"\n").ok_or_else(broken)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
        let (key, value) = record.split_at(equals);
        let key = std::str::from_utf8(key).map_err(|_| broken())?;
        found.push((key, value.get(1..).unwrap_or_default()));
        records = records.get(length..).unwrap_or_default();
    }
    Ok(found)
}

/// A time as `seconds.nanoseconds`.
pub(super) fn time(text: &[u8]) -> Option<(i64, i64)> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some((seconds, nanoseconds.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{add, read, time};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            pairs in prop::collection::vec(("[A-Za-z.]{1,20}", prop::collection::vec(any::<u8>(), 0..1100)), 0..6),
        ) {
            let mut records = Vec::new();
            for (key, value) in &pairs {
                add(&mut records, key, value);
            }
            let found = read(&records).unwrap();
            let found: Vec<(String, Vec<u8>)> =
                found.into_iter().map(|(key, value)| (key.to_owned(), value.to_vec())).collect();
            prop_assert_eq!(found, pairs);
        }

        #[test]
        fn anything_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(read(&bytes));
            time(&bytes);
        }
    }

    #[test]
    fn times_have_a_fraction() {
        assert_eq!(time(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(time(b"12.000000007"), Some((12, 7)));
        assert_eq!(time(b"-3"), Some((-3, 0)));
        for bad in ["", ".", "1.x", "1.2.3", "x"] {
            assert_eq!(time(bad.as_bytes()), None, "{bad}");
        }
    }
}
