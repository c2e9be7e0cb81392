//! Halves of objects in a directory: what a kill leaves of a write.

use std::path::Path;

/// Deletes them. A write goes to `name#number` until it is whole, which the object store lists for
/// nobody.
pub(super) fn delete_drafts(dir: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            delete_drafts(&entry.path())?;
        } else if entry.file_name().to_string_lossy().contains('#') {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
