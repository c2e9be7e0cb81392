//! Tokens of classes: each bound to the control plane that it was stored for.

use russet_protocol::secret::Secret;

use super::{StoredToken, Vault, VaultError, origin_of};
use russet_platform::{KeychainError, keychain};

/// Reason why a stored token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The store cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// There is none of this name.
    #[error(
        "no token is stored as `{name}`\n  hint: `russet agent token add {name}` stores one, and \
         `russet agent token list` shows those there are"
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// It belongs to another control plane. Threat: a configuration that names somebody else's
    /// server and a token of ours would send it there.
    #[error(
        "the token `{name}` was stored for {stored} and is sent nowhere else, and `api.url` is \
         {asked}\n  hint: set `api.url` to {stored}, or store a token of {asked} with `russet agent \
         token add NAME --url {asked}`"
    )]
    OtherOrigin {
        /// The token's name.
        name: String,
        /// Whose it is.
        stored: String,
        /// Control plane that would have got it.
        asked: String,
    },
    /// It is in the keychain, which does not give it.
    #[error("could not use the token `{name}`: {problem}")]
    Keychain {
        /// The token's name.
        name: String,
        /// Message of the keychain.
        problem: KeychainError,
    },
}

impl Vault {
    /// The token of this name, for calls to `api_url` alone.
    ///
    /// # Errors
    ///
    /// There is none, it is another control plane's, or it cannot be read.
    pub fn token(&self, name: &str, api_url: &str) -> Result<Secret, TokenError> {
        let mut document = self.read()?;
        let found = document.tokens.remove(name);
        let found = found.ok_or_else(|| TokenError::Unknown { name: name.to_owned() })?;
        let asked = origin_of(api_url).unwrap_or_else(|| api_url.to_owned());
        if found.origin != asked {
            let (name, stored) = (name.to_owned(), found.origin);
            return Err(TokenError::OtherOrigin { name, stored, asked });
        }
        match found.token {
            Some(token) => Ok(token),
            None => keychain::get_token(name)
                .map_err(|problem| TokenError::Keychain { name: name.to_owned(), problem }),
        }
    }

    /// Stores a token for one control plane, in place of one that has this name. Says where:
    /// whether it is in the system's keychain.
    ///
    /// # Errors
    ///
    /// The store or the keychain cannot be written.
    pub fn add_token(&self, name: &str, origin: &str, token: &Secret) -> Result<bool, TokenError> {
        let in_keychain = keychain::holds_tokens();
        if in_keychain {
            keychain::put_token(name, token)
                .map_err(|problem| TokenError::Keychain { name: name.to_owned(), problem })?;
        }
        let token = (!in_keychain).then(|| token.clone());
        let stored = StoredToken { origin: origin.to_owned(), token };
        self.change(|all| all.tokens.insert(name.to_owned(), stored))?;
        Ok(in_keychain)
    }

    /// Removes a token.
    ///
    /// # Errors
    ///
    /// There is none of this name, or the store or the keychain cannot be written.
    pub fn remove_token(&self, name: &str) -> Result<(), TokenError> {
        let removed = self.change(|all| all.tokens.remove(name))?;
        let removed = removed.ok_or_else(|| TokenError::Unknown { name: name.to_owned() })?;
        if removed.token.is_some() {
            return Ok(());
        }
        keychain::remove_token(name)
            .map_err(|problem| TokenError::Keychain { name: name.to_owned(), problem })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Vault;
    use super::TokenError;
    use russet_protocol::secret::Secret;

    #[test]
    fn a_token_is_given_for_its_own_origin_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::at(&dir.path().join("vault"));
        let token = Secret::new("hunter2");
        vault.add_token("mini", "https://ci.example.com", &token).unwrap();
        let read = vault.token("mini", "https://CI.example.com:443/").unwrap();
        assert_eq!(read.expose(), "hunter2");
        for other in
            ["https://evil.example.com", "http://ci.example.com", "https://ci.example.com:8"]
        {
            let error = vault.token("mini", other).unwrap_err();
            assert!(matches!(error, TokenError::OtherOrigin { .. }), "{other}");
            assert!(error.to_string().contains("hint: set `api.url` to https://ci.example.com"));
        }
        assert!(matches!(vault.token("other", "https://x"), Err(TokenError::Unknown { .. })));
        vault.remove_token("mini").unwrap();
        assert!(matches!(vault.remove_token("mini"), Err(TokenError::Unknown { .. })));
    }
}
