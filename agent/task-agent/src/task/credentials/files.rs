//! Files of credentials below the task's home.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use russet_protocol::secret::Secret;
use russet_protocol::supervise::SlotDirs;
use zeroize::Zeroizing;

use super::CredentialError;
use crate::path_error::PathError;

/// Directory of credentials that no tool looks for in a place of its own.
const DIRECTORY: &str = ".russet-credentials";

/// Directory in which `altool`, `notarytool` and others look for a key by its id.
const APP_STORE_CONNECT: &str = ".appstoreconnect/private_keys";

/// The task's home, with a directory for credentials.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) home: PathBuf,
}

impl Place {
    /// Makes the directory.
    pub(super) fn make(dirs: &SlotDirs) -> Result<Self, PathError> {
        let place = Self { home: dirs.home.clone() };
        place.directory(Path::new(DIRECTORY))?;
        Ok(place)
    }

    /// Makes a private directory below the home, with what is above it.
    pub(super) fn directory(&self, below: &Path) -> Result<PathBuf, PathError> {
        let path = self.home.join(below);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(PathError::when("make", &path))?;
        Ok(path)
    }

    /// Writes a file for which there is no usual place.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, PathError> {
        write(&self.home.join(DIRECTORY).join(name), bytes)
    }

    /// Writes a key of the App Store Connect API.
    pub(super) fn app_store_connect(&self, key_id: &str, key: &[u8]) -> Result<PathBuf, PathError> {
        let directory = self.directory(Path::new(APP_STORE_CONNECT))?;
        write(&directory.join(format!("AuthKey_{key_id}.p8")), key)
    }
}

/// Writes a new file that nobody else can read.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<PathBuf, PathError> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(PathError::when("write", path))?;
    Ok(path.to_owned())
}

/// The bytes of what is kept in base64.
pub(super) fn decode_base64(text: &Secret) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    base64::engine::general_purpose::STANDARD
        .decode(text.expose())
        .map(Zeroizing::new)
        .map_err(|_| CredentialError::Damaged)
}
