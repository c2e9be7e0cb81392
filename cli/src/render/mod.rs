//! Output for people: colours, tables, times, and the live view of a pipeline.

pub(crate) mod numbers;
pub(crate) mod output;
pub(crate) mod screen;
pub(crate) mod table;
pub(crate) mod terminal;

use std::io::Write as _;

use serde::Serialize;

use crate::error::{CliError, Result};

/// Format of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// Names and messages come from projects: see [`russet_text::one_line`].
pub(crate) use russet_text::one_line as plain;

/// Splits a message from the hint that stands in a line of its own behind it.
pub(crate) fn split_hint(message: &str) -> (&str, Option<&str>) {
    match message.split_once("\n").map(|(what, rest)| (what, rest.trim_start())) {
        Some((what, rest)) => match rest.strip_prefix("hint:") {
            Some(hint) => (what, Some(hint.trim())),
            None => (message, None),
        },
        None => (message, None),
    }
}

/// Prints `text` to standard output as it is.
pub(crate) fn print_text(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader has seen enough: `russet job logs … | head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => {
            result.map_err(|error| CliError::local("could not write to standard output", error))
        }
    }
}

/// Prints one line to standard output.
pub(crate) fn print_line(text: impl std::fmt::Display) -> Result<()> {
    print_text(&format!("{text}\n"))
}

/// Prints one line to standard error. A failure to print there cannot be told to anybody.
pub(crate) fn print_note(text: impl std::fmt::Display) {
    let _unreported = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints a value as indented JSON.
pub(crate) fn print_json<T: Serialize + ?Sized>(value: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::local("could not write JSON", error))?;
    print_line(text)
}
