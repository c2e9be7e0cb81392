//! The two bundles, the current one and the one before, and their exchange.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::layout::Layout;
use crate::state::State;
use crate::{exchange, files, trust};

/// Paths of the bundles.
#[derive(Debug)]
pub(crate) struct Bundles {
    current: PathBuf,
    previous: PathBuf,
    previous_executable: PathBuf,
}

impl Bundles {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            current: layout.bundle(),
            previous: layout.previous(),
            previous_executable: layout.previous_executable(),
        }
    }

    /// Identity of the current bundle, which an exchange does not change.
    pub(crate) fn identity(&self) -> String {
        identity(&self.current)
    }

    /// Puts the previous bundle in the place of the current one, in one step. That it does so is
    /// noted before, in the list of bad ones: killed in between, the next one does it.
    pub(crate) fn go_back(&self, state: &State) -> Result<(), String> {
        trust::check_program(&self.previous_executable, trust::ROOT)?;
        if state.is_bad(&identity(&self.previous)) {
            return Err(format!("{} is one that it went back from", self.previous.display()));
        }
        exchange_or_move(&self.previous, &self.current)
            .map_err(|error| format!("{}: {error}", self.current.display()))?;
        state.end_probation();
        Ok(())
    }
}

fn identity(path: &Path) -> String {
    std::fs::symlink_metadata(path).map_or_else(
        |_| "none".to_owned(),
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
