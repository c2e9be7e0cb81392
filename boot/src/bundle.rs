//! The two bundles, the current one and the one before, and their exchange.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::BootError;
use crate::layout::Layout;
use crate::memory::{NO_BUNDLE, Places};
use crate::{exchange, files, trust};

/// Paths of the bundles.
#[derive(Debug)]
pub(crate) struct Bundles {
    code: PathBuf,
    current: PathBuf,
    executable: PathBuf,
    previous: PathBuf,
    previous_executable: PathBuf,
}

impl Bundles {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            code: layout.code(),
            current: layout.bundle(),
            executable: layout.executable(),
            previous: layout.previous(),
            previous_executable: layout.previous_executable(),
        }
    }

    /// Returns the bundles that stand in the two places now, and which of them could be started.
    pub(crate) fn places(&self) -> Places {
        let is_trusted = |path| trust::check_program(path, trust::ROOT).is_ok();
        Places {
            current: identity(&self.current),
            previous: identity(&self.previous),
            is_current_trusted: is_trusted(&self.executable),
            is_previous_trusted: is_trusted(&self.previous_executable),
        }
    }

    /// Checks that the previous version could be started.
    pub(crate) fn check_previous(&self) -> Result<(), BootError> {
        Ok(trust::check_program(&self.previous_executable, trust::ROOT)?)
    }

    /// Puts the previous bundle in the place of the current one, in one step that has reached the
    /// disk when this returns: what is noted elsewhere, perhaps on another disk, may be forgotten
    /// then and not sooner.
    pub(crate) fn exchange(&self) -> Result<(), BootError> {
        self.check_previous()?;
        exchange_or_move(&self.previous, &self.current)
            .map_err(BootError::at(BootError::Exchange, &self.current))?;
        let synced = File::open(&self.code).and_then(|directory| directory.sync_all());
        synced.map_err(BootError::at(BootError::Sync, &self.code))
    }
}

/// Returns the identity of a bundle, which an exchange does not change.
fn identity(path: &Path) -> String {
    std::fs::symlink_metadata(path).map_or_else(
        |_| NO_BUNDLE.to_owned(),
        |meta| files::identity(meta.ino(), meta.mtime(), meta.mtime_nsec()),
    )
}

/// Exchanges two directories. Where the second is missing, the first becomes it.
fn exchange_or_move(from: &Path, to: &Path) -> io::Result<()> {
    if std::fs::symlink_metadata(to).is_err() {
        return std::fs::rename(from, to);
    }
    exchange::exchange_paths(from, to)
}

#[cfg(test)]
mod tests {
    use super::{exchange_or_move, identity};

    #[test]
    fn an_exchange_keeps_identities_with_their_bundles() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        std::fs::create_dir(&old).unwrap();
        std::fs::create_dir(&new).unwrap();
        std::fs::write(old.join("which"), "old").unwrap();
        let (of_old, of_new) = (identity(&old), identity(&new));
        exchange_or_move(&old, &new).unwrap();
        assert_eq!((identity(&old), identity(&new)), (of_new.clone(), of_old.clone()));
        assert_eq!(std::fs::read_to_string(new.join("which")).unwrap(), "old");
        std::fs::remove_dir_all(&new).unwrap();
        exchange_or_move(&old, &new).unwrap();
        assert_eq!((identity(&old), identity(&new)), ("none".to_owned(), of_new));
        assert!(exchange_or_move(&old, &new).is_err());
    }
}
