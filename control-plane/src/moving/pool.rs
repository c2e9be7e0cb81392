//! Objects of all backups in a directory, each once, named by its BLAKE3.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::manifest::{Entry, OBJECT_LIST, backups, read_list};
use super::place::{private_dir, sync_dir};
use super::{MoveError, file_error};
use crate::objects::{ObjectError, Objects, unique_name};

/// Beginning of the name of what is not whole.
pub(super) const DRAFT: &str = ".draft-";

/// A directory of objects by content.
#[derive(Debug)]
pub(super) struct Pool {
    dir: PathBuf,
}

impl Pool {
    /// Opens the objects of a directory of backups.
    pub(super) fn open(backups: &Path) -> Result<Self, MoveError> {
        let dir = backups.join("objects");
        private_dir(&dir)?;
        Ok(Self { dir })
    }

    pub(super) fn path(&self, hash: &str) -> PathBuf {
        self.dir.join(hash.get(..2).unwrap_or("-")).join(hash)
    }

    /// Returns true if the object is there, in its length.
    pub(super) fn has(&self, hash: &str, size: u64) -> bool {
        std::fs::metadata(self.path(hash)).is_ok_and(|meta| meta.len() == size)
    }

    /// Copies an object from a store. `None`: it is not there, or not what `wanted` says.
    pub(super) async fn keep(
        &self,
        from: &Objects,
        name: &str,
        wanted: Option<&str>,
    ) -> Result<Option<Entry>, MoveError> {
        let failed = |error: ObjectError| MoveError::Object(name.to_owned(), Box::new(error));
        let mut body = match from.stream(name, 0).await {
            Err(error) if error.is_not_found() => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let draft = self.dir.join(format!("{DRAFT}{}", unique_name()));
        let wrong = || file_error("cannot write", &draft);
        let mut options = tokio::fs::OpenOptions::new();
        let mut file =
            options.create_new(true).write(true).mode(0o600).open(&draft).await.map_err(wrong())?;
        let (mut hasher, mut size) = (blake3::Hasher::new(), 0);
        while let Some(bytes) = body.try_next().await.map_err(|error| failed(error.into()))? {
            hasher.update(&bytes);
            size += bytes.len() as u64;
            file.write_all(&bytes).await.map_err(wrong())?;
        }
        file.sync_all().await.map_err(wrong())?;
        let hash = hasher.finalize().to_hex().to_string();
        if wanted.is_some_and(|wanted| wanted != hash) {
            std::fs::remove_file(&draft).map_err(wrong())?;
            return Ok(None);
        }
        let place = self.path(&hash);
        let dir = place.parent().unwrap_or(&self.dir);
        private_dir(dir)?;
        std::fs::rename(&draft, &place).map_err(wrong())?;
        sync_dir(dir)?;
        Ok(Some(Entry { name: name.to_owned(), size, blake3: hash }))
    }

    /// Deletes drafts, and what no backup names any more. Nobody else may be writing.
    pub(super) fn sweep(&self, all: &Path) -> Result<(), MoveError> {
        let mut named: HashSet<String> = HashSet::new();
        for backup in backups(all)? {
            let list = read_list(&backup.join(OBJECT_LIST))?;
            named.extend(list.into_iter().map(|entry| entry.blake3));
        }
        for path in files(&self.dir)? {
            if path.is_dir() {
                for object in files(&path)? {
                    let name = object.file_name().unwrap_or_default().to_string_lossy();
                    if !named.contains(&*name) {
                        std::fs::remove_file(&object)
                            .map_err(file_error("cannot remove", &object))?;
                    }
                }
            } else {
                std::fs::remove_file(&path).map_err(file_error("cannot remove", &path))?;
            }
        }
        Ok(())
    }
}

/// Returns what is in a directory.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>, MoveError> {
    let entries = std::fs::read_dir(dir).map_err(file_error("cannot list", dir))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<Result<_, _>>().map_err(file_error("cannot list", dir))
}
