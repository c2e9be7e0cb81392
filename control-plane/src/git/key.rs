//! Deploy keys that are made here, and keys of hosts for people to compare.

use getrandom::fill;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use russet_protocol::secret::Secret;
use ssh_key::known_hosts::KnownHosts;
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::Ed25519PublicKey;
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use zeroize::Zeroizing;

/// A key pair of ssh, of which the repository's host gets the public part.
#[derive(Debug)]
pub(crate) struct DeployKey {
    /// In OpenSSH's format.
    pub(crate) private: Secret,
    /// As a line of `authorized_keys`.
    pub(crate) public: String,
}

/// A deploy key was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeployKeyError {
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
    #[error("the key was refused by its own library")]
    Rejected,
    #[error("the key cannot be written")]
    Format(#[from] ssh_key::Error),
}

/// Makes an Ed25519 key with a comment.
pub(crate) fn make_deploy_key(comment: &str) -> Result<DeployKey, DeployKeyError> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    fill(&mut *seed).map_err(DeployKeyError::Random)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| DeployKeyError::Rejected)?;
    let public: [u8; 32] =
        pair.public_key().as_ref().try_into().map_err(|_| DeployKeyError::Rejected)?;
    let pair = Ed25519Keypair {
        public: Ed25519PublicKey(public),
        private: Ed25519PrivateKey::from_bytes(&seed),
    };
    let key = PrivateKey::new(KeypairData::Ed25519(pair), comment)?;
    let private = key.to_openssh(LineEnding::LF)?;
    Ok(DeployKey { private: Secret::new(private.as_str()), public: key.public_key().to_openssh()? })
}

/// Returns the fingerprints of the keys in a file of known hosts, as `HOST ALGORITHM SHA256:…`.
pub(crate) fn show_host_keys(known_hosts: &str) -> Vec<String> {
    let keys = KnownHosts::new(known_hosts).filter_map(Result::ok);
    let show = |entry: ssh_key::known_hosts::Entry| {
        let key = entry.public_key();
        let host = known_host(known_hosts, key);
        format!("{host} {} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
    };
    keys.map(show).collect()
}

/// Returns the host that a key is of.
fn known_host(known_hosts: &str, key: &ssh_key::PublicKey) -> String {
    let text = key.to_openssh().unwrap_or_default();
    let line = known_hosts.lines().find(|line| !text.is_empty() && line.contains(text.trim()));
    line.and_then(|line| line.split(' ').next()).unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::{make_deploy_key, show_host_keys};

    #[test]
    fn a_made_key_is_one_that_openssh_reads_and_its_public_part_is_its_own() {
        let key = make_deploy_key("russet acme/app").unwrap();
        let read = ssh_key::PrivateKey::from_openssh(key.private.expose()).unwrap();
        assert_eq!(read.public_key().to_openssh().unwrap(), key.public);
        assert!(key.public.starts_with("ssh-ed25519 ") && key.public.ends_with("russet acme/app"));
        assert_ne!(make_deploy_key("x").unwrap().public, make_deploy_key("x").unwrap().public);
        let known = format!("git.example {}\n", key.public.rsplit_once(" russet").unwrap().0);
        let shown = show_host_keys(&known);
        assert!(shown[0].starts_with("git.example ssh-ed25519 SHA256:"), "{shown:?}");
    }
}
