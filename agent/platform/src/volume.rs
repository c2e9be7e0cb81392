//! Checks of the volume that a directory of the agent's lies on.
//!
//! Threat: users of slots are kept apart by the owners of their directories. On a volume that
//! ignores owners, or keeps none, each of them reads and writes what is another's, and root sees
//! nothing of it: owners and modes look right to root.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

#[cfg(target_os = "linux")]
use crate::linux::volume as system;
#[cfg(target_os = "macos")]
use crate::macos::volume as system;

/// Mode of the file with which a volume is tried: one that file systems without modes do not have.
const TRIED_MODE: Mode = Mode::from_bits_truncate(0o610);

/// Fault of the volume of a directory.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// It is mounted to ignore owners.
    #[error(
        "{} lies on the volume {}, which ignores who owns a file: every user may read and change \
         everything on it",
        path.display(), volume.display()
    )]
    Ignored {
        /// The directory.
        path: PathBuf,
        /// Mount point of the volume.
        volume: PathBuf,
    },
    /// Its file system keeps neither owners nor modes.
    #[error("{} lies on a file system that does not keep who owns a file, or who may read it", .0.display())]
    NotKept(PathBuf),
    /// The system lets not even root in.
    #[error("the system does not let this agent use {}", .0.display())]
    Refused(PathBuf),
    /// It cannot be looked at.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

impl VolumeError {
    /// Returns the way out.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Ignored { volume, .. } => {
                format!("`sudo diskutil enableOwnership {}`", quote_path(volume))
            }
            Self::NotKept(_) => "use a directory on APFS, or on ext4, XFS or btrfs; vfat, exFAT, NTFS \
                                 and shares of other systems keep no owners"
                .to_owned(),
            Self::Refused(_) => "macOS guards volumes below /Volumes: give /opt/russet/russet-boot \
                                 \"Full Disk Access\" (docs/mdm.md), or use a directory on the Mac's \
                                 own disk"
                .to_owned(),
            Self::Unreadable { .. } => "make the directory, or name another".to_owned(),
        }
    }
}

/// Quotes a path for a shell where that is needed.
fn quote_path(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Checks that the volume of a path keeps owners, as far as that can be asked without writing to it.
/// Where the path is not there yet, the nearest directory above it counts.
///
/// # Errors
///
/// The volume ignores owners, or the system refuses to say.
pub fn check_volume(path: &Path) -> Result<(), VolumeError> {
    let there = path.ancestors().find(|path| path.symlink_metadata().is_ok());
    let there = there.unwrap_or(Path::new("/"));
    match system::volume_without_owners(there) {
        Ok(None) => Ok(()),
        Ok(Some(volume)) => Err(VolumeError::Ignored { path: path.to_owned(), volume }),
        Err(source) => Err(error_at(path, source)),
    }
}

/// Checks that the volume of a directory keeps owners and modes, by asking and, as root, by trying.
///
/// # Errors
///
/// It does not, or the system lets root not write there.
pub fn check_directory(directory: &Path) -> Result<(), VolumeError> {
    check_volume(directory)?;
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let at = |error: Errno| error_at(directory, error.into());
    let fd = openat(AT_FDCWD, directory, flags, Mode::empty()).map_err(at)?;
    let user = crate::users::nobody();
    match try_file(&fd, user.uid, user.gid) {
        Ok(stat) if keeps_owner(&stat, user.uid) => Ok(()),
        // What vfat answers without its option `quiet`, and what a share answers.
        Ok(_) | Err(Errno::EPERM | Errno::EINVAL | Errno::EOPNOTSUPP) => {
            Err(VolumeError::NotKept(directory.to_owned()))
        }
        Err(error) => Err(at(error)),
    }
}

/// Returns the name on the way to a path that is a link; the first, if there are several.
#[must_use]
pub fn link_on_the_way(path: &Path) -> Option<PathBuf> {
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    let is_link = |path: &&&Path| path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
    ancestors.iter().find(is_link).map(|path| path.to_path_buf())
}

/// Gives a file without a name to somebody, and says what became of it.
fn try_file(directory: &OwnedFd, uid: u32, gid: u32) -> Result<FileStat, Errno> {
    let name = CString::new(format!(".russet-owner-{}", std::process::id())).unwrap_or_default();
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    let file = openat(directory, name.as_c_str(), flags | OFlag::O_CLOEXEC, Mode::S_IRUSR)
        .map_err(as_refusal)?;
    unlinkat(directory, name.as_c_str(), UnlinkatFlags::NoRemoveDir)?;
    fchmod(&file, TRIED_MODE)?;
    fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    fstat(&file)
}

/// To make a file is refused by privacy rules, which is no word about owners.
fn as_refusal(error: Errno) -> Errno {
    if error == Errno::EPERM { Errno::EACCES } else { error }
}

fn keeps_owner(stat: &FileStat, uid: u32) -> bool {
    stat.st_uid == uid && Mode::from_bits_truncate(stat.st_mode) == TRIED_MODE
}

fn error_at(path: &Path, source: io::Error) -> VolumeError {
    if is_guarded(path, &source) {
        return VolumeError::Refused(path.to_owned());
    }
    VolumeError::Unreadable { path: path.to_owned(), source }
}

/// Returns true if an error comes from macOS's privacy rules: root is refused below `/Volumes`.
#[must_use]
pub fn is_guarded(path: &Path, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && path.starts_with("/Volumes")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::{Path, PathBuf};

    use super::{VolumeError, check_directory, error_at, link_on_the_way};

    #[test]
    fn a_directory_of_an_ordinary_disk_keeps_owners_and_nothing_stays_in_it() {
        let dir = tempfile::tempdir().unwrap();
        check_directory(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let error = check_directory(&dir.path().join("none/deeper"));
        if nix::unistd::geteuid().is_root() {
            assert!(error.unwrap_err().to_string().contains("none/deeper"));
        }
    }

    #[test]
    fn a_fault_of_a_volume_comes_with_the_command_that_mends_it() {
        let of = |volume: &str| {
            let volume = PathBuf::from(volume);
            VolumeError::Ignored { path: volume.join("ci"), volume }.hint()
        };
        assert_eq!(of("/Volumes/SSD"), "`sudo diskutil enableOwnership /Volumes/SSD`");
        assert_eq!(of("/Volumes/My SSD"), "`sudo diskutil enableOwnership '/Volumes/My SSD'`");
        assert!(of("/Volumes/It's").ends_with(r"'/Volumes/It'\''s'`"));
    }

    #[test]
    fn a_refusal_below_volumes_names_the_privacy_setting_and_another_does_not() {
        let of =
            |path: &str, code: i32| error_at(Path::new(path), io::Error::from_raw_os_error(code));
        let refused = of("/Volumes/SSD/ci", libc::EPERM);
        assert!(refused.hint().contains("Full Disk Access"), "{refused}");
        assert!(matches!(of("/srv/ci", libc::EPERM), VolumeError::Unreadable { .. }));
        assert!(matches!(of("/Volumes/SSD/ci", libc::ENOENT), VolumeError::Unreadable { .. }));
    }

    #[test]
    fn the_first_link_on_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("private/var/db")).unwrap();
        std::os::unix::fs::symlink("private/var", real.join("var")).unwrap();
        std::os::unix::fs::symlink("db", real.join("private/var/link")).unwrap();
        let link = link_on_the_way(&real.join("var/link/not/there"));
        assert_eq!(link, Some(real.join("var")));
        assert_eq!(link_on_the_way(&real.join("private/var/db")), None);
    }
}
