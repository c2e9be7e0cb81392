//! The executable that task agents are, where the users of slots can reach it.
//!
//! A checkout below a home that nobody else may enter is no such place, and a file that somebody
//! other than root can write to is no program for root to start tasks with. In both cases root
//! copies it into its state directory. Beside it stand `circleci-agent`, `circleci` and
//! `git-remote-russet`, the names under which steps and their git expect it.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use russet_protocol::supervise::{GIT_HELPER, SETUP_CURL, SETUP_HELPERS};

use crate::files::all_but_newest;

/// Names of the helpers on the PATH of steps.
const HELPERS: [&str; 3] = ["circleci-agent", "circleci", GIT_HELPER];

/// Folders of earlier executables that are kept: tasks that an earlier launch agent started have
/// one on their PATH. No update is installed while a task runs, so these are more than are needed.
const MAX_KEPT: usize = 3;

/// Paths of the executable and the helpers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::launch) struct Staged {
    pub(in crate::launch) exe: PathBuf,
    pub(in crate::launch) helpers: PathBuf,
}

/// Makes the executable reachable. `state` is a directory of this process's user.
pub(in crate::launch) fn stage_executable(exe: &Path, state: &Path) -> io::Result<Staged> {
    let exe = std::fs::canonicalize(exe)?;
    let meta = std::fs::metadata(&exe)?;
    let directory = state.join("libexec").join(executable_key(&exe, &meta));
    for path in [&state.join("libexec"), &directory] {
        make_directory(path)?;
    }
    let copy = nix::unistd::geteuid().is_root() && !is_reachable_and_roots(&exe);
    let exe = if copy { copy_into(&exe, &directory)? } else { exe };
    for name in HELPERS {
        link_helper(&exe, &directory, name)?;
    }
    let of_setups = directory.join(SETUP_HELPERS);
    make_directory(&of_setups)?;
    link_helper(&exe, &of_setups, SETUP_CURL)?;
    if let Err(error) = forget_older(&state.join("libexec"), &directory) {
        tracing::warn!(%error, "could not remove executables of earlier versions from the state directory");
    }
    Ok(Staged { exe, helpers: directory })
}

/// A name for this very file. It is not read for that: a hash of all of it would take longer
/// than everything else at the start.
fn executable_key(exe: &Path, meta: &Metadata) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut hasher = blake3::Hasher::new();
    hasher.update(exe.as_os_str().as_bytes());
    for number in [meta.dev(), meta.ino(), meta.size()] {
        hasher.update(&number.to_le_bytes());
    }
    for number in [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.finalize().to_hex().chars().take(16).collect()
}

/// Removes all but `current` and the newest of the others. Nobody but this process's user can write
/// in any of them.
#[expect(
    clippy::disallowed_methods,
    reason = "the folders are root's: nobody else can write in any of them"
)]
fn forget_older(all: &Path, current: &Path) -> io::Result<()> {
    let is_other = |entry: &std::fs::DirEntry| {
        entry.path() != current && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    all_but_newest(all, MAX_KEPT, is_other)?.into_iter().try_for_each(std::fs::remove_dir_all)
}

fn make_directory(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

/// Returns true if everybody may run the file, and nobody but root may change it or any directory
/// above.
fn is_reachable_and_roots(exe: &Path) -> bool {
    let fits = |path: &Path, needs: u32| {
        std::fs::metadata(path).is_ok_and(|meta| {
            let mode = meta.mode();
            // In a sticky directory others can add names, and not exchange this one.
            let writable = mode & 0o022 != 0 && !(meta.is_dir() && mode & 0o1000 != 0);
            meta.uid() == 0 && mode & needs == needs && !writable
        })
    };
    fits(exe, 0o005) && exe.ancestors().skip(1).all(|directory| fits(directory, 0o001))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the executable is the one that runs already; the draft lies in a directory of root's"
)]
fn copy_into(exe: &Path, directory: &Path) -> io::Result<PathBuf> {
    let target = directory.join("russet");
    let ready = std::fs::symlink_metadata(&target).is_ok_and(|meta| meta.is_file());
    if ready {
        return Ok(target);
    }
    let draft = directory.join(format!(".russet.{}", std::process::id()));
    std::fs::copy(exe, &draft)?;
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755))?;
    std::fs::rename(&draft, &target)?;
    Ok(target)
}

#[expect(clippy::disallowed_methods, reason = "the draft lies in a directory of root's")]
fn link_helper(exe: &Path, directory: &Path, name: &str) -> io::Result<()> {
    let path = directory.join(name);
    if std::fs::read_link(&path).is_ok_and(|target| target == exe) {
        return Ok(());
    }
    let draft = directory.join(format!(".{name}.{}", std::process::id()));
    // One that a process of the same number left when it was killed.
    drop(std::fs::remove_file(&draft));
    symlink(exe, &draft)?;
    std::fs::rename(&draft, &path)
}

/// PATH of programs that the launch agent starts: its own, or the system's.
pub(in crate::launch) fn own_path() -> String {
    std::env::var("PATH")
        .ok()
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| russet_platform::STANDARD_PATH.to_owned())
}

#[cfg(test)]
mod tests {
    use super::stage_executable;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    #[test]
    fn an_executable_that_others_can_not_reach_is_copied_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let exe = dir.path().join("program");
        std::fs::write(&exe, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&exe, std::fs::Permissions::from_mode(0o755)).unwrap();
        let state = dir.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let staged = stage_executable(&exe, &state).unwrap();
        assert_eq!(stage_executable(&exe, &state).unwrap(), staged);
        let helper = staged.helpers.join("circleci-agent");
        assert_eq!(std::fs::read_link(helper).unwrap(), staged.exe);
        if nix::unistd::geteuid().is_root() {
            // The temporary directory is private, so root made a copy.
            assert!(staged.exe.starts_with(&state));
            assert_eq!(std::fs::metadata(&staged.exe).unwrap().mode() & 0o777, 0o755);
        } else {
            assert_eq!(staged.exe, std::fs::canonicalize(&exe).unwrap());
        }
    }

    #[test]
    fn of_earlier_executables_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut all = Vec::new();
        for number in 0..6 {
            let exe = dir.path().join(format!("program{number}"));
            std::fs::write(&exe, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&exe, std::fs::Permissions::from_mode(0o755)).unwrap();
            let staged = stage_executable(&exe, dir.path()).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 + number);
            std::fs::File::open(&staged.helpers).unwrap().set_modified(time).unwrap();
            all.push(staged.helpers);
        }
        let there: Vec<bool> = all.iter().map(|helpers| helpers.exists()).collect();
        assert_eq!(there, [false, false, true, true, true, true]);
    }

    #[test]
    fn a_program_of_the_system_stays_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let staged = stage_executable(std::path::Path::new("/bin/sh"), dir.path()).unwrap();
        assert_eq!(staged.exe, std::fs::canonicalize("/bin/sh").unwrap());
    }
}
