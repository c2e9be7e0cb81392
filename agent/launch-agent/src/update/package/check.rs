//! Checks of a package's files before root uses any of them.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::PackageError;
use super::arrival::Arrival;
use crate::update::unpack::check_version_output;
use russet_platform::layout::{BOOT_LABEL, Layout, MENUBAR_LABEL};
use russet_platform::{check_code_signature, check_signature_of};

/// Most files and directories that a package brings.
const MAX_ENTRIES: usize = 10_000;

/// Deepest directory of a package.
const MAX_DEPTH: usize = 24;

/// Checks everything that has arrived.
pub(super) fn check_arrival(arrival: &Arrival, layout: &Layout) -> Result<(), PackageError> {
    check_tree(&arrival.directory)?;
    let bundle = arrival.bundle(layout);
    if bundle.exists() {
        check_code_signature(&bundle)?;
        check_version_output(&arrival.executable(layout), &arrival.note.version)
            .map_err(|error| PackageError::Version(error.to_string()))?;
    }
    let boot = arrival.agent().join("russet-boot");
    if boot.exists() {
        check_signature_of(&boot, BOOT_LABEL)?;
    }
    let menubar = arrival.menubar(layout);
    if menubar.exists() {
        check_signature_of(&menubar, MENUBAR_LABEL)?;
    }
    Ok(())
}

/// Checks that everything below a directory is a plain file or directory that only root can
/// change. Nobody else can look into the directory itself, so nothing changes meanwhile.
pub(super) fn check_tree(directory: &Path) -> Result<(), PackageError> {
    let (mut waiting, mut entries) = (vec![(directory.to_owned(), 0)], 0);
    while let Some((path, depth)) = waiting.pop() {
        entries += 1;
        let fault = |fault| PackageError::Untrusted { path: path.clone(), fault };
        if entries > MAX_ENTRIES || depth > MAX_DEPTH {
            return Err(fault("it is more than a package brings"));
        }
        let meta = path.symlink_metadata().map_err(PackageError::file("look at", &path))?;
        if !meta.is_dir() && !meta.is_file() {
            return Err(fault("it is neither a file nor a directory"));
        }
        if meta.uid() != nix::unistd::geteuid().as_raw() {
            return Err(fault("it belongs to somebody other than root"));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(fault("others than root can write to it"));
        }
        if meta.is_dir() {
            let read = PackageError::file("read", &path);
            let below = std::fs::read_dir(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            waiting.extend(below.map_err(read)?.into_iter().map(|entry| (entry.path(), depth + 1)));
        }
    }
    Ok(())
}
