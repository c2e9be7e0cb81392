//! Replacing files: whole or not at all, also when the machine loses power.
//!
//! The directory has to be one that only its owner can change; a link in the place of the draft is
//! not followed all the same.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Returns the path at which a file is written before it takes its place. Always the same, so that
/// the draft of a killed run left is found.
pub fn draft_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.russet-new"))
}

/// Writes a file whole or not at all, and survives a loss of power.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace_file(path, mode, |file| file.write_all(bytes))
}

/// Writes a file whole or not at all, as far as other processes can see. After a loss of power it
/// may be any of its versions, or empty.
pub fn write_unsynced(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    fill_draft(path, mode, |file| file.write_all(bytes))?;
    std::fs::rename(draft_path(path), path)
}

/// Copies a file, whole or not at all.
pub fn copy_file(from: &Path, path: &Path, mode: u32) -> io::Result<()> {
    let mut from = File::open(from)?;
    replace_file(path, mode, |file| io::copy(&mut from, file).map(|_| ()))
}

fn replace_file(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    fill_draft(path, mode, fill)?.sync_all()?;
    std::fs::rename(draft_path(path), path)?;
    sync_directory(path.parent().unwrap_or(Path::new("/")))
}

fn fill_draft(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    let draft = draft_path(path);
    remove_file(&draft)?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .custom_flags(libc::O_NOFOLLOW)
        // A secret is never readable by others, not even for a moment.
        .mode(0o600)
        .open(&draft)?;
    fill(&mut file)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    Ok(file)
}

/// Makes what happened to names in a directory survive a loss of power.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a file; one that is not there is removed.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
