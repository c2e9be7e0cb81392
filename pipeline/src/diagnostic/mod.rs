//! Diagnostics of a configuration: errors and warnings with their places.

mod render;

pub use crate::source::Snippet;

/// Severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be run.
    Error,
    /// The configuration can be run, but something in it has no effect or an unusual one.
    Warning,
}

/// One error or warning. Holds all that is needed to print it; the text may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Severity of a diagnostic.
    pub severity: Severity,
    /// The mistake, in one sentence without a full stop.
    pub message: String,
    /// Name of the file, as the caller gave it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line and what of it is meant.
    pub snippet: Snippet,
    /// Another place that explains this one, such as the first of two definitions.
    pub related: Option<Related>,
    /// More that is worth knowing.
    pub note: Option<String>,
    /// Advice on what to do about it.
    pub hint: Option<String>,
}

/// A second place, in the same file or in another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// The relation of that place to the mistake.
    pub message: String,
    /// Name of its file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line and what of it is meant.
    pub snippet: Snippet,
}

impl Diagnostic {
    /// The whole message with its place, the line and an underline, ending without a newline.
    /// With colours for a terminal where `color` is true; nothing is lost without them.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        render::render(self, color)
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// All that is wrong with a configuration, in the order of the text. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<Diagnostic>);

impl std::fmt::Display for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}
