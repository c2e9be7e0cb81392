//! Keys of security keys: OpenSSH's client, and an agent that signs as such a key does.
//!
//! A security key signs the hash of what it is for, its flags and its counter, and the hash of the message
//! (OpenSSH's `PROTOCOL.u2f`); the agent is asked as in draft-ietf-sshm-ssh-agent.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use russet_ssh_server::{PersonKeys, Settings};
use russh::keys::EcdsaCurve;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_key::private::{EcdsaKeypair, Ed25519Keypair, KeypairData};
use russh::keys::ssh_key::sha2::{Digest as _, Sha256};

use super::support::{Serving, serve_with, succeed, text};

/// Name of what the key is for, as `ssh-keygen` sets it.
const APPLICATION: &str = "ssh:";

/// Flag of a signature that somebody has touched the key for.
const TOUCHED: u8 = 1;

/// A security key, and how it lies.
struct SecurityKey {
    pair: KeypairData,
    /// Application that is signed.
    signed_for: &'static str,
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

impl SecurityKey {
    fn of_ed25519(signed_for: &'static str) -> Self {
        let pair = Ed25519Keypair::random(&mut russh::keys::key::safe_rng());
        Self { pair: pair.into(), signed_for }
    }

    fn of_ecdsa(signed_for: &'static str) -> Self {
        let random = &mut russh::keys::key::safe_rng();
        let pair = EcdsaKeypair::random(random, EcdsaCurve::NistP256).unwrap();
        Self { pair: pair.into(), signed_for }
    }

    fn kind(&self) -> &'static str {
        match self.pair {
            KeypairData::Ed25519(_) => "sk-ssh-ed25519@openssh.com",
            _ => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    fn public_blob(&self) -> Vec<u8> {
        let mut parts = vec![self.kind().as_bytes()];
        match &self.pair {
            KeypairData::Ed25519(pair) => parts.push(pair.public.as_ref()),
            KeypairData::Ecdsa(pair) => parts.extend([&b"nistp256"[..], pair.public_key_bytes()]),
            other => panic!("no security key has {other:?}"),
        }
        parts.push(APPLICATION.as_bytes());
        parts.into_iter().flat_map(string).collect()
    }

    fn public_line(&self) -> String {
        let key = russh::keys::PublicKey::from_bytes(&self.public_blob()).unwrap();
        key.to_openssh().unwrap()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let last = [&[TOUCHED][..], &7_u32.to_be_bytes()].concat();
        let application = Sha256::digest(self.signed_for.as_bytes());
        let message = Sha256::digest(message);
        let signed = [&application[..], &last, &message[..]].concat();
        let signature = self.pair.try_sign(&signed).unwrap();
        [string(self.kind().as_bytes()), string(signature.as_bytes()), last].concat()
    }

    /// Answers one request of an agent's client.
    fn answer(&self, request: &[u8]) -> Vec<u8> {
        match request[0] {
            11 => [&[12, 0, 0, 0, 1][..], &string(&self.public_blob()), &string(b"key")].concat(),
            13 => {
                let of_key = 5 + self.public_blob().len();
                let length = u32::from_be_bytes(request[of_key..of_key + 4].try_into().unwrap());
                let message = &request[of_key + 4..][..usize::try_from(length).unwrap()];
                [&[14][..], &string(&self.sign(message))].concat()
            }
            _ => vec![5],
        }
    }

    fn talk(&self, mut client: UnixStream) {
        let mut length = [0; 4];
        while client.read_exact(&mut length).is_ok() {
            let mut request = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
            client.read_exact(&mut request).unwrap();
            client.write_all(&string(&self.answer(&request))).unwrap();
        }
    }
}

/// Logs in with a key that an agent has.
fn log_in(serving: &Serving, key: SecurityKey, directory: &Path) -> Output {
    let (socket, file) = (directory.join("agent"), directory.join("security"));
    std::fs::write(file.with_extension("pub"), key.public_line()).unwrap();
    let (listener, key) = (UnixListener::bind(&socket).unwrap(), Arc::new(key));
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let key = Arc::clone(&key);
            std::thread::spawn(move || key.talk(client));
        }
    });
    let ssh = serving.client("ssh", "security");
    let words = ssh.get_args().map(|word| {
        if word == "IdentityAgent=none" {
            format!("IdentityAgent={}", socket.display()).into()
        } else {
            word.to_owned()
        }
    });
    let mut command = Command::new("timeout");
    command.args(words).args(["127.0.0.1", "echo $JOB"]).output().unwrap()
}

fn serve_for(key: &SecurityKey) -> Serving {
    let keys = PersonKeys::parse(&[key.public_line()]).unwrap();
    serve_with(&[("key", &["ed25519"])], |settings| Settings { keys, ..settings })
}

/// Asserts that keys of a kind log in by what they sign.
fn check_keys(make: fn(&'static str) -> SecurityKey) {
    let key = make(APPLICATION);
    let serving = serve_for(&key);
    let directory = serving.dir.path().to_owned();
    assert_eq!(succeed(&log_in(&serving, key, &directory)), "build\n");

    // One that signs for another application, as a web site could have it do.
    let key = make("https://example.com");
    let serving = serve_for(&key);
    let directory = serving.dir.path().to_owned();
    let output = log_in(&serving, key, &directory);
    assert!(text(&output.stderr).contains("Permission denied"), "{}", text(&output.stderr));
    assert!(serving.host.began.lock().unwrap().is_empty());
}

#[test]
fn a_security_key_of_ed25519_logs_in_by_what_it_signs_and_by_nothing_else() {
    check_keys(SecurityKey::of_ed25519);
}

#[test]
fn a_security_key_of_ecdsa_logs_in_by_what_it_signs_and_by_nothing_else() {
    check_keys(SecurityKey::of_ecdsa);
}
