//! The system's own store for secrets of root. Linux has none that every distribution has, so
//! tokens are kept in the agent's own store (`crate::vault`).

use russet_protocol::secret::Secret;

use crate::KeychainError;

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
pub fn put_token(_name: &str, _token: &Secret) -> Result<(), KeychainError> {
    Err(KeychainError::None)
}

/// Returns the token of this name.
///
/// # Errors
///
/// Always: there is no keychain.
pub fn get_token(_name: &str) -> Result<Secret, KeychainError> {
    Err(KeychainError::None)
}

/// Removes the token of this name.
///
/// # Errors
///
/// Always: there is no keychain.
pub fn remove_token(_name: &str) -> Result<(), KeychainError> {
    Err(KeychainError::None)
}
