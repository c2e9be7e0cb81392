//! Failures of tools.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

/// Characters of a tool's output that go into a message.
const WORDS: usize = 400;

/// Reason why a tool did not do what it was asked to. Each names the command as a person would type
/// it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no such program.
    #[error("could not run `{command}`: there is no such program")]
    NotFound {
        /// The command.
        command: String,
    },
    /// It could not be started.
    #[error("could not run `{command}`: {source}")]
    Start {
        /// The command.
        command: String,
        /// Cause.
        source: std::io::Error,
    },
    /// It did not end in time, and was killed.
    #[error("`{command}` did not end within {limit:?}, and was killed")]
    TimedOut {
        /// The command.
        command: String,
        /// The limit.
        limit: Duration,
    },
    /// It printed more than anybody wants to read.
    #[error("`{command}` printed more than {limit} bytes, and was killed")]
    TooMuch {
        /// The command.
        command: String,
        /// The limit.
        limit: usize,
    },
    /// It ended with another status than 0.
    #[error("`{command}` {}{}", describe_end(*status), with_words(said))]
    Failed {
        /// The command.
        command: String,
        /// Exit status.
        status: ExitStatus,
        /// The first that it said on standard error, or else on standard output.
        said: String,
        /// Remedy, where the caller knows one.
        hint: Option<String>,
    },
}

impl CommandError {
    /// Returns the remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => Some(
                "it is a part of the system; is it damaged, or is this \
                                           another system than the one expected?"
                    .to_owned(),
            ),
            Self::TimedOut { command, .. } => {
                Some(format!("run `{command}` by hand and see what it waits for"))
            }
            Self::Failed { hint, .. } => hint.clone(),
            Self::Start { .. } | Self::TooMuch { .. } => None,
        }
    }

    /// The exit code of a tool that ended with one.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Failed { status, .. } => status.code(),
            _ => None,
        }
    }
}

fn describe_end(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    }
}

fn with_words(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// The first non-empty lines of standard error, or of standard output where that has none: on
/// one line, without control characters, cut to a size fit for a message.
pub(super) fn first_words(stderr: &[u8], stdout: &[u8]) -> String {
    let words = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join("; ")
    };
    let text = Some(words(stderr)).filter(|text| !text.is_empty()).unwrap_or_else(|| words(stdout));
    russet_text::one_line_within(&text, WORDS)
}
