//! Names of those who do something, as they give them: there is one admin token, and it does not say
//! who has it.

use serde::Deserialize;

use crate::api::error::ApiError;

/// The longest name of a person, in characters.
const MAX_CHARS: usize = 100;

/// Name for those who do not say theirs.
pub(crate) const UNNAMED: &str = "the administrator";

/// Query of a call that somebody is named with.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Person {
    #[serde(rename = "as")]
    name: Option<String>,
}

impl Person {
    /// Returns the name, or that of those who do not say theirs.
    pub(super) fn name(&self) -> Result<String, ApiError> {
        self.name.as_deref().map_or_else(|| Ok(UNNAMED.to_owned()), check_person)
    }
}

/// Returns a name without spaces around it.
///
/// Threat: it is shown to others, on pages and terminals. Control characters are refused.
pub(super) fn check_person(name: &str) -> Result<String, ApiError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_CHARS || name.chars().any(char::is_control) {
        let message = format!("the name of a person has 1 to {MAX_CHARS} characters");
        return Err(ApiError::Bad(message));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Person, check_person};

    #[test]
    fn a_name_that_could_drive_a_terminal_is_refused() {
        assert_eq!(check_person(" Ana ").unwrap(), "Ana");
        for bad in ["", " ", "a\u{1b}[31m", &"a".repeat(101)] {
            assert!(check_person(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Person::default().name().unwrap(), "the administrator");
    }
}
