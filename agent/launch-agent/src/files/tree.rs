//! Deletes trees of root's own.

use std::io;
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, openat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::directory::DIRECTORY;

/// Deletes a directory as [`remove_tree_but`] does, and keeps nothing of it.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    remove_tree_but(path, &[])
}

/// Deletes a directory of a service's own user with everything in it that is that user's or root's.
/// No process of the user is to be left.
///
/// Threat: one that is left after all could exchange what is in its directories meanwhile. Root
/// goes through descriptors without following links, and takes names out of directories of that
/// user alone: nothing is lost that the user could not have deleted itself.
pub(crate) fn remove_tree_of(path: &Path, owner: u32) -> io::Result<()> {
    remove_tree_within(path, &[], &[0, owner])
}

/// Deletes a directory of root's with everything in it that is root's.
///
/// Threat: a job may have left links, or directories that it exchanges while root looks. Root
/// goes through descriptors without following links, and removes a directory of somebody else
/// only if it is empty: what is in it is for a helper with that user's rights.
pub(crate) fn remove_tree_but(path: &Path, keep: &[&str]) -> io::Result<()> {
    remove_tree_within(path, keep, &[0])
}

/// Deletes a directory with everything in it that is in directories of these users.
fn remove_tree_within(path: &Path, keep: &[&str], owners: &[u32]) -> io::Result<()> {
    match openat(AT_FDCWD, path, DIRECTORY, Mode::empty()) {
        Ok(fd) => empty_directory(&fd, path, keep, owners)?,
        Err(Errno::ENOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    if keep.is_empty() {
        std::fs::remove_dir(path)?;
    }
    Ok(())
}

fn empty_directory(
    directory: &std::os::fd::OwnedFd,
    path: &Path,
    keep: &[&str],
    owners: &[u32],
) -> io::Result<()> {
    let stat = fstat(directory)?;
    if !owners.contains(&stat.st_uid) || (stat.st_mode & 0o022 != 0) {
        // Its removal by the caller says whether it is empty.
        return Ok(());
    }
    let mut listing = Dir::from_fd(directory.try_clone()?)?;
    for entry in listing.iter() {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text == "." || text == ".." || keep.contains(&text.as_ref()) {
            continue;
        }
        let named = |error: Errno| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("{}: {error}", path.join(&*text).display()))
        };
        match openat(directory, name, DIRECTORY, Mode::empty()) {
            Ok(inner) => {
                empty_directory(&inner, &path.join(&*text), &[], owners)?;
                unlinkat(directory, name, UnlinkatFlags::RemoveDir).map_err(named)?;
            }
            // A file, a socket, or a link, which is removed and not followed.
            Err(Errno::ENOTDIR | Errno::ELOOP | Errno::ENXIO | Errno::EOPNOTSUPP) => {
                unlinkat(directory, name, UnlinkatFlags::NoRemoveDir).map_err(named)?;
            }
            Err(Errno::ENOENT) => {}
            Err(error) => return Err(named(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::remove_tree;

    #[test]
    fn deleting_a_tree_follows_no_link_and_leaves_what_is_in_directories_of_others() {
        if !russet_test_skip::can_be_root("to own what is installed") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("slots/1/home")).unwrap();
        std::fs::write(dir.path().join("precious"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path(), tree.join("slots/link")).unwrap();
        nix::unistd::mkfifo(&tree.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600))
            .unwrap();
        std::fs::write(tree.join("slots/1/home/file"), "x").unwrap();
        std::os::unix::fs::chown(tree.join("slots/1/home"), Some(58_201), None).unwrap();
        let error = remove_tree(&tree).unwrap_err().to_string();
        assert!(error.contains("slots/1/home"), "{error}");
        assert!(tree.join("slots/1/home/file").exists() && dir.path().join("precious").exists());
        std::fs::remove_file(tree.join("slots/1/home/file")).unwrap();
        remove_tree(&tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && dir.path().join("precious").exists());
    }
}
