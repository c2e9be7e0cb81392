//! Comparing files of root's.

use std::io;
use std::path::Path;

/// Returns true if two files hold the same.
#[expect(
    clippy::disallowed_methods,
    reason = "both files lie below directories that only root can change, or are the caller's own program"
)]
pub(crate) fn have_same_content(a: &Path, b: &Path) -> io::Result<bool> {
    let length = |path: &Path| std::fs::metadata(path).map(|meta| meta.len());
    if length(a)? != length(b)? {
        return Ok(false);
    }
    let hash = |path: &Path| -> io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(std::fs::File::open(path)?)?;
        Ok(hasher.finalize())
    };
    Ok(hash(a)? == hash(b)?)
}
