//! Numbers and times as people read them.

use std::time::Duration;

use russet_text::format_duration;

/// Time between two moments in milliseconds since 1970.
pub(crate) fn duration_between(start_ms: u64, end_ms: u64) -> String {
    format_duration(Duration::from_millis(end_ms.saturating_sub(start_ms)))
}

/// `1 job`, `2 jobs`.
pub(crate) fn counted(number: u64, word: &str) -> String {
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
pub(crate) fn local_time(ms: u64) -> String {
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
