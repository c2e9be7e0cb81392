//! Errors of calls that every system has under the same name.

/// The reason for which the system's keychain cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeychainError {
    /// This system has none.
    #[error("this system has no keychain")]
    None,
    /// The caller is not root.
    #[error("tokens in the System keychain are root's alone")]
    NotRoot,
    /// The item holds something else than text.
    #[error("the keychain's item is not a token")]
    NotText,
    /// The keychain refused.
    #[error("the System keychain: {0}")]
    Refused(Box<dyn std::error::Error + Send + Sync>),
}

/// The fault of a bundle's signature.
#[derive(Debug, thiserror::Error)]
#[error("the new version is not signed as this one is: {0}")]
pub struct SignatureError(pub Box<dyn std::error::Error + Send + Sync>);
