//! Tokens: made here, kept as hashes.
//!
//! A token is 256 random bits. There is nothing to guess, so a plain fast hash suffices, and a
//! look-up by hash gives no timing away that would help to find the token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use russet_protocol::secret::Secret;

/// Stored form of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenHash(blake3::Hash);

impl TokenHash {
    pub(crate) fn of(token: &str) -> Self {
        Self(blake3::hash(token.as_bytes()))
    }

    /// The same of a hash that was stored.
    pub(crate) fn of_hash(hash: blake3::Hash) -> Self {
        Self(hash)
    }

    /// Returns it as the key of a table in memory.
    pub(crate) fn key(&self) -> [u8; 32] {
        *self.0.as_bytes()
    }

    /// Returns the hash itself, for keys that are derived from it.
    pub(crate) fn hash(&self) -> blake3::Hash {
        self.0
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns true if `token` is the one that this is the hash of. Takes as long either way: the
    /// comparison of [`blake3::Hash`] is constant-time.
    pub(crate) fn matches(&self, token: &str) -> bool {
        self.0 == blake3::hash(token.as_bytes())
    }
}

/// The system has no randomness to give.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes: {0}")]
pub(crate) struct NoRandomness(pub(crate) getrandom::Error);

/// Purpose of a token, shown as its prefix, so that one that leaked is recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Admin,
    Class,
    Task,
    Continuation,
    Person,
    /// Cookie of a person's session.
    Session,
    /// Code of a link with which somebody sets a password.
    Link,
    /// Code with which a command line fetches the token that somebody allows it.
    Device,
}

impl TokenKind {
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Admin => "rsa_",
            Self::Class => "rsc_",
            Self::Task => "rst_",
            Self::Continuation => "rsk_",
            Self::Person => "rsp_",
            Self::Session => "rsw_",
            Self::Link => "rsl_",
            Self::Device => "rsd_",
        }
    }
}

/// Returns bytes that nobody can guess.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(bytes)
}

/// A new token.
pub(crate) fn new_token(kind: TokenKind) -> Result<Secret, NoRandomness> {
    let prefix = kind.prefix();
    let bytes: [u8; 32] = random_bytes()?;
    Ok(Secret::new(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))))
}

#[cfg(test)]
mod tests {
    use super::{TokenHash, TokenKind, new_token};

    #[test]
    fn a_token_matches_its_hash_and_no_other() {
        let one = new_token(TokenKind::Class).unwrap();
        let other = new_token(TokenKind::Class).unwrap();
        let hash = TokenHash::of(one.expose());
        assert!(hash.matches(one.expose()));
        assert!(!hash.matches(other.expose()));
    }
}
