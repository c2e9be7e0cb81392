//! Check that root may use a program, a directory or a file: nobody else may be able to change it,
//! or what stands on the way to it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Anybody in the group or everybody may write.
const OTHERS_WRITE: u32 = 0o022;

/// Names in a directory are changed by their owners only.
const STICKY: u32 = 0o1000;

/// Checks a program and every directory above it. Each has to be root's, or the caller's where
/// that is not root.
///
/// # Errors
///
/// Checks a program; the error is a sentence about the path in question.
pub fn program(path: &Path) -> Result<(), String> {
    check(path, "is no program", |meta| meta.is_file() && meta.mode() & 0o111 != 0)
}

/// Checks a directory and every one above it, as [`program`] does. Not what is in it: whoever owns
/// it answers for that.
///
/// # Errors
///
/// As those of [`program`].
pub fn directory(path: &Path) -> Result<(), String> {
    check(path, "is no directory", std::fs::Metadata::is_dir)
}

/// Checks a file that is believed, and every directory above it, as [`program`] does.
///
/// # Errors
///
/// As those of [`program`].
pub fn file(path: &Path) -> Result<(), String> {
    check(path, "is no file", std::fs::Metadata::is_file)
}

fn check(path: &Path, is_not: &str, is_fit: fn(&std::fs::Metadata) -> bool) -> Result<(), String> {
    let me = nix::unistd::geteuid().as_raw();
    let unreadable = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    // What a link leads to is what would be used, and its way is what counts.
    let real = path.canonicalize().map_err(|error| unreadable(path, error))?;
    let meta = real.symlink_metadata().map_err(|error| unreadable(&real, error))?;
    if !is_fit(&meta) {
        return Err(format!("{} {is_not}", real.display()));
    }
    // The link itself, and its way, can be exchanged as well.
    for path in path.ancestors().skip(1).chain(real.ancestors()).filter(|at| at.is_absolute()) {
        let meta = path.metadata().map_err(|error| unreadable(path, error))?;
        if ![0, me].contains(&meta.uid()) {
            return Err(format!("{} belongs to user {}", path.display(), meta.uid()));
        }
        let is_sticky = meta.is_dir() && meta.mode() & STICKY != 0;
        if meta.mode() & OTHERS_WRITE != 0 && !is_sticky {
            return Err(format!("{} can be changed by others", path.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::program;
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
        assert!(program(&hook).unwrap_err().contains("no program"));
        mode(&hook, 0o755);
        program(&hook).unwrap();
        assert!(program(&sub.join("none")).is_err());
        assert!(program(&sub).unwrap_err().contains("no program"));
        super::directory(&sub).unwrap();
        assert!(super::directory(&hook).unwrap_err().contains("no directory"));
        mode(&hook, 0o775);
        assert!(program(&hook).unwrap_err().contains("changed by others"));
        mode(&hook, 0o755);
        let link = dir.path().join("link");
        symlink(&hook, &link).unwrap();
        program(&link).unwrap();
        mode(&sub, 0o777);
        assert!(program(&hook).unwrap_err().contains("changed by others"));
        assert!(program(&link).unwrap_err().contains("changed by others"));
        mode(&sub, 0o755);
        if nix::unistd::geteuid().is_root() {
            chown(&sub, Some(58_001), None).unwrap();
            assert!(program(&hook).unwrap_err().contains("belongs to user 58001"));
            chown(&sub, Some(0), None).unwrap();
            chown(&hook, Some(58_001), None).unwrap();
            assert!(program(&hook).unwrap_err().contains("belongs to user 58001"));
        }
    }
}
