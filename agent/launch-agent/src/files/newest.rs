//! Finds the entries of a folder that go where only the newest are kept.

use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};

/// Returns the matching entries of a folder but for the newest `kept`, by modification time.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn all_but_newest(
    folder: &Path,
    kept: usize,
    matches: impl Fn(&DirEntry) -> bool,
) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if matches(&entry) {
            all.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    all.sort_unstable();
    all.truncate(all.len().saturating_sub(kept));
    Ok(all.into_iter().map(|(_, path)| path).collect())
}
