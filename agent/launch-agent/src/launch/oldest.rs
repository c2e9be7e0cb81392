//! Choice of the entries to remove where only the newest of something are kept.

use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};

/// Of what is meant in a folder, all but the newest `kept`, by the time of their last change.
///
/// # Errors
/// The folder can not be read.
pub(super) fn oldest(
    folder: &Path,
    kept: usize,
    is_meant: impl Fn(&DirEntry) -> bool,
) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if is_meant(&entry) {
            all.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    all.sort_unstable();
    all.truncate(all.len().saturating_sub(kept));
    Ok(all.into_iter().map(|(_, path)| path).collect())
}
