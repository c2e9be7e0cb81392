//! Checks if root may use a program, a directory or a file: nobody else may be able to change it,
//! or what stands on the way to it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Anybody in the group or everybody may write.
const OTHERS_WRITE: u32 = 0o022;

/// Names in a directory are changed by their owners only.
const STICKY: u32 = 0o1000;

/// The fault of a path that root may not use.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be looked at.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// It is of another kind.
    #[error("{} is not a {kind}", path.display())]
    Kind {
        /// The path.
        path: PathBuf,
        /// The kind that is wanted.
        kind: &'static str,
    },
    /// It belongs to neither root nor the caller.
    #[error("{} belongs to user {owner}", path.display())]
    Owner {
        /// The path.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Its group or everybody may change it.
    #[error("{} can be changed by others", .0.display())]
    Writable(PathBuf),
    /// Its access list lets somebody else change it.
    #[error(
        "{path} can be changed by others: its access list lets {who} (`ls -led {path}` shows it, `sudo \
         chmod -N {path}` removes it)",
        path = path.display()
    )]
    AccessList {
        /// The path.
        path: PathBuf,
        /// Holder of the right, as `group staff`.
        who: String,
    },
}

/// Checks a program and every directory above it. Each has to be root's, or the caller's where
/// that is not root.
///
/// # Errors
///
/// The first fault on the way.
pub fn check_program(path: &Path) -> Result<(), TrustError> {
    check_path(path, "program", |meta| meta.is_file() && meta.mode() & 0o111 != 0)
}

/// Checks a directory and every one above it, as [`check_program`] does. Not what is in it: whoever
/// owns it answers for that.
///
/// # Errors
///
/// As those of [`check_program`].
pub fn check_directory(path: &Path) -> Result<(), TrustError> {
    check_path(path, "directory", std::fs::Metadata::is_dir)
}

/// Checks a file that is believed, and every directory above it, as [`check_program`] does.
///
/// # Errors
///
/// As those of [`check_program`].
pub fn check_file(path: &Path) -> Result<(), TrustError> {
    check_path(path, "file", std::fs::Metadata::is_file)
}

fn check_path(
    path: &Path,
    kind: &'static str,
    is_fit: fn(&std::fs::Metadata) -> bool,
) -> Result<(), TrustError> {
    let me = nix::unistd::geteuid().as_raw();
    let unreadable = |path: &Path, error| TrustError::Unreadable { path: path.to_owned(), error };
    // What a link leads to is what would be used, and its way is what counts.
    let real = path.canonicalize().map_err(|error| unreadable(path, error))?;
    let meta = real.symlink_metadata().map_err(|error| unreadable(&real, error))?;
    if !is_fit(&meta) {
        return Err(TrustError::Kind { path: real, kind });
    }
    // The link itself, and its way, can be exchanged as well.
    for path in path.ancestors().skip(1).chain(real.ancestors()).filter(|at| at.is_absolute()) {
        check_entry(path, &[0, me])?;
    }
    Ok(())
}

/// Checks one file or directory: its owner, its mode and its access list. A sticky directory may be
/// written to by others, whose entries are their own.
///
/// # Errors
///
/// Somebody other than `owners` owns it or can change it.
pub fn check_entry(path: &Path, owners: &[u32]) -> Result<(), TrustError> {
    let unreadable = |error| TrustError::Unreadable { path: path.to_owned(), error };
    let real = path.canonicalize().map_err(unreadable)?;
    let meta = real.symlink_metadata().map_err(unreadable)?;
    let is_sticky = meta.is_dir() && meta.mode() & STICKY != 0;
    let who = crate::list_writer(&real).map_err(unreadable)?;
    judge_entry(path, (meta.uid(), meta.mode()), is_sticky, who, owners)
}

fn judge_entry(
    path: &Path,
    (owner, mode): (u32, u32),
    is_sticky: bool,
    who: Option<String>,
    owners: &[u32],
) -> Result<(), TrustError> {
    let path = path.to_owned();
    if !owners.contains(&owner) {
        return Err(TrustError::Owner { path, owner });
    }
    if mode & OTHERS_WRITE != 0 && !is_sticky {
        return Err(TrustError::Writable(path));
    }
    match who {
        Some(who) => Err(TrustError::AccessList { path, who }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{check_directory, check_program, judge_entry};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::path::Path;

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_program_that_others_can_change_or_exchange_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("sub");
        let hook = sub.join("hook");
        std::fs::create_dir(&sub).unwrap();
        std::fs::write(&hook, "#!/bin/sh\n").unwrap();
        mode(&sub, 0o755);
        mode(&hook, 0o644);
        assert!(check_program(&hook).unwrap_err().to_string().contains("not a program"));
        mode(&hook, 0o755);
        check_program(&hook).unwrap();
        assert!(check_program(&sub.join("none")).is_err());
        assert!(check_program(&sub).unwrap_err().to_string().contains("not a program"));
        check_directory(&sub).unwrap();
        assert!(check_directory(&hook).unwrap_err().to_string().contains("not a directory"));
        mode(&hook, 0o775);
        assert!(check_program(&hook).unwrap_err().to_string().contains("changed by others"));
        mode(&hook, 0o755);
        let link = dir.path().join("link");
        symlink(&hook, &link).unwrap();
        check_program(&link).unwrap();
        mode(&sub, 0o777);
        assert!(check_program(&hook).unwrap_err().to_string().contains("changed by others"));
        assert!(check_program(&link).unwrap_err().to_string().contains("changed by others"));
        mode(&sub, 0o755);
        if nix::unistd::geteuid().is_root() {
            chown(&sub, Some(58_001), None).unwrap();
            assert!(
                check_program(&hook).unwrap_err().to_string().contains("belongs to user 58001")
            );
            chown(&sub, Some(0), None).unwrap();
            chown(&hook, Some(58_001), None).unwrap();
            assert!(
                check_program(&hook).unwrap_err().to_string().contains("belongs to user 58001")
            );
        }
    }
    #[test]
    fn an_access_list_that_lets_somebody_write_is_refused_though_the_mode_does_not() {
        let judge = |who: Option<&str>| {
            let who = who.map(str::to_owned);
            judge_entry(Path::new("/opt"), (0, 0o40_755), false, who, &[0])
        };
        judge(None).unwrap();
        let error = judge(Some("group staff")).unwrap_err().to_string();
        assert!(error.contains("/opt can be changed by others: its access list lets group staff"));
        assert!(error.contains("sudo chmod -N /opt"), "{error}");
    }

    /// On Linux the mode shows what a list grants: its group bits are the list's mask.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_posix_access_list_that_lets_somebody_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let hook = dir.path().join("hook");
        std::fs::write(&hook, "#!/bin/sh\n").unwrap();
        mode(&hook, 0o755);
        // acl(5), posix_acl_xattr.h: version 2, then tag, rights and id of each entry.
        let entries: [(u16, u16, u32); 5] = [
            (0x01, 7, u32::MAX),
            (0x02, 6, 58_001),
            (0x04, 5, u32::MAX),
            (0x10, 7, u32::MAX),
            (0x20, 5, u32::MAX),
        ];
        let mut list = 2_u32.to_le_bytes().to_vec();
        for (tag, rights, id) in entries {
            list.extend(tag.to_le_bytes().into_iter().chain(rights.to_le_bytes()));
            list.extend(id.to_le_bytes());
        }
        let flags = rustix::fs::XattrFlags::empty();
        match rustix::fs::setxattr(&hook, c"system.posix_acl_access", &list, flags) {
            Err(rustix::io::Errno::OPNOTSUPP) => {
                let lacks = russet_test_skip::Lacks::Machine;
                return russet_test_skip::skip(lacks, "this file system has no access lists");
            }
            set => set.unwrap(),
        }
        let error = check_program(&hook).unwrap_err().to_string();
        assert!(error.contains("changed by others"), "{error}");
    }
}
