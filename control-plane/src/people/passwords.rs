//! Passwords: kept as hashes (argon2id, RFC 9106) that take memory and time to try.

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Argon2, password_hash};
use russet_protocol::secret::Secret;
use tokio::sync::Semaphore;

/// Shortest password, in characters.
pub(crate) const MIN_CHARS: usize = 10;

/// Longest password, in bytes.
pub(crate) const MAX_BYTES: usize = 1024;

/// Hashes that are made at the same time. Each takes 19 MiB and a processor for some time.
const MAX_HASHES: usize = 2;

static HASHES: Semaphore = Semaphore::const_new(MAX_HASHES);

/// A hash of a password that nobody has: trying an account that is not there takes as long as trying
/// one that is.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlz\
                      $OcHkEgYMFZvGlPlHIJ2s1ZCTyp5bPEJk2X1w8uTFJdM";

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("the password cannot be hashed: {0}")]
    Hash(password_hash::Error),
    #[error("the server stops")]
    Stopping,
}

/// Returns the reason why a password is refused when it is set.
pub(crate) fn refuse_password(password: &Secret) -> Option<String> {
    let text = password.expose();
    if text.chars().count() < MIN_CHARS {
        return Some(format!("a password has at least {MIN_CHARS} characters"));
    }
    (text.len() > MAX_BYTES).then(|| format!("a password has at most {MAX_BYTES} bytes"))
}

/// Returns the hash to store.
pub(crate) async fn hash_password(password: Secret) -> Result<String, PasswordError> {
    let _permit = HASHES.acquire().await.map_err(|_| PasswordError::Stopping)?;
    let hash = tokio::task::spawn_blocking(move || {
        Argon2::default().hash_password(password.expose().as_bytes()).map(|hash| hash.to_string())
    });
    hash.await.map_err(|_| PasswordError::Stopping)?.map_err(PasswordError::Hash)
}

/// Returns true for the password of a hash. Takes as long where there is none.
pub(crate) async fn matches_password(
    password: Secret,
    hash: Option<String>,
) -> Result<bool, PasswordError> {
    let _permit = HASHES.acquire().await.map_err(|_| PasswordError::Stopping)?;
    let matching = tokio::task::spawn_blocking(move || {
        let is_somebody = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
        let bytes = password.expose().as_bytes();
        Argon2::default().verify_password(bytes, hash.as_str()).is_ok() && is_somebody
    });
    matching.await.map_err(|_| PasswordError::Stopping)
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::phc::PasswordHash;
    use russet_protocol::secret::Secret;

    use super::{NOBODY, hash_password, matches_password, refuse_password};

    #[tokio::test]
    async fn a_password_matches_its_hash_and_no_other() {
        let hash = hash_password(Secret::new("correct horse battery")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let matches = async |text: &str, hash: Option<String>| {
            matches_password(Secret::new(text), hash).await.unwrap()
        };
        assert!(matches("correct horse battery", Some(hash.clone())).await);
        assert!(!matches("correct horse batterz", Some(hash)).await);
        assert!(!matches("correct horse battery", None).await);
        let nobody = PasswordHash::new(NOBODY).unwrap();
        assert_eq!(nobody.params.to_string(), "m=19456,t=2,p=1");
    }

    #[test]
    fn short_passwords_are_refused() {
        assert!(refuse_password(&Secret::new("123456789")).is_some());
        assert!(refuse_password(&Secret::new("1234567890")).is_none());
        assert!(refuse_password(&Secret::new("x".repeat(1025))).is_some());
    }
}
