//! Releases as the release tool makes them: an archive, and a signed manifest.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use russet_platform::layout::Layout;
use russet_protocol::manifest::{
    Artifact, Envelope, FILE_NAME, Manifest, Platform, Signature, key_id, signed_bytes,
};

use super::russet;

/// A time that is not over soon, in seconds since 1970.
pub const FAR: u64 = 4_000_000_000;

/// A key pair of a test.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// A new one.
    pub fn new() -> Self {
        let bytes = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self(Ed25519KeyPair::from_pkcs8(bytes.as_ref()).unwrap())
    }

    fn public(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    /// The public key as a file has it.
    pub fn public_text(&self) -> String {
        STANDARD.encode(self.public()) + "\n"
    }
}

/// A release.
#[derive(Clone)]
pub struct Release {
    /// Manifest, which is signed.
    pub manifest: Manifest,
    /// Archive beside it.
    pub archive: Vec<u8>,
}

impl Release {
    /// A good one of this archive, for machines like this one.
    pub fn new(version: &str, archive: Vec<u8>) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, &archive);
        let sha256 = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let artifact = Artifact {
            file: format!("russet-{version}.tar.gz"),
            size: archive.len() as u64,
            sha256,
            minimum_os: BTreeMap::new(),
        };
        let platform = Platform::of_this_program().unwrap().as_str().to_owned();
        let manifest = Manifest {
            schema: 1,
            channel: "stable".to_owned(),
            version: version.to_owned(),
            counter: 1,
            created_s: 1_790_000_000,
            expires_s: FAR,
            rollout: 1000,
            minimum_agent: None,
            linked_against_stubs: false,
            notes_url: None,
            artifacts: BTreeMap::from([(platform, artifact)]),
        };
        Self { manifest, archive }
    }

    /// Text of its `manifest.json`.
    pub fn envelope(&self, signer: &Signer) -> Vec<u8> {
        let payload = serde_json::to_string(&self.manifest).unwrap();
        let signature = signer.0.sign(&signed_bytes(&payload));
        let signature =
            Signature { key: key_id(&signer.public()), signature: STANDARD.encode(signature) };
        serde_json::to_vec(&Envelope { payload, signatures: vec![signature] }).unwrap()
    }

    /// Puts it into a directory, the manifest last.
    pub fn write(&self, directory: &Path, signer: &Signer) {
        std::fs::create_dir_all(directory).unwrap();
        let file = self.manifest.artifacts.values().next().map(|artifact| artifact.file.clone());
        std::fs::write(directory.join(file.unwrap()), &self.archive).unwrap();
        let draft = directory.join("draft");
        std::fs::write(&draft, self.envelope(signer)).unwrap();
        std::fs::rename(draft, directory.join(FILE_NAME)).unwrap();
    }
}

/// A program that says that it is this version, and does this otherwise; `$REAL` is the real one.
pub fn script(version: &str, does: &str) -> Vec<u8> {
    let real = russet().display();
    format!(
        "#!/bin/sh\n# version {version}\ncase \"$1\" in --version) echo russet {version}; exit;; esac\n\
         REAL={real}\n{does}\n"
    )
    .into_bytes()
}

/// An archive with this program as an agent's bundle.
pub fn archive(layout: &Layout, program: &[u8]) -> Vec<u8> {
    let (bundle, executable) = (layout.bundle(), layout.executable());
    let inside = executable.strip_prefix(bundle.parent().unwrap()).unwrap();
    archive_of(inside.to_str().unwrap(), program)
}

/// An archive with one file, under any name.
pub fn archive_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    // As an attacker writes it: the library refuses some names.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    builder.append(&header, content).unwrap();
    let mut encoder = builder.into_inner().unwrap();
    encoder.flush().unwrap();
    encoder.finish().unwrap()
}
