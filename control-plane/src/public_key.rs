//! Check of a person's public key that is added: it has to be one that a task's SSH server takes.
//!
//! Threat: a weak key is a way into a Mac for whoever breaks it, so those are refused by name. A private
//! key that somebody pastes by mistake is never kept, nor repeated in the answer.

use russet_text::one_line_within;
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};

/// The longest key, in bytes. One of 16384 bits takes half of it.
const MAX_BYTES: usize = 8 * 1024;

/// The fewest bits of an RSA key.
pub(crate) const MIN_RSA_BITS: usize = 3072;

/// The most characters of a comment that are kept as a name.
const MAX_NAME_CHARS: usize = 100;

/// A public key that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadKey {
    /// As a line of OpenSSH without a comment.
    pub(crate) line: String,
    /// `SHA256:…`
    pub(crate) fingerprint: String,
    /// Its comment.
    pub(crate) comment: String,
}

/// Reasons why a key is refused, with what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefusedKey {
    #[error("it is a private key, which nobody else may have; give the file that ends in .pub")]
    Private,
    #[error(
        "it is a certificate, which are not taken; give the key itself, the file that ends in .pub"
    )]
    Certificate,
    #[error(
        "it is not one public key of OpenSSH, such as a line that begins with `ssh-ed25519`; \
         `ssh-keygen -t ed25519` makes one"
    )]
    Form,
    #[error("it is a DSA key, which are too weak; `ssh-keygen -t ed25519` makes a better one")]
    Dsa,
    #[error(
        "it is an RSA key of {0} bits, and needs {MIN_RSA_BITS}; `ssh-keygen -t ed25519` makes a \
         better one"
    )]
    ShortRsa(usize),
    #[error("keys of the type `{0}` are not taken; `ssh-keygen -t ed25519` makes one that is")]
    Type(String),
}

/// Reads a public key.
///
/// # Errors
///
/// It is none, or not one that is taken.
pub(crate) fn read_public(text: &str) -> Result<ReadKey, RefusedKey> {
    let text = text.trim();
    if text.contains("PRIVATE KEY") {
        return Err(RefusedKey::Private);
    }
    if text.len() > MAX_BYTES || text.contains(['\n', '\r']) {
        return Err(RefusedKey::Form);
    }
    if text.split(' ').next().is_some_and(|kind| kind.ends_with("-cert-v01@openssh.com")) {
        return Err(RefusedKey::Certificate);
    }
    let key = PublicKey::from_openssh(text).map_err(|_| RefusedKey::Form)?;
    check_strength(key.key_data())?;
    let bare = PublicKey::new(key.key_data().clone(), "");
    Ok(ReadKey {
        line: bare.to_openssh().map_err(|_| RefusedKey::Form)?.trim().to_owned(),
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        comment: one_line_within(key.comment().trim(), MAX_NAME_CHARS),
    })
}

fn check_strength(key: &KeyData) -> Result<(), RefusedKey> {
    match key {
        KeyData::Ed25519(_)
        | KeyData::SkEd25519(_)
        | KeyData::Ecdsa(_)
        | KeyData::SkEcdsaSha2NistP256(_) => Ok(()),
        KeyData::Rsa(rsa) => {
            let bytes = rsa.n.as_positive_bytes().unwrap_or_default();
            let zeros = bytes.first().map_or(0, |first| first.leading_zeros() as usize);
            match bytes.len() * 8 - zeros {
                bits if bits < MIN_RSA_BITS => Err(RefusedKey::ShortRsa(bits)),
                _ => Ok(()),
            }
        }
        KeyData::Dsa(_) => Err(RefusedKey::Dsa),
        other => Err(RefusedKey::Type(other.algorithm().to_string())),
    }
}

/// Returns the fingerprint of a key that is kept; the text itself where it cannot be read.
pub(crate) fn fingerprint_of(line: &str) -> String {
    let key = PublicKey::from_openssh(line);
    key.map_or_else(|_| line.to_owned(), |key| key.fingerprint(HashAlg::Sha256).to_string())
}

/// Returns true for the public host key of a task, as a line without a comment.
pub(crate) fn is_host_key(line: &str) -> bool {
    line.len() <= MAX_BYTES
        && !line.contains(['\n', '\r'])
        && PublicKey::from_openssh(line).is_ok_and(|key| key.comment().is_empty())
}

#[cfg(test)]
mod tests {
    use super::{RefusedKey, fingerprint_of, read_public};

    /// Made by `ssh-keygen` of OpenSSH 9.2, which reads all of them; those of security keys and of DSA put
    /// together by their form (PROTOCOL.u2f, RFC 4253).
    const KEYS: &str = include_str!("../tests/data/public_keys");

    fn key(kind: &str) -> &'static str {
        KEYS.lines().find(|line| line.ends_with(kind)).unwrap()
    }

    #[test]
    fn keys_of_all_types_that_are_strong_enough_are_taken() {
        for kind in
            ["ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-3072", "sk-ed25519", "sk-ecdsa"]
        {
            let read = read_public(key(kind)).unwrap_or_else(|error| panic!("{kind}: {error}"));
            assert_eq!(read.comment, kind);
            assert!(key(kind).starts_with(&read.line), "{kind}");
            assert!(read.fingerprint.starts_with("SHA256:"), "{kind}");
            assert_eq!(fingerprint_of(&read.line), read.fingerprint);
        }
    }

    #[test]
    fn weak_keys_private_ones_and_certificates_are_refused_by_name() {
        let refused = |text: &str| read_public(text).unwrap_err();
        assert!(matches!(refused(key("rsa-2048")), RefusedKey::ShortRsa(2048)));
        assert!(matches!(refused(key("dsa-1024")), RefusedKey::Dsa));
        assert!(matches!(refused(key("cert")), RefusedKey::Certificate));
        let private = include_str!("../tests/data/ssh_key");
        assert!(matches!(refused(private), RefusedKey::Private));
        assert!(!refused(private).to_string().contains(private.lines().nth(1).unwrap()));
        let two = format!("{}\n{}", key("ed25519"), key("rsa-3072"));
        for text in ["", "ssh-ed25519", "hunter2", &two, &format!("from=\"*\" {}", key("ed25519"))]
        {
            assert!(matches!(refused(text), RefusedKey::Form), "{text}");
        }
    }
}
