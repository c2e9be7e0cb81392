//! Filling a task's home with what its owner wants to be in each: a directory of root's is copied
//! into it, by the slot's user and before anything of the job runs.
//!
//! Files are clones where the file system can (APFS; btrfs and XFS on Linux), which take neither
//! time nor room: `std::fs::copy` asks the system for one (`fclonefileat`, `copy_file_range`)
//! before it copies bytes.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use russet_platform::os;
use russet_protocol::supervise::Assignment;

/// Fills the home of a task: with the directories that a home of this system has, then from the
/// skeleton. One in a session at the screen goes on after the task, and is left as it is.
///
/// # Errors
///
/// A path of the skeleton cannot be read, or not be written into the home.
pub(crate) async fn fill(assignment: &Assignment) -> Result<(), HomeError> {
    if assignment.gui.is_some() {
        return Ok(());
    }
    let home = assignment.dirs.home.clone();
    make_standard_directories(&home, os::HOME_DIRECTORIES)?;
    let Some(skeleton) = assignment.home_skeleton.clone() else { return Ok(()) };
    let filled = tokio::task::spawn_blocking(move || copy(&skeleton, &home)).await;
    filled.map_err(HomeError::Cut)?.map_err(HomeError::Copy)
}

/// Makes the directories of a fresh home, with these modes whatever the umask says.
fn make_standard_directories(home: &Path, names: &[(&str, u32)]) -> Result<(), HomeError> {
    for (name, mode) in names {
        let path = home.join(name);
        let made = match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) if *mode != 0o700 => {
                std::fs::set_permissions(&path, Permissions::from_mode(*mode))
            }
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        };
        made.map_err(|source| HomeError::Standard { path, source })?;
    }
    Ok(())
}

/// Reason why a home was not filled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HomeError {
    #[error("could not make {} in the home of the task: {source}", path.display())]
    Standard { path: PathBuf, source: io::Error },
    #[error(
        "could not fill the home of the task from `runner.home_skeleton`: {0}\n  hint: users of \
         slots must be able to read all of it"
    )]
    Copy(CopyError),
    #[error("could not fill the home of the task from `runner.home_skeleton`: {0}")]
    Cut(tokio::task::JoinError),
}

/// Path that could not be copied.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub(crate) struct CopyError {
    path: PathBuf,
    source: io::Error,
}

/// Copies what is in a directory into one that is there. Links are copied and not followed; what
/// is no file, directory or link is left out.
fn copy(from: &Path, to: &Path) -> Result<(), CopyError> {
    let failed = |path: &Path, source| CopyError { path: path.to_owned(), source };
    for entry in std::fs::read_dir(from).map_err(|error| failed(from, error))? {
        let entry = entry.map_err(|error| failed(from, error))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        copy_one(&entry, &target).map_err(|error| failed(&source, error))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            copy(&source, &target)?;
            let mode = entry.metadata().map_err(|error| failed(&source, error))?.permissions();
            make_own(&target, mode.mode()).map_err(|error| failed(&target, error))?;
        }
    }
    Ok(())
}

fn copy_one(entry: &std::fs::DirEntry, target: &Path) -> io::Result<()> {
    let kind = entry.file_type()?;
    if kind.is_dir() {
        return match DirBuilder::new().mode(0o700).create(target) {
            // The home may have some of its own.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && target.is_dir() => Ok(()),
            made => made,
        };
    }
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(std::fs::read_link(entry.path())?, target);
    }
    if kind.is_file() {
        std::fs::copy(entry.path(), target)?;
        return make_own(target, entry.metadata()?.permissions().mode());
    }
    Ok(())
}

/// The mode of the skeleton, and its owner can write, which is another user there. No special bits:
/// a program that is set-user-id would be the slot user's.
fn make_own(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode & 0o777 | 0o600))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::{copy, make_standard_directories};

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_fresh_home_has_the_directories_of_its_system_with_their_modes() {
        let dir = tempfile::tempdir().unwrap();
        let names = russet_platform::macos_tools::home::DIRECTORIES;
        for _again in 0..2 {
            make_standard_directories(dir.path(), &names).unwrap();
        }
        for (name, wanted) in names {
            assert_eq!(mode(&dir.path().join(name)), wanted, "{name}");
        }
        assert_eq!(mode(&dir.path().join("Library/Preferences")), 0o700);
        assert_eq!(mode(&dir.path().join("Public/Drop Box")), 0o733);
        std::fs::remove_dir_all(dir.path().join("Library")).unwrap();
        std::fs::write(dir.path().join("Library"), "").unwrap();
        let error = make_standard_directories(dir.path(), &names[1..]).unwrap_err().to_string();
        assert!(error.contains("Library/Application Support"), "{error}");
    }

    #[test]
    fn a_home_is_filled_with_files_directories_and_links_that_its_user_can_change() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::create_dir_all(from.join(".config/deep")).unwrap();
        std::fs::create_dir_all(to.join(".config")).unwrap();
        std::fs::write(from.join(".config/deep/file"), "text").unwrap();
        std::fs::write(from.join("run"), "#!/bin/sh").unwrap();
        std::fs::set_permissions(from.join("run"), std::fs::Permissions::from_mode(0o4555))
            .unwrap();
        std::os::unix::fs::symlink("/etc/shadow", from.join("link")).unwrap();
        nix::unistd::mkfifo(&from.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(std::fs::read_to_string(to.join(".config/deep/file")).unwrap(), "text");
        assert_eq!(mode(&to.join("run")), 0o755);
        assert_eq!(std::fs::read_link(to.join("link")).unwrap(), Path::new("/etc/shadow"));
        assert!(!to.join("fifo").exists());
        let error = copy(&dir.path().join("none"), &to).unwrap_err().to_string();
        assert!(error.contains("none: No such file"), "{error}");
    }
}
