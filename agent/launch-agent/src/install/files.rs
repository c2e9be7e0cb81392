//! Files and directories of an installation, made and removed by root.
//!
//! Everything here lies below directories that nobody but root can change, which [`check_trusted`]
//! checks before anything is written, so plain paths are safe. The exception is what is in the
//! slots: [`remove_tree`] deletes nothing in a directory that is not root's.

use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::fcntl::AT_FDCWD;
use nix::unistd::{Gid, Uid, fchown};

use super::error::InstallError;
use crate::files::open_directory;
pub(super) use crate::files::{have_same_content, remove_tree, remove_tree_but, remove_tree_of};
pub(super) use russet_platform::replace::{
    copy_file, draft_path, remove_file, sync_directory, write,
};
use russet_platform::trust::{TrustError, check_entry};

/// Checks that nobody but root could exchange what lies at `path`: every directory above it that
/// exists has to be root's and closed to others, by mode and access list, or sticky.
pub(super) fn check_trusted(path: &Path) -> Result<(), InstallError> {
    // Links on the way that root made (`/var` on macOS) are followed once, here.
    let existing = path.ancestors().skip(1).find(|path| path.exists()).unwrap_or(Path::new("/"));
    let real = std::fs::canonicalize(existing).map_err(InstallError::file("look at", existing))?;
    for directory in real.ancestors() {
        let fault = match check_entry(directory, &[0]) {
            Ok(()) => continue,
            Err(TrustError::Owner { owner, .. }) => format!("belongs to user {owner}"),
            Err(TrustError::AccessList { who, .. }) => {
                format!("can be written to by others than root: its access list lets {who}")
            }
            Err(TrustError::Unreadable { error, .. }) => {
                return Err(InstallError::file("look at", directory)(error));
            }
            Err(_) => "can be written to by others than root".to_owned(),
        };
        return Err(InstallError::Untrusted { path: directory.to_owned(), what: fault });
    }
    Ok(())
}

/// Makes a directory of root's with this mode, or gives one that is there the mode. A link in its
/// place is refused.
pub(super) fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let directory = open_directory(AT_FDCWD, path)?;
    fchown(&directory, Some(Uid::from_raw(0)), None)?;
    // The umask may have taken bits away.
    std::fs::File::from(directory).set_permissions(std::fs::Permissions::from_mode(mode))
}

/// Makes a directory of a service's user with this mode, or takes one that is there. A link in its
/// place is refused.
pub(super) fn make_directory_of(path: &Path, mode: u32, (uid, gid): (u32, u32)) -> io::Result<()> {
    make_directory(path, 0o700)?;
    let directory = open_directory(AT_FDCWD, path)?;
    fchown(&directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    std::fs::File::from(directory).set_permissions(std::fs::Permissions::from_mode(mode))
}

/// Reads a file that a person named. It is no FIFO, no device, and not larger than `limit`.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<String> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let mut text = String::new();
    file.take(limit.saturating_add(1)).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > limit) {
        let limit = russet_text::format_size(limit);
        let message = format!("it is larger than {limit}, the limit of such a file");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{check_trusted, copy_file, draft_path, have_same_content, write};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    #[test]
    fn a_file_is_written_whole_with_its_mode_over_what_a_killed_run_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        std::fs::write(draft_path(&path), "half of").unwrap();
        write(&path, b"secret", 0o600).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "secret");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert!(!draft_path(&path).exists());
        let other = dir.path().join("other");
        copy_file(&path, &other, 0o755).unwrap();
        assert!(have_same_content(&path, &other).unwrap());
        write(&other, b"secreT", 0o755).unwrap();
        assert!(!have_same_content(&path, &other).unwrap());
    }

    #[test]
    fn a_directory_that_others_can_change_is_not_trusted() {
        if !russet_test_skip::can_be_root("to own what is installed") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        check_trusted(&dir.path().join("opt/russet")).unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let error = check_trusted(&dir.path().join("opt/russet")).unwrap_err().to_string();
        assert!(error.contains("written to by others"), "{error}");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(dir.path(), Some(58_200), None).unwrap();
        let error = check_trusted(&dir.path().join("opt/russet")).unwrap_err().to_string();
        assert!(error.contains("belongs to user 58200"), "{error}");
    }
}
