//! Manifest of a backup: what it holds, with hashes.
//!
//! A directory of backups holds `objects/`, shared by all of them and named by content, and a directory
//! for each backup: `russet.db`, `objects.list`, `manifest.json`. One that is being made has a name that
//! begins with a dot and is renamed at its end, so half a backup is never taken for one.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{MoveError, Tables, file_error};
use crate::data_dir::write_private;

/// Format of backups that we write, and the newest that we read.
const FORMAT: u32 = 1;

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const DATABASE: &str = "russet.db";
pub(super) const OBJECT_LIST: &str = "objects.list";
pub(super) const SECRETS_KEY: &str = "secrets.key";
pub(super) const ADMIN_TOKEN: &str = "admin.token";

/// Manifest of a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// Version of russet that made it.
    pub(super) version: String,
    /// Number of the newest migration of its database.
    pub(super) schema: i64,
    /// Time of the end, RFC 3339.
    pub(super) created: String,
    /// The installation that it is of.
    pub(super) installation: String,
    /// Files of the backup, by name.
    pub(super) database: Summary,
    pub(super) object_list: Summary,
    pub(super) tables: Tables,
    pub(super) objects: u64,
    pub(super) object_bytes: u64,
    /// Objects that rows name and that were damaged or not there.
    #[serde(default)]
    pub(super) damaged: Vec<String>,
    /// Print of the key of values, which it is recognized by, where there is one.
    #[serde(default)]
    pub(super) secrets_key: Option<String>,
    /// The key and the token of the administrator lie beside this file.
    #[serde(default)]
    pub(super) has_keys: bool,
}

/// Length and BLAKE3 of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    pub(super) bytes: u64,
    pub(super) blake3: String,
}

/// An object of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) blake3: String,
}

impl Manifest {
    pub(super) const FORMAT: u32 = FORMAT;

    pub(super) fn read(backup: &Path) -> Result<Self, MoveError> {
        let path = backup.join(MANIFEST);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(MoveError::NoBackup(backup.to_owned()));
            }
            read => read.map_err(file_error("cannot read", &path))?,
        };
        let manifest: Self = serde_json::from_slice(&text)
            .map_err(|error| file_error("cannot read", &path)(error.into()))?;
        if manifest.format > FORMAT {
            return Err(MoveError::OtherFormat(backup.to_owned()));
        }
        Ok(manifest)
    }

    pub(super) fn write(&self, backup: &Path) -> Result<(), MoveError> {
        let path = backup.join(MANIFEST);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| file_error("cannot write", &path)(error.into()))?;
        write_private(&path, &text).map_err(file_error("cannot write", &path))
    }
}

/// Returns length and BLAKE3 of a file.
pub(super) fn summary(path: &Path) -> Result<Summary, MoveError> {
    let failed = || file_error("cannot read", path);
    let mut file = File::open(path).map_err(failed())?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer).map_err(failed())?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        hasher.update(part);
        bytes += part.len() as u64;
    }
    Ok(Summary { bytes, blake3: hasher.finalize().to_hex().to_string() })
}

/// Writes the list of objects: BLAKE3, length and name, one a line.
pub(super) fn write_list(path: &Path, entries: &[Entry]) -> Result<(), MoveError> {
    let mut text = Vec::new();
    for Entry { name, size, blake3 } in entries {
        // Writing to memory cannot fail.
        let _written = writeln!(text, "{blake3} {size} {name}");
    }
    write_private(path, &text).map_err(file_error("cannot write", path))
}

pub(super) fn read_list(path: &Path) -> Result<Vec<Entry>, MoveError> {
    let failed = || file_error("cannot read", path);
    let file = BufReader::new(File::open(path).map_err(failed())?);
    let mut entries = Vec::new();
    for line in file.lines() {
        let line = line.map_err(failed())?;
        let mut parts = line.splitn(3, ' ');
        let (hash, size, name) = (parts.next(), parts.next(), parts.next());
        let (Some(hash), Some(size), Some(name)) = (hash, size.and_then(|s| s.parse().ok()), name)
        else {
            return Err(MoveError::DamagedBackup(path.to_owned()));
        };
        entries.push(Entry { name: name.to_owned(), size, blake3: hash.to_owned() });
    }
    Ok(entries)
}

/// Returns the newest backup of a directory, with the time of its end.
pub(crate) fn newest_backup(dir: &Path) -> Result<Option<(PathBuf, String)>, MoveError> {
    let Some(newest) = backups(dir)?.pop() else { return Ok(None) };
    let created = Manifest::read(&newest)?.created;
    Ok(Some((newest, created)))
}

/// Returns the whole backups in a directory, oldest first.
pub(super) fn backups(dir: &Path) -> Result<Vec<PathBuf>, MoveError> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(file_error("cannot list", dir))?,
    };
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.map_err(file_error("cannot list", dir))?.path();
        let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden && path.join(MANIFEST).is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
