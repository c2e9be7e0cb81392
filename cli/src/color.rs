//! Choice of colour, and colours.
//!
//! Nothing is said by colour alone: each coloured word says it too.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU8, Ordering};

use russet_protocol::outcome::Outcome;

/// The choice of `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// At a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `--color`, set once by `main` before anything is printed.
static CHOICE: AtomicU8 = AtomicU8::new(0);

/// Makes `choice` the one that [`Paint::stdout`] and [`Paint::stderr`] follow.
pub(crate) fn set_choice(choice: ColorChoice) {
    CHOICE.store(choice as u8, Ordering::Relaxed);
}

fn has_color(is_terminal: bool) -> bool {
    match CHOICE.load(Ordering::Relaxed) {
        choice if choice == ColorChoice::Always as u8 => true,
        choice if choice == ColorChoice::Never as u8 => false,
        _ => is_terminal && wanted_by_environment(),
    }
}

fn wanted_by_environment() -> bool {
    // https://no-color.org: set and not empty means no colour.
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !refused && !dumb
}

/// Paints words, or leaves them as they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// No colour.
    pub(crate) const PLAIN: Self = Self { on: false };

    /// For standard output.
    pub(crate) fn stdout() -> Self {
        Self { on: has_color(std::io::stdout().is_terminal()) }
    }

    /// For standard error.
    pub(crate) fn stderr() -> Self {
        Self { on: has_color(std::io::stderr().is_terminal()) }
    }

    /// Returns true if there is colour.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    fn wrap(self, codes: &str, text: &str) -> String {
        if self.on { format!("\x1b[{codes}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Paints a success.
    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Paints a failure.
    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// Paints a warning.
    pub(crate) fn warn(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// Paints a hint.
    pub(crate) fn note(self, text: &str) -> String {
        self.wrap("36", text)
    }

    /// Paints an emphasis.
    pub(crate) fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Paints a detail that may be overlooked.
    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// The name of a job, each in a colour of its own.
    pub(crate) fn job(self, index: usize, text: &str) -> String {
        const COLORS: [&str; 6] = ["36", "35", "34", "33", "32", "96"];
        self.wrap(COLORS.get(index % COLORS.len()).unwrap_or(&"36"), text)
    }

    /// An outcome, with the sign of [`outcome_sign`].
    pub(crate) fn outcome(self, outcome: Outcome, text: &str) -> String {
        match outcome {
            Outcome::Success => self.good(text),
            Outcome::NotRun => self.dim(text),
            Outcome::Canceled => self.warn(text),
            Outcome::Failed
            | Outcome::TimedOut
            | Outcome::InfrastructureFail
            | Outcome::Unauthorized => self.bad(text),
        }
    }
}

/// One character for an outcome.
pub(crate) fn outcome_sign(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "✓",
        Outcome::NotRun | Outcome::Canceled => "-",
        Outcome::Failed
        | Outcome::TimedOut
        | Outcome::InfrastructureFail
        | Outcome::Unauthorized => "✗",
    }
}
