//! The store's bytes: a header that says which version they are, a random nonce, and the document
//! under XChaCha20-Poly1305. The header is authenticated as well, so that a later version cannot
//! be passed off as this one.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// Length of a key, in bytes.
pub(super) const KEY_LENGTH: usize = 32;

/// First bytes of every store of this version.
const HEADER: &[u8] = b"russet vault 1\n";

const NONCE_LENGTH: usize = 24;

/// Reason why bytes are not a store that the key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// They are something else, or of a version that this code does not know.
    #[error("it is no store of this version of russet")]
    Unknown,
    /// Another key, or somebody changed them.
    #[error("it was changed, or was made with another key")]
    NotAuthentic,
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    NoRandom,
}

/// A key.
pub(super) type Bytes = Zeroizing<[u8; KEY_LENGTH]>;

/// A new key.
pub(super) fn new_key() -> Result<Bytes, SealError> {
    let mut key = Zeroizing::new([0; KEY_LENGTH]);
    getrandom::fill(key.as_mut()).map_err(|_| SealError::NoRandom)?;
    Ok(key)
}

/// Encrypts, with a nonce that is used once: 24 random bytes do not come twice.
pub(super) fn seal_bytes(key: &Bytes, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_LENGTH];
    getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandom)?;
    let payload = Payload { msg: plain, aad: HEADER };
    let sealed = cipher_of(key)
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|_| SealError::NotAuthentic)?;
    Ok([HEADER, nonce.as_slice(), sealed.as_slice()].concat())
}

/// Decrypts what [`seal_bytes`] made.
pub(super) fn open_bytes(key: &Bytes, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let rest = sealed.strip_prefix(HEADER).ok_or(SealError::Unknown)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(SealError::Unknown)?;
    let payload = Payload { msg: sealed, aad: HEADER };
    let plain = cipher_of(key).decrypt(&XNonce::from(*nonce), payload);
    plain.map(Zeroizing::new).map_err(|_| SealError::NotAuthentic)
}

fn cipher_of(key: &Bytes) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(**key))
}

#[cfg(test)]
mod tests {
    use super::{HEADER, SealError, new_key, open_bytes, seal_bytes};

    #[test]
    fn what_is_sealed_opens_with_its_key_alone() {
        let key = new_key().unwrap();
        let sealed = seal_bytes(&key, b"hunter2").unwrap();
        assert_eq!(open_bytes(&key, &sealed).unwrap().as_slice(), b"hunter2");
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_ne!(seal_bytes(&key, b"hunter2").unwrap(), sealed, "a nonce came twice");
        let other = new_key().unwrap();
        assert_eq!(open_bytes(&other, &sealed).unwrap_err(), SealError::NotAuthentic);
    }

    #[test]
    fn a_store_with_any_bit_changed_or_cut_off_does_not_open() {
        let key = new_key().unwrap();
        let sealed = seal_bytes(&key, b"hunter2").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open_bytes(&key, &changed).is_err(), "byte {at}");
            assert!(open_bytes(&key, &sealed[..at]).is_err(), "cut at {at}");
        }
        assert_eq!(open_bytes(&key, b"russet vault 2\n").unwrap_err(), SealError::Unknown);
        assert_eq!(open_bytes(&key, HEADER).unwrap_err(), SealError::Unknown);
    }
}
