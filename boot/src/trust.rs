//! Checks that a file may be run as root: nobody but root can change it, or put another in its
//! place.
//!
//! Threat: a directory on the way that somebody else can write to (Homebrew and old installers
//! make such) lets them exchange what root starts at the next boot.

use std::ffi::CString;
use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// Whom the shipped program trusts. Tests of this module trust their own user besides.
pub(crate) const ROOT: u32 = 0;

const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Reason for which a path is not trusted.
#[derive(Debug)]
pub(crate) enum TrustError {
    /// It is not absolute, or has `.` or `..` in it.
    NotAbsolute(PathBuf),
    /// It is not an executable file.
    NotProgram(PathBuf),
    /// It is not a directory, or others can add names to it.
    NotDirectory(PathBuf),
    /// It belongs to this user.
    Owner(PathBuf, u32),
    /// Others can write to it.
    Writable(PathBuf),
    /// It is not there or cannot be opened.
    Open(PathBuf, io::Error),
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute(path) => write!(f, "{} is not an absolute path", path.display()),
            Self::NotProgram(path) => write!(f, "{} is not a program", path.display()),
            Self::NotDirectory(path) => {
                write!(f, "{} is not a directory of root's own", path.display())
            }
            Self::Owner(path, user) => {
                write!(f, "{} belongs to user {user}, not to root: `chown root` it", path.display())
            }
            Self::Writable(path) => {
                write!(f, "{} can be changed by others than root: `chmod go-w` it", path.display())
            }
            Self::Open(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

/// Checks that `path` is a program that only `owner` (or root) can change.
///
/// It is walked name by name, following no link, so what was checked is what is run: whoever
/// could exchange it in between would have been found.
pub(crate) fn check_program(path: &Path, owner: u32) -> Result<(), TrustError> {
    let meta = walk_path(path, owner)?;
    if !meta.is_file() || meta.mode() & 0o111 == 0 {
        return Err(TrustError::NotProgram(path.to_owned()));
    }
    Ok(())
}

/// Checks that `path` is a directory that only `owner` (or root) can change.
pub(crate) fn check_directory(path: &Path, owner: u32) -> Result<(), TrustError> {
    let meta = walk_path(path, owner)?;
    if !meta.is_dir() || meta.mode() & STICKY != 0 {
        return Err(TrustError::NotDirectory(path.to_owned()));
    }
    Ok(())
}

/// Checks every directory on the way and the end of it, and returns what the end is.
fn walk_path(path: &Path, owner: u32) -> Result<Metadata, TrustError> {
    let mut at: Option<File> = None;
    let mut walked = PathBuf::new();
    let not_absolute = || TrustError::NotAbsolute(path.to_owned());
    let mut end = Err(not_absolute());
    for component in path.components() {
        let name = match component {
            Component::RootDir => "/".as_ref(),
            Component::Normal(name) if at.is_some() => name,
            _ => return Err(not_absolute()),
        };
        walked.push(name);
        let failed = |error: io::Error| TrustError::Open(walked.clone(), error);
        let next = open_component(at.as_ref(), name.as_bytes()).map_err(failed)?;
        let meta = next.metadata().map_err(failed)?;
        if meta.uid() != ROOT && meta.uid() != owner {
            return Err(TrustError::Owner(walked, meta.uid()));
        }
        // In a sticky directory others can add names, and cannot exchange those of root.
        if meta.mode() & WRITABLE_BY_OTHERS != 0 && meta.mode() & STICKY == 0 {
            return Err(TrustError::Writable(walked));
        }
        at = Some(next);
        end = Ok(meta);
    }
    end
}

fn open_component(at: Option<&File>, name: &[u8]) -> io::Result<File> {
    let name = CString::new(name)?;
    let at: RawFd = at.map_or(libc::AT_FDCWD, |at| at.as_raw_fd());
    // Something that is no file (a FIFO) must not hold this up.
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    // SAFETY: the name ends with a zero and lives through the call.
    let fd = unsafe { libc::openat(at, name.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::{check_directory, check_program};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::{Path, PathBuf};

    fn me() -> u32 {
        // SAFETY: geteuid has no preconditions.
        unsafe { libc::geteuid() }
    }

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A program in a directory of its own, both as they should be.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().canonicalize().unwrap().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let exe = inner.join("program");
        std::fs::write(&exe, "x").unwrap();
        mode(&inner, 0o755);
        mode(&exe, 0o755);
        (dir, exe)
    }

    fn refusal(path: &Path, owner: u32) -> String {
        check_program(path, owner).unwrap_err().to_string()
    }

    #[test]
    fn a_program_below_directories_of_its_owner_is_trusted() {
        let (_dir, exe) = place();
        check_program(&exe, me()).unwrap();
        check_directory(exe.parent().unwrap(), me()).unwrap();
        let reason = check_directory(&exe, me()).unwrap_err().to_string();
        assert!(reason.contains("not a directory"), "{reason}");
        assert!(refusal(exe.parent().unwrap(), me()).contains("not a program"));
    }

    #[test]
    fn what_others_can_change_is_named_and_refused() {
        let (_dir, exe) = place();
        for (path, bits) in [(exe.as_path(), 0o775), (exe.parent().unwrap(), 0o777)] {
            mode(path, bits);
            let reason = refusal(&exe, me());
            assert!(reason.contains(&format!("{} can be changed", path.display())), "{reason}");
            mode(path, 0o755);
        }
        mode(&exe, 0o644);
        assert!(refusal(&exe, me()).contains("not a program"));
        std::fs::remove_file(&exe).unwrap();
        assert!(refusal(&exe, me()).contains("No such file"));
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let (_dir, exe) = place();
        if me() == 0 {
            std::os::unix::fs::chown(&exe, Some(58_999), None).unwrap();
            assert!(refusal(&exe, 0).contains("belongs to user 58999"));
        } else {
            assert!(refusal(&exe, 0).contains("not to root"));
        }
    }

    #[test]
    fn no_link_is_followed_not_even_one_on_the_way() {
        let (dir, exe) = place();
        let root = dir.path().canonicalize().unwrap();
        symlink(&exe, root.join("link")).unwrap();
        assert!(check_program(&root.join("link"), me()).is_err());
        symlink(root.join("inner"), root.join("way")).unwrap();
        assert!(check_program(&root.join("way/program"), me()).is_err());
        assert!(check_program(Path::new("program"), me()).is_err());
        assert!(check_program(&root.join("inner/../inner/program"), me()).is_err());
    }
}
