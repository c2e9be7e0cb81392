//! Check of an SSH key that is added: its fingerprints, and that steps can use it.

use md5::{Digest as _, Md5};
use russet_protocol::secret::Secret;
use ssh_key::{HashAlg, PrivateKey};

/// The longest key, in bytes. Those of 16384 bits take a fifth of it.
const LIMIT: usize = 64 * 1024;

/// Facts about a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) sha256: String,
    pub(crate) md5: String,
    pub(crate) kind: String,
}

/// Advice on how to make a key usable.
const CONVERT: &str = "`ssh-keygen -p -N '' -f FILE` writes the file anew, without a passphrase";

/// Reasons why steps could not use a key, with what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidKey {
    #[error("private_key: it is longer than {} kB", LIMIT / 1024)]
    TooLong,
    #[error("private_key: it is not a private key in OpenSSH's format; {CONVERT}")]
    OtherFormat,
    /// Names what is wrong in its structure, and nothing of its content.
    #[error("private_key: it cannot be read: {0}")]
    Structure(#[from] ssh_key::Error),
    #[error("private_key: it has a passphrase, which nobody could type; {CONVERT}")]
    Passphrase,
}

/// Reads a private key.
///
/// # Errors
///
/// Steps could not use it.
pub(crate) fn read(key: &Secret) -> Result<Read, InvalidKey> {
    let text = key.expose();
    if text.len() > LIMIT {
        return Err(InvalidKey::TooLong);
    }
    if !text.contains("-----BEGIN OPENSSH PRIVATE KEY-----") {
        return Err(InvalidKey::OtherFormat);
    }
    // The error says what is wrong in its structure, and nothing of its content.
    let key = PrivateKey::from_openssh(text.trim())?;
    if key.is_encrypted() {
        return Err(InvalidKey::Passphrase);
    }
    let public = key.public_key();
    let blob = public.to_bytes()?;
    let md5: Vec<String> = Md5::digest(&blob).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Read {
        sha256: public.fingerprint(HashAlg::Sha256).to_string(),
        md5: md5.join(":"),
        kind: public.algorithm().to_string(),
    })
}

/// Returns true if a text is a host, or a pattern of hosts, as a line of an SSH configuration takes
/// it: without anything that could end the line or begin another word.
pub(crate) fn is_host(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".-_:*?%[]".contains(c);
    !text.is_empty() && text.len() <= 255 && text.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::{is_host, read};
    use russet_protocol::secret::Secret;

    /// Made for this test with `ssh-keygen -t ed25519`; it opens nothing.
    const KEY: &str = include_str!("../tests/data/ssh_key");

    #[test]
    fn the_fingerprints_are_those_that_ssh_keygen_says() {
        let key = read(&Secret::new(KEY)).unwrap();
        assert_eq!(key.kind, "ssh-ed25519");
        assert_eq!(key.sha256, include_str!("../tests/data/ssh_key.sha256").trim());
        assert_eq!(key.md5, include_str!("../tests/data/ssh_key.md5").trim());
    }

    #[test]
    fn what_steps_could_not_use_is_refused_without_showing_it() {
        let pem = "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n";
        assert!(read(&Secret::new(pem)).unwrap_err().to_string().contains("ssh-keygen -p"));
        let locked = read(&Secret::new(include_str!("../tests/data/ssh_key_locked")));
        assert!(locked.unwrap_err().to_string().contains("passphrase"));
        let broken = KEY.replace("AAAA", "hunter2");
        assert!(!read(&Secret::new(broken)).unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn a_host_can_not_end_its_line() {
        for host in ["github.com", "*.example.com", "10.0.0.1", "[::1]"] {
            assert!(is_host(host), "{host}");
        }
        for bad in ["", "a b", "a\nProxyCommand x", "a\"", "a#", "!a,b"] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
