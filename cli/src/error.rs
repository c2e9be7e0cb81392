//! The one error that people see: what happened, where, and what to do about it.
//!
//! Every command returns it; `main` prints it once, to standard error.

use std::fmt::Write as _;
use std::time::Duration;

use crate::color::Paint;
use crate::exit::Exit;

/// A failure, as it is told to a person.
#[derive(Debug)]
pub(crate) struct CliError {
    /// Exit code of the process.
    pub(crate) exit: Exit,
    /// Event and place. Empty where `details` says it all.
    message: String,
    /// Remedy.
    hint: Option<String>,
    /// Rendered errors of a configuration, printed before the message.
    details: Vec<String>,
    /// Set if the same might work a moment later.
    pub(crate) transient: bool,
    /// Pause that the control plane asks for before the next attempt.
    pub(crate) retry_after: Option<Duration>,
}

/// Result of a command.
pub(crate) type Result<T> = std::result::Result<T, CliError>;

impl CliError {
    /// A failure that ends the process with `exit`.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            details: Vec::new(),
            transient: false,
            retry_after: None,
        }
    }

    /// A file or a process of this machine failed.
    pub(crate) fn local(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self::new(Exit::Infrastructure, format!("{what}: {error}"))
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says that the same might work a moment later.
    pub(crate) fn transient(mut self) -> Self {
        self.transient = true;
        self
    }

    /// Says how long to wait before the next attempt.
    pub(crate) fn retry_after(mut self, pause: Option<Duration>) -> Self {
        self.retry_after = pause;
        self
    }

    /// Adds the hint where there is one.
    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Adds rendered errors of a configuration.
    pub(crate) fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// Returns event and place, alone.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Returns the remedy, alone.
    pub(crate) fn hint_text(&self) -> Option<String> {
        self.hint.clone()
    }

    /// The text that is printed, with a line feed at the end.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let mut text = String::new();
        for detail in &self.details {
            text.push_str(detail.trim_end());
            text.push_str("\n\n");
        }
        if !self.message.is_empty() {
            // Writing to a String cannot fail.
            let _written = writeln!(text, "{} {}", paint.bad("error:"), self.message);
        }
        if let Some(hint) = &self.hint {
            let _written = writeln!(text, "{} {hint}", paint.note("hint:"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::CliError;
    use crate::color::Paint;
    use crate::exit::Exit;

    #[test]
    fn an_error_says_what_happened_and_what_to_do() {
        let error = CliError::new(Exit::ControlPlane, "could not reach http://x").hint("start it");
        assert_eq!(error.render(Paint::PLAIN), "error: could not reach http://x\nhint: start it\n");
    }
}
