//! Logs as text: the agent's own and those of tasks, with what is added to them.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Incoming;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use russet_protocol::local::{LogLevel, LogLine};
use russet_text::is_printable;

use super::{Agent, ClientError};
use crate::controller::Log;

/// Lines of before that are shown.
const LINES: usize = 1000;

/// A log that is being read.
#[derive(Debug)]
pub(crate) struct Chunks {
    body: Incoming,
    /// Set if it comes as JSON objects, a line each.
    is_json: bool,
    rest: Vec<u8>,
    zone: TimeZone,
}

/// Begins to read a log.
pub(crate) async fn open_log(
    agent: &Agent,
    log: &Log,
    zone: TimeZone,
) -> Result<Chunks, ClientError> {
    let path = match log {
        Log::Agent => format!("/v1/logs?follow=true&lines={LINES}"),
        Log::Task { id, .. } => format!("/v1/tasks/{id}/log?follow=true"),
    };
    let request = agent.request(Method::GET, &path, Bytes::new());
    let answer = tokio::time::timeout(super::PATIENCE, request);
    let body = answer.await.map_err(|_| ClientError::Slow)??.into_body();
    Ok(Chunks { body, is_json: *log == Log::Agent, rest: Vec::new(), zone })
}

impl Chunks {
    /// Returns the next line; nothing: the log has ended.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, ClientError> {
        while let Some(frame) = self.body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            self.rest.extend_from_slice(&data);
            let text = if self.is_json { self.lines() } else { self.characters() };
            if !text.is_empty() {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    fn lines(&mut self) -> String {
        let mut text = String::new();
        let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else { return text };
        for line in self.rest[..end].split(|&byte| byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(line) => render_line(&line, &self.zone, &mut text),
                Err(_) => text.push_str(&String::from_utf8_lossy(line)),
            }
            text.push('\n');
        }
        self.rest.drain(..=end);
        text
    }

    /// Whole characters, without what would colour a terminal or move its cursor.
    fn characters(&mut self) -> String {
        let whole = match std::str::from_utf8(&self.rest) {
            // The beginning of a character may be followed by the rest of it.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.rest.len(),
        };
        let bytes: Vec<u8> = self.rest.drain(..whole).collect();
        readable(&String::from_utf8_lossy(&bytes))
    }
}

/// A line of the agent's log.
fn render_line(line: &LogLine, zone: &TimeZone, text: &mut String) {
    let time =
        line.time_ms.and_then(|ms| Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok());
    if let Some(time) = time {
        text.push_str(
            &time.to_zoned_datetime(zone.clone()).strftime("%b %d %H:%M:%S ").to_string(),
        );
    }
    let level = line.level.map(|level| match level {
        LogLevel::Debug => "debug ",
        LogLevel::Info => "info  ",
        LogLevel::Warn => "WARN  ",
        LogLevel::Error => "ERROR ",
    });
    text.push_str(level.unwrap_or_default());
    text.push_str(&line.text);
    for (name, value) in &line.fields {
        let value = match value {
            serde_json::Value::String(value) => value.clone(),
            value => value.to_string(),
        };
        text.push_str(&format!(" {name}={value}"));
    }
}

/// Text without escape sequences, and with line feeds alone at the ends of lines. A sequence that
/// is cut in two leaves its rest.
fn readable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut chars),
            '\n' | '\t' => clean.push(c),
            '\r' if chars.peek() != Some(&'\n') => clean.push('\n'),
            c if is_printable(c) => clean.push(c),
            c if c.is_control() => {}
            _ => clean.push(char::REPLACEMENT_CHARACTER),
        }
    }
    clean
}

/// Goes to the end of an escape sequence.
fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        // Colours, cursors: parameters, then a letter.
        Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
        // Titles: until a bell, or an escape and its second half.
        Some(']') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' {
                    break;
                }
                if c == '\u{1b}' {
                    chars.next();
                    break;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use russet_protocol::local::LogLine;

    use super::{readable, render_line};

    #[test]
    fn a_line_has_its_time_and_what_belongs_to_it() {
        let line: LogLine = serde_json::from_str(
            r#"{"time_ms":1800014400000,"level":"warn","text":"refused","fields":{"uid":7,"why":"a b"}}"#,
        )
        .unwrap();
        let mut text = String::new();
        render_line(&line, &TimeZone::UTC, &mut text);
        assert_eq!(text, "Jan 15 12:00:00 WARN  refused uid=7 why=a b");
    }

    #[test]
    fn what_is_meant_for_a_terminal_is_left_out() {
        let text = "\u{1b}[1;32mgreen\u{1b}[0m\r\n\u{1b}]0;title\u{7}10 %\r20 %\u{8}\n";
        assert_eq!(readable(text), "green\n10 %\n20 %\n");
    }
}
