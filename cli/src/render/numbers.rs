//! Sizes and times as people read them.

use std::time::Duration;

/// A size: `512 B`, `1.5 kB`, `20 MB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    // Precision is not needed here: three digits are shown.
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or("PB");
    if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// How long something took: `0.04 s`, `3.2 s`, `1 min 05 s`, `2 h 03 min`.
pub(crate) fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let whole = duration.as_secs();
    match whole {
        0 => format!("{seconds:.2} s"),
        1..=59 => format!("{seconds:.1} s"),
        60..=3599 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Time between two moments in milliseconds since 1970.
pub(crate) fn between(start_ms: u64, end_ms: u64) -> String {
    elapsed(Duration::from_millis(end_ms.saturating_sub(start_ms)))
}

/// `1 job`, `2 jobs`.
pub(crate) fn count(number: u64, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// Milliseconds since 1970, now.
pub(crate) fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}

/// A moment in milliseconds since 1970, in local time.
pub(crate) fn moment(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map(|moment| {
            moment
                .to_zoned_datetime(jiff::tz::TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bytes, elapsed};

    #[test]
    fn sizes_have_three_digits_at_most() {
        let shown: Vec<_> =
            [0, 999, 1000, 1_540, 20_400_000, 999_999_999].into_iter().map(bytes).collect();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "1.5 kB", "20 MB", "1.0 GB"]);
    }

    #[test]
    fn times_are_as_fine_as_they_are_short() {
        let shown: Vec<_> = [40, 3_240, 65_000, 7_380_000]
            .into_iter()
            .map(|ms| elapsed(Duration::from_millis(ms)))
            .collect();
        assert_eq!(shown, ["0.04 s", "3.2 s", "1 min 05 s", "2 h 03 min"]);
    }
}
