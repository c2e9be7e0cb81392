//! The body of every answer that is an error.

use serde::{Deserialize, Serialize};

/// Error for a person. CircleCI's runner API answers `{message}`; the rest is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Event and place of the failure.
    pub message: String,
    /// Remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Errors of a submitted configuration, as they are to be printed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<String>,
}

impl Problem {
    /// Returns the message with the errors of a configuration below it, each in lines of its own.
    #[must_use]
    pub fn full_text(&self) -> String {
        let lines = std::iter::once(&self.message).chain(&self.diagnostics);
        lines.map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
