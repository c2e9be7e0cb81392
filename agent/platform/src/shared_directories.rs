//! The list of this machine's directories where everybody may write.
//!
//! Looking for them takes seconds, so it is done apart: a process without rights walks through the
//! local file systems and writes a draft of the list, which root put in its hands, and the launch
//! agent puts that in place. The list lies with the locks of user ids, where only root can write and
//! read: it is one for all launch agents of the machine, and gone when the machine starts.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};

use crate::private_directory::own_directory;
use crate::replace::draft_path;

/// Name of the list.
const NAME: &str = "shared-directories";

/// Largest list that is read.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Directories that are listed, at most.
pub const MAX_DIRECTORIES: usize = 10_000;

/// A directory where everybody may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedDirectory {
    /// Its path.
    pub path: PathBuf,
    /// Set if everybody may list it, too.
    pub is_readable: bool,
}

impl SharedDirectory {
    /// Writes it into a list.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(if self.is_readable { b"r" } else { b"-" })?;
        out.write_all(self.path.as_os_str().as_bytes())?;
        out.write_all(b"\0")
    }

    fn parse(entry: &[u8]) -> Option<Self> {
        let (kind, path) = entry.split_first()?;
        let path = PathBuf::from(OsStr::from_bytes(path));
        path.is_absolute().then_some(Self { path, is_readable: *kind == b'r' })
    }
}

/// The list of a machine.
#[derive(Clone, Debug)]
pub struct SharedDirectoryList {
    path: PathBuf,
}

/// The right to replace the list. Only one process has it.
#[derive(Debug)]
pub struct ListLock(#[expect(dead_code, reason = "it is held")] Flock<File>);

impl SharedDirectoryList {
    /// The list of this machine.
    #[must_use]
    pub fn of_machine() -> Self {
        Self::below(Path::new(super::LOCK_DIRECTORY))
    }

    /// The list in a directory.
    #[must_use]
    pub fn below(directory: &Path) -> Self {
        Self { path: directory.join(NAME) }
    }

    /// Reads the list. One that was not made yet is empty.
    ///
    /// # Errors
    /// It cannot be read, or somebody else made the directory that it lies in.
    pub fn read(&self) -> io::Result<Vec<SharedDirectory>> {
        self.own_directory()?;
        let mut options = File::options();
        let file = match options.read(true).custom_flags(libc::O_NOFOLLOW).open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes.split(|byte| *byte == 0).filter_map(SharedDirectory::parse).collect())
    }

    /// Returns the time since the list was made. `None`: there is none.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let modified = std::fs::symlink_metadata(&self.path).and_then(|meta| meta.modified());
        // One of the future is of before the clock was set.
        SystemTime::now().duration_since(modified.ok()?).ok()
    }

    /// Locks the list. `None`: another process makes it just now.
    ///
    /// # Errors
    /// The file of the lock cannot be opened, or somebody else made its directory.
    pub fn lock(&self) -> io::Result<Option<ListLock>> {
        self.own_directory()?;
        let path = self.path.with_extension("lock");
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(ListLock(lock))),
            Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error.into()),
        }
    }

    /// Opens the draft of a new list.
    ///
    /// # Errors
    /// It cannot be made, or somebody else made its directory.
    pub fn open_draft(&self) -> io::Result<File> {
        self.own_directory()?;
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.custom_flags(libc::O_NOFOLLOW).open(draft_path(&self.path))
    }

    /// Makes the directory of the list, or checks that it belongs to this user alone.
    ///
    /// Threat: everybody may make names beside it on Linux. A job that made it first would choose
    /// what root opens there, and where clean-ups look.
    fn own_directory(&self) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), own_directory)
    }

    /// Puts the draft in the place of the list.
    ///
    /// # Errors
    /// There is none, or it cannot be renamed.
    pub fn keep_draft(&self, _lock: &ListLock) -> io::Result<()> {
        std::fs::rename(draft_path(&self.path), &self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{SharedDirectory, SharedDirectoryList};

    #[test]
    fn a_list_comes_back_as_it_was_written_and_only_one_makes_it() {
        let dir = tempfile::tempdir().unwrap();
        let list = SharedDirectoryList::below(dir.path());
        assert_eq!((list.read().unwrap(), list.age()), (Vec::new(), None));
        let lock = list.lock().unwrap().unwrap();
        assert!(list.lock().unwrap().is_none());
        let shared = |path: &str, is_readable| SharedDirectory { path: path.into(), is_readable };
        let all = [shared("/run/screen", true), shared("/var/a\nb", false)];
        let mut draft = list.open_draft().unwrap();
        all.iter().for_each(|one| one.write(&mut draft).unwrap());
        assert!(list.read().unwrap().is_empty());
        list.keep_draft(&lock).unwrap();
        assert_eq!(list.read().unwrap(), all);
        assert!(list.age().is_some());
    }

    #[test]
    fn its_directory_is_made_and_one_that_others_can_change_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("russet");
        let list = SharedDirectoryList::below(&missing);
        assert!(list.read().unwrap().is_empty());
        drop(list.lock().unwrap().unwrap());
        std::fs::set_permissions(&missing, std::fs::Permissions::from_mode(0o777)).unwrap();
        for refused in [list.read().map(drop), list.lock().map(drop), list.open_draft().map(drop)] {
            assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        }
    }
}
