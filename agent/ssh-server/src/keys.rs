//! Keys: the host's own, made for the task, and those of the person who may log in.

use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};

/// Bits of the shortest RSA key that is taken.
const MIN_RSA_BITS: u32 = 3072;

/// Reason why a key is not used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The line is not a public key.
    #[error("a public key of the person is not a key of OpenSSH: {0}")]
    Unreadable(russh::keys::ssh_key::Error),
    /// Keys of this kind are too weak.
    #[error(
        "the key {fingerprint} is {kind}, which is too weak; use ed25519, ECDSA or RSA of {MIN_RSA_BITS} bits"
    )]
    Weak {
        /// Fingerprint of the key.
        fingerprint: String,
        /// Kind of it.
        kind: String,
    },
    /// There is no key.
    #[error("there is no public key that could log in")]
    None,
    /// No host key could be made.
    #[error("could not make a host key: {0}")]
    Host(russh::keys::ssh_key::Error),
}

/// Key of the host, which lives and dies with its task. Never written to disk.
#[derive(Clone)]
pub struct HostKey(pub(crate) PrivateKey);

impl std::fmt::Debug for HostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostKey({})", self.fingerprint())
    }
}

impl HostKey {
    /// Makes an ed25519 key.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut random = russh::keys::key::safe_rng();
        PrivateKey::random(&mut random, Algorithm::Ed25519).map(Self).map_err(KeyError::Host)
    }

    /// Returns the public key, as a line of OpenSSH without a comment.
    ///
    /// # Errors
    /// None that is known of; the encoding can fail in principle.
    pub fn public_line(&self) -> Result<String, KeyError> {
        let key = PublicKey::new(self.0.public_key().key_data().clone(), "");
        key.to_openssh().map(|line| line.trim_end().to_owned()).map_err(KeyError::Host)
    }

    /// Returns the fingerprint: `SHA256:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }
}

/// Public keys that may log in.
#[derive(Clone, Debug)]
pub struct PersonKeys(Vec<PublicKey>);

impl PersonKeys {
    /// Reads lines of OpenSSH.
    ///
    /// # Errors
    /// [`KeyError`] for a line that is no key, a key that is too weak, or no line at all: a task that
    /// nobody can log in to is not held.
    pub fn parse(lines: &[String]) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for line in lines {
            let key = PublicKey::from_openssh(line).map_err(KeyError::Unreadable)?;
            if let Some(kind) = weakness(&key) {
                let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
                return Err(KeyError::Weak { fingerprint, kind });
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeyError::None) } else { Ok(Self(keys)) }
    }

    /// Returns the fingerprint of the key if it may log in.
    pub(crate) fn find(&self, key: &PublicKey) -> Option<String> {
        let is_known = self.0.iter().any(|known| known.key_data() == key.key_data());
        is_known.then(|| key.fingerprint(HashAlg::Sha256).to_string())
    }
}

/// Names the kind of a key that is too weak.
fn weakness(key: &PublicKey) -> Option<String> {
    match key.algorithm() {
        Algorithm::Dsa => Some("DSA".to_owned()),
        Algorithm::Rsa { .. } => {
            let bits = key.key_data().rsa().map_or(0, |rsa| rsa.key_size());
            (bits < MIN_RSA_BITS).then(|| format!("RSA of {bits} bits"))
        }
        _ => None,
    }
}
