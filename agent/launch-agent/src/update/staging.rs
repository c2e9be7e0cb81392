//! The directory in which archives and bundles lie until they are put in place.

use std::io;
use std::path::Path;

use russet_protocol::manifest::Artifact;

/// Archives and staged bundles are root's: who could exchange one could run as root.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let meta = path.symlink_metadata()?;
            let is_ours = meta.is_dir()
                && meta.uid() == nix::unistd::geteuid().as_raw()
                && meta.mode() & 0o077 == 0;
            if is_ours { Ok(()) } else { Err(io::Error::other("it can be changed by others")) }
        }
        made => made,
    }
}

/// Removes what earlier versions left, but not what belongs to this one.
pub(super) fn sweep_staging(staging: &Path, artifact: &Artifact) {
    let Ok(entries) = std::fs::read_dir(staging) else { return };
    let ours = artifact.sha256.to_ascii_lowercase();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_ours = name.to_string_lossy().starts_with(ours.get(..16).unwrap_or(&ours));
        if is_ours {
            continue;
        }
        let path = entry.path();
        let is_file = entry.file_type().is_ok_and(|kind| !kind.is_dir());
        let removed = if is_file {
            russet_platform::replace::remove_file(&path)
        } else {
            crate::files::remove_tree(&path)
        };
        if let Err(error) = removed {
            tracing::warn!(path = %path.display(), %error, "could not remove");
        }
    }
}
