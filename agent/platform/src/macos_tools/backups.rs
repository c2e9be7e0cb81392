//! Exclusion of a directory from Time Machine: an attribute of the directory, which goes with it.
//!
//! `tmutil addexclusion` sets it too, and takes ten seconds where the backup service is busy; its
//! option `-p`, an exclusion of a path, needs Full Disk Access (DeterminateSystems/nix-installer).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, XattrFlags, fgetxattr, fsetxattr, open};

/// The attribute. On Linux, where only tests set it, names of attributes begin with `user.`.
const ATTRIBUTE: &str = if cfg!(target_os = "macos") {
    "com.apple.metadata:com_apple_backup_excludeItem"
} else {
    "user.com.apple.metadata:com_apple_backup_excludeItem"
};

/// Error of a file without the attribute.
#[cfg(target_os = "macos")]
const ABSENT: i32 = libc::ENOATTR;
#[cfg(not(target_os = "macos"))]
const ABSENT: i32 = libc::ENODATA;

/// Its value, as a binary property list: who leaves the directory out.
const BACKUPD: &str = "com.apple.backupd";

/// Leaves a directory out of backups.
///
/// # Errors
///
/// It cannot be opened, or its file system has no attributes.
pub fn exclude_directory(path: &Path) -> io::Result<()> {
    let mut value = Vec::new();
    plist::to_writer_binary(&mut value, &BACKUPD).map_err(io::Error::other)?;
    fsetxattr(open_directory(path)?, ATTRIBUTE, &value, XattrFlags::empty())?;
    Ok(())
}

/// Returns true if a directory is left out of backups.
///
/// # Errors
///
/// It cannot be opened, or its attributes cannot be read.
pub fn is_excluded(path: &Path) -> io::Result<bool> {
    let mut value = [0_u8; 256];
    match fgetxattr(open_directory(path)?, ATTRIBUTE, &mut value[..]) {
        Ok(length) => {
            let value = value.get(..length).unwrap_or_default();
            Ok(plist::from_bytes::<String>(value).is_ok_and(|who| who == BACKUPD))
        }
        Err(error) if error.raw_os_error() == ABSENT => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::{ATTRIBUTE, exclude_directory, is_excluded};

    #[test]
    fn a_directory_is_excluded_by_the_bytes_that_tmutil_writes() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        assert!(!is_excluded(dir.path()).unwrap());
        exclude_directory(dir.path()).unwrap();
        assert!(is_excluded(dir.path()).unwrap());
        let mut value = [0_u8; 256];
        let length = rustix::fs::getxattr(dir.path(), ATTRIBUTE, &mut value[..]).unwrap();
        // As found on Macs: header, the text, the table of offsets, the trailer.
        let mut wanted = b"bplist00_\x10\x11com.apple.backupd\x08".to_vec();
        wanted.extend([0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        wanted.extend([0, 0, 0, 0, 0, 0, 0, 28]);
        assert_eq!(value.get(..length), Some(&wanted[..]));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(exclude_directory(&link).is_err(), "a link was followed");
    }
}
