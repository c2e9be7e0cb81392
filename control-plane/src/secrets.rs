//! Values of variables, sealed before they are written: XChaCha20-Poly1305 under a key that lies
//! in the data directory, or elsewhere. Threat: a copy of the database (a backup, a disk that was
//! thrown away without the key) must not give the secrets of all projects away. Whoever runs as
//! the server has the key as well; nothing here keeps them out.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use russet_protocol::secret::Secret;
use zeroize::Zeroizing;

use crate::credentials::{NoRandomness, random_bytes};

/// Length of the key, in bytes.
pub(crate) const KEY_LENGTH: usize = 32;

const NONCE_LENGTH: usize = 24;

/// The key, which seals and opens.
#[derive(Clone)]
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    /// Key of stamps.
    stamps: Zeroizing<[u8; KEY_LENGTH]>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

/// Owner of a value. It is authenticated with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner<'a> {
    pub(crate) scope: Scope,
    /// Name of the project or context.
    pub(crate) owner: &'a str,
}

/// Owner of variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Project,
    Context,
    /// SSH keys of a project.
    SshKeys,
    /// A target of alerts.
    AlertTarget,
    /// Git remote of a project.
    GitRemote,
    /// A target of a project's notifications. Servers that know alerts alone cannot open it, so they
    /// cannot send alerts to it.
    NotifyTarget,
}

impl Scope {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Context => "context",
            Self::SshKeys => "ssh-keys",
            Self::AlertTarget => "alert-target",
            Self::GitRemote => "git-remote",
            Self::NotifyTarget => "notify-target",
        }
    }
}

/// A value was sealed with another key, for another variable, or was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the value of the variable `{0}` cannot be opened: it was sealed with another key, or changed"
)]
pub(crate) struct NotAuthentic(String);

impl Sealer {
    pub(crate) fn new(key: &Zeroizing<[u8; KEY_LENGTH]>) -> Self {
        let stamps = blake3::derive_key("russet control plane 2026-11 stamps", key.as_slice());
        Self { cipher: XChaCha20Poly1305::new(&Key::from(**key)), stamps: Zeroizing::new(stamps) }
    }

    /// Returns a stamp on some texts, which only servers with the same key can make, in hexadecimal.
    pub(crate) fn stamp(&self, purpose: &str, texts: &[&str]) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.stamps);
        for text in [purpose].iter().chain(texts) {
            // With its length, no text can take a part of another.
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Seals the value of a variable.
    pub(crate) fn seal(
        &self,
        owner: Owner<'_>,
        name: &str,
        value: &Secret,
    ) -> Result<Vec<u8>, NoRandomness> {
        let nonce: [u8; NONCE_LENGTH] = random_bytes()?;
        let aad = associated_data(owner, name);
        let payload = Payload { msg: value.expose().as_bytes(), aad: &aad };
        // It fails for messages of 256 GiB and more; values are bounded long before.
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens it again.
    pub(crate) fn open(
        &self,
        owner: Owner<'_>,
        name: &str,
        sealed: &[u8],
    ) -> Result<Secret, NotAuthentic> {
        let refused = || NotAuthentic(name.to_owned());
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LENGTH>().ok_or_else(refused)?;
        let aad = associated_data(owner, name);
        let payload = Payload { msg: sealed, aad: &aad };
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| refused())?;
        let plain = Zeroizing::new(plain);
        std::str::from_utf8(&plain).map(Secret::new).map_err(|_| refused())
    }
}

/// No part can be moved into another: none of them holds a NUL.
fn associated_data(owner: Owner<'_>, name: &str) -> Vec<u8> {
    [owner.scope.as_str(), owner.owner, name].join("\0").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_with_its_key_in_its_place_alone() {
        let sealer = Sealer::new(&Zeroizing::new([7; KEY_LENGTH]));
        let here = Owner { scope: Scope::Project, owner: "acme/app" };
        let sealed = sealer.seal(here, "TOKEN", &Secret::new("hunter2")).unwrap();
        assert_eq!(sealer.open(here, "TOKEN", &sealed).unwrap().expose(), "hunter2");
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        let there = Owner { scope: Scope::Context, ..here };
        assert!(sealer.open(there, "TOKEN", &sealed).is_err());
        assert!(sealer.open(here, "OTHER", &sealed).is_err());
        assert!(sealer.open(here, "TOKEN", &sealed[..20]).is_err());
        let other = Sealer::new(&Zeroizing::new([8; KEY_LENGTH]));
        assert!(other.open(here, "TOKEN", &sealed).is_err());
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(sealer.open(here, "TOKEN", &changed).is_err());
    }
}
