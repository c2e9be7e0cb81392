//! One line of a log, in either of its forms, as everybody reads it.

use std::collections::BTreeMap;

use russet_protocol::local::{LogLevel, LogLine};
use serde::Deserialize;

/// Line that `logging.format: json` writes.
#[derive(Deserialize)]
struct Json {
    timestamp: String,
    level: String,
    #[serde(default)]
    fields: BTreeMap<String, serde_json::Value>,
}

/// Reads a line. `None`: it does not begin one; it goes on with what was said before it, or was
/// written by somebody else (a panic).
#[must_use]
pub fn parse(line: &str) -> Option<LogLine> {
    if line.starts_with('{') { parse_json(line) } else { parse_text(line) }
}

fn parse_json(line: &str) -> Option<LogLine> {
    let Json { timestamp, level, mut fields } = serde_json::from_str(line).ok()?;
    let message = fields.remove("message");
    let text = message.and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default();
    Some(LogLine {
        time_ms: Some(parse_time(&timestamp)?),
        level: Some(parse_word(&level)?),
        text,
        fields,
    })
}

/// `2026-11-24T16:00:00.123456Z  INFO words`.
fn parse_text(line: &str) -> Option<LogLine> {
    let (timestamp, rest) = line.split_once(' ')?;
    let time_ms = Some(parse_time(timestamp)?);
    let (level, text) = rest.trim_start().split_once(' ')?;
    let level = Some(parse_word(level)?);
    Some(LogLine { time_ms, level, text: text.to_owned(), fields: BTreeMap::new() })
}

fn parse_time(text: &str) -> Option<u64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

fn parse_word(text: &str) -> Option<LogLevel> {
    match text {
        "TRACE" | "DEBUG" => Some(LogLevel::Debug),
        "INFO" => Some(LogLevel::Info),
        "WARN" => Some(LogLevel::Warn),
        "ERROR" => Some(LogLevel::Error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use russet_protocol::local::LogLevel;

    #[test]
    fn both_forms_are_read_and_anything_else_begins_no_line() {
        let text =
            parse("2026-11-24T16:00:00.123456Z  WARN claims are held source=\"pause\"").unwrap();
        assert_eq!((text.time_ms, text.level), (Some(1_795_536_000_123), Some(LogLevel::Warn)));
        assert_eq!(text.text, "claims are held source=\"pause\"");
        let json = "{\"timestamp\":\"2026-11-24T16:00:00.123456Z\",\"level\":\"ERROR\",\
                    \"fields\":{\"message\":\"no room\",\"slot\":2}}";
        let json = parse(json).unwrap();
        assert_eq!((json.time_ms, json.level), (text.time_ms, Some(LogLevel::Error)));
        assert_eq!((json.text.as_str(), json.fields["slot"].as_u64()), ("no room", Some(2)));
        for line in ["", "  hint: do it", "{\"a\":1}", "thread 'main' panicked at x.rs:1", "{"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
