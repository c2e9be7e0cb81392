//! The update manifest: what a release consists of, and who says so.
//!
//! A release is a directory with `manifest.json` and the archives that it names. The file is an
//! [`Envelope`]: the manifest as a text, and signatures over exactly the bytes of that text. So
//! nothing has to be written the same way twice to be verified, and nothing of it is believed
//! before a signature was. Signing and verifying are the business of those who hold keys; here are
//! the forms.
//!
//! An archive is a tar compressed with gzip, which `self_update` extracts. Its one top-level entry
//! is the agent's bundle under the name that it has on the machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of the form of [`Manifest`]. An agent refuses a newer one; fields are only added.
pub const SCHEMA: u32 = 1;

/// The name of the file.
pub const FILE_NAME: &str = "manifest.json";

/// The most that an envelope may have, in bytes: it is read whole before it is verified.
pub const LARGEST: u64 = 256 * 1024;

/// The channel that machines follow unless their owner says otherwise. What was linked against
/// stand-ins for Apple's libraries is refused on it.
pub const STABLE: &str = "stable";

/// [`Manifest::rollout`] of a release that is for all machines.
pub const EVERYBODY: u16 = 1000;

/// The longest version and the longest name of a channel, in bytes. `russet-boot` keeps versions by
/// their text, so a longer one would be known under two names.
pub const MAX_WORD_BYTES: usize = 64;

/// A manifest and the signatures over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The text of a [`Manifest`] as JSON. The signatures are over its bytes in UTF-8.
    pub payload: String,
    /// At least one has to be of a key that the reader trusts; there are several while a key is
    /// exchanged for another one.
    pub signatures: Vec<Signature>,
}

/// A signature and the key that it is said to be of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The key's name: [`key_id`] of it. A name helps to find a key, and proves nothing.
    pub key: String,
    /// Ed25519 over [`signed_bytes`], 64 bytes in standard base64.
    pub signature: String,
}

/// Bytes that are signed for a payload: a word that keeps a signature from being taken for one of
/// something else that the same key signs, then the payload.
#[must_use]
pub fn signed_bytes(payload: &str) -> Vec<u8> {
    [b"russet update manifest 1\n", payload.as_bytes()].concat()
}

/// The name of a public key: its first eight bytes in hexadecimal.
#[must_use]
pub fn key_id(public: &[u8; 32]) -> String {
    public.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`] of whoever wrote it.
    pub schema: u32,
    /// The channel that it is for, [`STABLE`] or another word.
    pub channel: String,
    /// Its version, as semantic versioning writes them.
    pub version: String,
    /// Rises with every manifest of a channel. A machine takes none that is below the highest it
    /// has seen, so an old manifest, whose signature is still good, brings no old version back.
    pub counter: u64,
    /// Time of signing, in seconds since 1970.
    pub created_s: u64,
    /// Until when it may be used, in seconds since 1970: who holds back newer ones gains little.
    pub expires_s: u64,
    /// For how many machines of a thousand it is, chosen by a seed that each machine keeps.
    #[serde(default = "everybody")]
    pub rollout: u16,
    /// The oldest agent that may be exchanged for this one. None: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_agent: Option<String>,
    /// Linked on another system against stand-ins for Apple's libraries: for testing.
    #[serde(default)]
    pub linked_against_stubs: bool,
    /// URL of the release notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes_url: Option<String>,
    /// By [`Platform`]: what is fetched. Names that a reader does not know are skipped.
    pub artifacts: BTreeMap<String, Artifact>,
}

/// Archive that a platform fetches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The archive's name, beside the manifest. A name and no path: [`is_name`].
    pub file: String,
    /// Its size in bytes: no more is ever fetched.
    pub size: u64,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
    /// The oldest system, by architecture as the system names it (`arm64`, `x86_64`), as in
    /// `10.15`. An architecture that is not named has no such bound.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub minimum_os: BTreeMap<String, String>,
}

/// Platforms of archives, by the names in [`Manifest::artifacts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Both architectures of macOS in one binary.
    MacosUniversal,
    /// Linux on x86-64.
    LinuxX86_64,
    /// Linux on arm64.
    LinuxAarch64,
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::MacosUniversal, Self::LinuxX86_64, Self::LinuxAarch64];

    /// The one that this program was built for; none where there are no releases.
    #[must_use]
    pub fn of_this_program() -> Option<Self> {
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("macos", _) => Some(Self::MacosUniversal),
            ("linux", "x86_64") => Some(Self::LinuxX86_64),
            ("linux", "aarch64") => Some(Self::LinuxAarch64),
            _ => None,
        }
    }

    /// Its name in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MacosUniversal => "macos-universal",
            Self::LinuxX86_64 => "linux-x86_64",
            Self::LinuxAarch64 => "linux-aarch64",
        }
    }
}

impl Manifest {
    /// Returns the archive that a platform fetches.
    #[must_use]
    pub fn artifact(&self, platform: Platform) -> Option<&Artifact> {
        self.artifacts.get(platform.as_str())
    }

    /// Returns the field that is no word, or too long a one, to be kept and shown.
    #[must_use]
    pub fn unfit_field(&self) -> Option<&'static str> {
        let versions = [Some(&self.version), self.minimum_agent.as_ref()];
        if !versions.into_iter().flatten().all(|version| is_word(version)) {
            return Some("version");
        }
        if !is_word(&self.channel) {
            return Some("channel");
        }
        let systems = self.artifacts.values().flat_map(|artifact| artifact.minimum_os.values());
        (!systems.into_iter().all(|system| is_word(system))).then_some("minimum_os")
    }
}

fn is_word(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_+".contains(c);
    !text.is_empty() && text.len() <= MAX_WORD_BYTES && text.chars().all(fits)
}

/// Returns true if a text is the name of a file and nothing else. Threat: a signed manifest is
/// trusted, but whoever made it may have erred, and a path could lead out of a directory.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_+".contains(c);
    !text.is_empty() && text.len() <= 128 && !text.starts_with('.') && text.chars().all(fits)
}

fn everybody() -> u16 {
    EVERYBODY
}

#[cfg(test)]
mod tests {
    use super::{Envelope, Manifest, Platform, is_name, key_id, signed_bytes};

    /// Manifest of the first version. It parses forever.
    const FIRST: &str = r#"{"schema":1,"channel":"stable","version":"1.2.0","counter":7,
        "created_s":1790000000,"expires_s":1797776000,"artifacts":{"macos-universal":
        {"file":"russet-1.2.0-macos-universal.tar.gz","size":12345678,
         "sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "minimum_os":{"arm64":"11.0","x86_64":"10.15"}},"plan9-mips":{"file":"x","size":1,"sha256":""}}}"#;

    #[test]
    fn the_first_form_parses_and_what_is_not_said_is_the_usual() {
        let manifest: Manifest = serde_json::from_str(FIRST).unwrap();
        assert_eq!(manifest.rollout, 1000);
        assert!(!manifest.linked_against_stubs && manifest.minimum_agent.is_none());
        let artifact = manifest.artifact(Platform::MacosUniversal).unwrap();
        assert_eq!(artifact.minimum_os["x86_64"], "10.15");
        assert!(manifest.artifact(Platform::LinuxAarch64).is_none());
        let envelope = Envelope { payload: FIRST.to_owned(), signatures: Vec::new() };
        let text = serde_json::to_string(&envelope).unwrap();
        assert_eq!(serde_json::from_str::<Envelope>(&text).unwrap(), envelope);
    }

    #[test]
    fn versions_and_channels_are_short_words() {
        let manifest: Manifest = serde_json::from_str(FIRST).unwrap();
        assert_eq!(manifest.unfit_field(), None);
        let long = Manifest { version: format!("1.2.0-{}", "a".repeat(236)), ..manifest.clone() };
        assert_eq!(long.unfit_field(), Some("version"));
        for channel in ["", "a b", "stable\n", &"x".repeat(70_000)] {
            let manifest = Manifest { channel: channel.to_owned(), ..manifest.clone() };
            assert_eq!(manifest.unfit_field(), Some("channel"), "{}", channel.len());
        }
        let mut system = manifest;
        let artifact = system.artifacts.get_mut("macos-universal").unwrap();
        artifact.minimum_os.insert("arm64".to_owned(), "1".repeat(65));
        assert_eq!(system.unfit_field(), Some("minimum_os"));
    }

    #[test]
    fn what_is_signed_is_the_text_itself() {
        assert_eq!(signed_bytes("{}"), b"russet update manifest 1\n{}");
        assert_eq!(key_id(&[0xab; 32]), "abababababababab");
    }

    #[test]
    fn a_name_is_no_path() {
        assert!(is_name("russet-1.2.0+b1_linux.tar.gz"));
        for bad in ["", ".", "..", "../a", "a/b", "/a", ".hidden", "a\0", "a b", "ü"] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
