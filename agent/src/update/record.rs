//! What this machine remembers of updates: how far manifests have counted, its place in rollouts,
//! what is installed, and what failed last.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::replace;

/// Name of the file in the state directory.
const NAME: &str = "update.json";

/// A longer file is none of ours.
const LONGEST: u64 = 64 * 1024;

/// The file. Fields are only added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) version: u32,
    /// The highest counter that was seen, by channel.
    #[serde(default)]
    pub(super) counters: BTreeMap<String, u64>,
    /// This machine's place in rollouts, from 0 to 999.
    #[serde(default)]
    pub(super) seed: Option<u16>,
    /// What was put in place last.
    #[serde(default)]
    pub(super) installed: Option<Installed>,
    /// What could not be put in place.
    #[serde(default)]
    pub(super) failed: Option<Failed>,
}

/// A version that was put in place, and the bundle that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Installed {
    pub(super) version: String,
    /// See `russet_protocol::boot_files::identity`.
    pub(super) bundle: String,
    /// In seconds since 1970.
    pub(super) at_s: u64,
}

/// A version that could not be put in place. It is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) version: String,
    pub(super) at_s: u64,
}

impl Record {
    pub(super) fn path(state: &Path) -> PathBuf {
        state.join(NAME)
    }

    /// What was written before; nothing where there is nothing.
    ///
    /// # Errors
    /// It can not be read. Then there is no update: a counter that is not known is no protection.
    pub(super) fn read(state: &Path) -> io::Result<Self> {
        use std::io::Read as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = std::fs::OpenOptions::new();
        match options.read(true).custom_flags(libc::O_NOFOLLOW).open(Self::path(state)) {
            Ok(file) => {
                let mut text = Vec::new();
                file.take(LONGEST).read_to_end(&mut text)?;
                Ok(serde_json::from_slice(&text)?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write(&self, state: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&Self { version: 1, ..self.clone() })?;
        replace::write(&Self::path(state), &text, 0o600)
    }

    /// The version of the bundle in place, where an update put it there.
    pub(super) fn version_of(&self, bundle: &str) -> Option<&str> {
        let installed = self.installed.as_ref().filter(|installed| installed.bundle == bundle)?;
        Some(&installed.version)
    }
}

#[cfg(test)]
mod tests {
    use super::{Installed, Record};

    #[test]
    fn it_is_read_as_it_was_written_and_half_a_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(dir.path()).unwrap(), Record::default());
        let installed =
            Installed { version: "1.2.0".to_owned(), bundle: "7.1.2".to_owned(), at_s: 9 };
        let mut record = Record { installed: Some(installed), ..Record::default() };
        record.counters.insert("stable".to_owned(), 7);
        record.write(dir.path()).unwrap();
        let read = Record::read(dir.path()).unwrap();
        assert_eq!((read.counters["stable"], read.version_of("7.1.2")), (7, Some("1.2.0")));
        assert_eq!(read.version_of("8.1.2"), None);
        std::fs::write(Record::path(dir.path()), "{\"version\":1,").unwrap();
        assert!(Record::read(dir.path()).is_err());
    }

    #[test]
    fn what_a_later_version_added_is_no_reason_to_fail() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(Record::path(dir.path()), r#"{"version":3,"counters":{"x":1},"moon":true}"#)
            .unwrap();
        assert_eq!(Record::read(dir.path()).unwrap().counters["x"], 1);
    }
}
