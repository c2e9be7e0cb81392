//! The system's own store for secrets of root. Linux has none that every distribution has, so
//! tokens are kept in the agent's own store (`crate::vault`).

use russet_protocol::secret::Secret;

/// Returns true if tokens are kept in the system's keychain.
#[must_use]
pub fn holds_tokens() -> bool {
    false
}

/// Stores a token under its name, in place of one that was there.
///
/// # Errors
///
/// Always: there is no keychain.
pub fn put(_name: &str, _token: &Secret) -> Result<(), String> {
    Err(NONE.to_owned())
}

/// The token of this name.
///
/// # Errors
///
/// Always: there is no keychain.
pub fn get(_name: &str) -> Result<Secret, String> {
    Err(NONE.to_owned())
}

/// Removes the token of this name.
///
/// # Errors
///
/// Always: there is no keychain.
pub fn remove(_name: &str) -> Result<(), String> {
    Err(NONE.to_owned())
}

const NONE: &str = "this system has no keychain";
