//! Tokens of resource classes, and credentials with their grants, that the owner keeps on this
//! machine for tasks. Root's alone, encrypted at rest.
//!
//! The threat that encryption answers is a copy of the store that leaves the machine without its
//! key: a backup, a synchronized folder, a file that is sent to somebody. The key lies beside it
//! (`vault/key`), readable by root alone, so it answers neither a copy of the whole disk nor
//! somebody who is root; FileVault answers the first and nothing the second.
//!
//! Nothing but a process with euid 0 opens it, whatever the configuration says that it was
//! given: a job that runs this very program with a configuration of its own gets nothing.

mod grant;
mod seal;
mod store;
mod tokens;

use std::collections::BTreeMap;

use russet_protocol::credential::Content;
use russet_protocol::secret::Secret;
use serde::{Deserialize, Serialize};

pub use grant::{Grant, Task, form_matches};
pub use store::{Vault, VaultError};
pub use tokens::TokenError;

/// The version of [`Document`] that this code writes.
const VERSION: u32 = 1;

/// Everything that is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Document {
    /// Version of this document.
    pub version: u32,
    /// Tokens of classes by their names here.
    #[serde(default)]
    pub tokens: BTreeMap<String, StoredToken>,
    /// Credentials by their names.
    #[serde(default)]
    pub credentials: BTreeMap<String, StoredCredential>,
}

impl Default for Document {
    fn default() -> Self {
        Self { version: VERSION, tokens: BTreeMap::new(), credentials: BTreeMap::new() }
    }
}

/// A token, and the one control plane that may see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredToken {
    /// The origin, as [`origin_of`] writes it.
    pub origin: String,
    /// The token. `None`: it is in the system's keychain, under its name.
    #[serde(default)]
    pub token: Option<Secret>,
}

/// A credential, and which tasks may have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredCredential {
    /// Contents.
    pub content: Content,
    /// Tasks that may have it.
    pub grant: Grant,
    /// Time at which it was stored, in seconds since 1970.
    #[serde(default)]
    pub stored: u64,
}

/// An address as an origin that can be compared: scheme, host in lower case, port where it is not
/// the scheme's own. `None`: it is no origin of a control plane.
#[must_use]
pub fn origin_of(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.path() == "/";
    let is_http = matches!(url.scheme(), "http" | "https");
    (is_http && plain && url.query().is_none() && url.fragment().is_none())
        .then(|| url.origin().ascii_serialization())
}

/// Returns true if the text can name a token or a credential: it becomes a part of file names and
/// of variables.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=64).contains(&text.len())
        && text.chars().all(allowed)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::{is_name, origin_of};

    #[test]
    fn an_origin_is_the_same_however_it_is_written() {
        let one = origin_of("https://CI.example.com:443/").unwrap();
        assert_eq!(one, "https://ci.example.com");
        assert_eq!(origin_of("https://ci.example.com"), Some(one));
        assert_ne!(origin_of("http://ci.example.com"), origin_of("https://ci.example.com"));
        assert_ne!(origin_of("https://ci.example.com:8443"), origin_of("https://ci.example.com"));
        for none in ["ci.example.com", "ftp://x", "https://u@x", "https://x/path", "https://x/?q"] {
            assert_eq!(origin_of(none), None, "{none}");
        }
    }

    #[test]
    fn names_are_fit_for_files_and_variables() {
        for good in ["a", "dist-2026", "App.Store_1"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "../a", "a/b", "a b", ".a", "ä", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
