//! The lock file: which version a floating one stands for, and the hash of each source.

use russet_protocol::admin::OrbPin;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Version of the file's format.
const FORMAT: u32 = 1;

/// Versions and hashes of orbs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// The pins, by name and version.
    pub pins: Vec<OrbPin>,
}

/// Reason why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is not JSON of the right form.
    #[error("it is not a lock file: {0}")]
    Syntax(#[from] serde_json::Error),
    /// A newer version of Russet wrote it.
    #[error("it has the format {0}, and this version of Russet reads {FORMAT}")]
    Newer(u32),
}

#[derive(Deserialize, Serialize)]
struct Document {
    format: u32,
    #[serde(default)]
    orbs: Vec<OrbPin>,
}

impl Lock {
    /// Reads the text of a lock file.
    ///
    /// # Errors
    ///
    /// It is not one, or a newer one than is understood.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let Document { format, orbs } = serde_json::from_str(text)?;
        if format > FORMAT { Err(LockError::Newer(format)) } else { Ok(Self { pins: orbs }) }
    }

    /// Writes the text of the lock file: the same for the same pins.
    ///
    /// # Errors
    ///
    /// None that is known; JSON of texts can be written.
    pub fn to_text(&self) -> Result<String, LockError> {
        let mut orbs = self.pins.clone();
        orbs.iter_mut().for_each(|pin| pin.wanted.sort());
        orbs.sort();
        let mut text = serde_json::to_string_pretty(&Document { format: FORMAT, orbs })?;
        text.push('\n');
        Ok(text)
    }

    /// The pin of an exact version.
    #[must_use]
    pub fn pin(&self, name: &str, version: &str) -> Option<&OrbPin> {
        self.pins.iter().find(|pin| pin.name == name && pin.version == version)
    }

    /// The pin that a version, exact or floating, stands for.
    #[must_use]
    pub fn resolve(&self, name: &str, wanted: &str) -> Option<&OrbPin> {
        let fits = |pin: &&OrbPin| {
            pin.name == name && (pin.version == wanted || pin.wanted.iter().any(|w| w == wanted))
        };
        self.pins.iter().find(fits)
    }

    /// Pins what `wanted` stands for; what it stood for before is forgotten.
    pub fn set(&mut self, name: &str, wanted: &str, version: &str, source: &str) {
        for pin in self.pins.iter_mut().filter(|pin| pin.name == name) {
            pin.wanted.retain(|other| other != wanted);
        }
        let is_floating = wanted != version;
        let sha256 = hash(source);
        let known = self.pins.iter_mut().find(|pin| pin.name == name && pin.version == version);
        let pin = match known {
            Some(pin) => pin,
            None => {
                let (name, version) = (name.to_owned(), version.to_owned());
                let sha256 = sha256.clone();
                self.pins.push(OrbPin { name, version, wanted: vec![], sha256, registry: None });
                let Some(pin) = self.pins.last_mut() else { return };
                pin
            }
        };
        pin.sha256 = sha256;
        if is_floating {
            pin.wanted.push(wanted.to_owned());
        }
    }
}

/// SHA-256 of a source, in hexadecimal.
#[must_use]
pub fn hash(source: &str) -> String {
    Sha256::digest(source.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Lock, LockError, hash};

    #[test]
    fn a_floating_version_is_pinned_to_one_at_a_time() {
        let mut lock = Lock::default();
        lock.set("acme/tools", "1", "1.2.0", "one");
        lock.set("acme/tools", "1.2", "1.2.0", "one");
        lock.set("acme/tools", "1", "1.3.0", "two");
        lock.set("acme/tools", "1.3.0", "1.3.0", "two");
        assert_eq!(lock.resolve("acme/tools", "1").unwrap().version, "1.3.0");
        assert_eq!(lock.resolve("acme/tools", "1.2").unwrap().version, "1.2.0");
        assert_eq!(lock.resolve("acme/tools", "2"), None);
        assert_eq!(lock.pin("acme/tools", "1.3.0").unwrap().sha256, hash("two"));
        let text = lock.to_text().unwrap();
        assert_eq!(Lock::parse(&text).unwrap().to_text().unwrap(), text);
    }

    #[test]
    fn what_is_no_lock_file_or_a_newer_one_is_refused() {
        assert!(matches!(Lock::parse("{"), Err(LockError::Syntax(_))));
        assert!(matches!(Lock::parse(r#"{"format": 2}"#), Err(LockError::Newer(2))));
        assert_eq!(Lock::parse(r#"{"format": 1, "later": 1}"#).unwrap(), Lock::default());
    }

    #[test]
    fn a_hash_is_sha_256() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash("abc"), known);
    }
}
