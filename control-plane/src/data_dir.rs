//! The directory that everything is kept in: for its owner alone, and for one server at a time.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use russet_protocol::secret::Secret;
use zeroize::Zeroizing;

use crate::credentials::{NoRandomness, TokenKind, new_token};
use crate::secrets::KEY_LENGTH;

/// Reason why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    #[error("{what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("another server uses {0}")]
    InUse(PathBuf),
    #[error("{0} is empty: delete it to have a new token made")]
    EmptyToken(PathBuf),
    #[error("{0} can be read by others than its owner: make it private (chmod 600)")]
    OpenToken(PathBuf),
    #[error(
        "{0} is not there, and the values of variables in the database cannot be read without it: \
         bring it back from a backup, or give its place with --secrets-key-file"
    )]
    KeyGone(PathBuf),
    #[error(
        "the values in the database were sealed with another key than {0}: copy secrets.key from \
         the server that sealed them, or name it with --secrets-key-file"
    )]
    OtherKey(PathBuf),
    #[error("{0} is no key: it has to be the {KEY_LENGTH} bytes that a server wrote")]
    NoKey(PathBuf),
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// Longest text in the lock file, in bytes.
const MAX_SERVER_BYTES: u64 = 256;

/// An open data directory. Others cannot open it while this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Holds the lock, and names the server that has it.
    lock: File,
}

fn io_error<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DataDirError + 'a {
    move |source| DataDirError::Io { what, path: path.to_owned(), source }
}

impl DataDir {
    /// Opens a directory, made where it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        if let Some(parent) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .create(parent)
                .map_err(io_error("cannot make", parent))?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => sync_parent(path).map_err(io_error("cannot sync the directory of", path))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Output of jobs and hashes of tokens are nobody else's business.
                std::fs::set_permissions(path, Permissions::from_mode(0o700))
                    .map_err(io_error("cannot make private:", path))?;
            }
            Err(error) => return Err(io_error("cannot make", path)(error)),
        }
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io_error("cannot open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(io_error("cannot lock", &lock_path)(error)),
        }
    }

    /// Notes which server has the directory. Returns the one that had it before, and is gone: a copy
    /// of the directory of another server names none.
    pub(crate) fn begin_server(&self, id: &str) -> Result<Option<String>, DataDirError> {
        let path = self.path.join("lock");
        let failed = io_error("cannot note the server in", &path);
        self.replace_server(id).map_err(failed)
    }

    fn replace_server(&self, id: &str) -> io::Result<Option<String>> {
        let meta = self.lock.metadata()?;
        let place = format!("{}:{}", meta.dev(), meta.ino());
        let mut before = String::new();
        let mut lock = &self.lock;
        lock.seek(SeekFrom::Start(0))?;
        lock.take(MAX_SERVER_BYTES).read_to_string(&mut before)?;
        lock.set_len(0)?;
        lock.seek(SeekFrom::Start(0))?;
        lock.write_all(format!("{id} {place}\n").as_bytes())?;
        let previous = before.trim_end().rsplit_once(' ').filter(|(_, of)| *of == place);
        Ok(previous.map(|(id, _)| id.to_owned()))
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("russet.db")
    }

    /// The directory of the objects, made where it is not there.
    pub(crate) fn objects(&self) -> Result<PathBuf, DataDirError> {
        let path = self.path.join("objects");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(io_error("cannot make", &path))?;
        Ok(path)
    }

    /// The token of the administrator, made when the server starts for the first time.
    pub(crate) fn admin_token(&self) -> Result<Secret, DataDirError> {
        let path = self.path.join("admin.token");
        match File::open(&path) {
            Ok(file) => read_token(file, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let token = new_token(TokenKind::Admin)?;
                let line = Zeroizing::new(format!("{}\n", token.expose()));
                write_private(&path, line.as_bytes()).map_err(io_error("cannot write", &path))?;
                Ok(token)
            }
            Err(error) => Err(io_error("cannot open", &path)(error)),
        }
    }

    /// The key that the values of variables are sealed with, from `elsewhere` or the directory.
    /// It is made when it is first needed, and never while there are values (`is_needed`): they
    /// would be lost.
    pub(crate) fn secrets_key(
        &self,
        elsewhere: Option<&Path>,
        is_needed: bool,
    ) -> Result<Zeroizing<[u8; KEY_LENGTH]>, DataDirError> {
        let path = elsewhere.map_or_else(|| self.path.join("secrets.key"), Path::to_owned);
        match File::open(&path) {
            Ok(mut file) => {
                check_private(&file, &path)?;
                let mut bytes = Zeroizing::new(Vec::new());
                let read = Read::by_ref(&mut file).take(KEY_LENGTH as u64 + 1);
                { read }.read_to_end(&mut bytes).map_err(io_error("cannot read", &path))?;
                let key = bytes.as_slice().try_into().map_err(|_| DataDirError::NoKey(path))?;
                Ok(Zeroizing::new(key))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_needed => {
                Err(DataDirError::KeyGone(path))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = Zeroizing::new([0; KEY_LENGTH]);
                getrandom::fill(key.as_mut_slice())
                    .map_err(|error| DataDirError::Random(NoRandomness(error)))?;
                write_private(&path, key.as_slice()).map_err(io_error("cannot write", &path))?;
                Ok(key)
            }
            Err(error) => Err(io_error("cannot open", &path)(error)),
        }
    }
}

/// Whole or not at all: a crash in the middle must not leave an empty token. It is there also
/// after a loss of power: without the key of values, all of them would be lost.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!("{name}.new"));
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    sync_parent(path)
}

/// A name is on the disk when its directory is. One that may be written to but not read cannot
/// be synced, and is no reason not to start.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match File::open(parent.unwrap_or(Path::new("."))) {
        Ok(dir) => dir.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

fn check_private(file: &File, path: &Path) -> Result<(), DataDirError> {
    let meta = file.metadata().map_err(io_error("cannot look at", path))?;
    if meta.mode() & 0o077 != 0 {
        return Err(DataDirError::OpenToken(path.to_owned()));
    }
    Ok(())
}

fn read_token(mut file: File, path: &Path) -> Result<Secret, DataDirError> {
    check_private(&file, path)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(io_error("cannot read", path))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(DataDirError::EmptyToken(path.to_owned()));
    }
    Ok(Secret::new(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_token_is_made_once_and_private() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b");
        let dir = DataDir::open(&path).unwrap();
        let token = dir.admin_token().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let file = path.join("admin.token");
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(dir.admin_token().unwrap().expose(), token.expose());
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(dir.admin_token(), Err(DataDirError::OpenToken(_))));
    }

    #[test]
    fn the_key_of_values_is_made_once_and_never_while_there_are_values() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        assert!(matches!(dir.secrets_key(None, true), Err(DataDirError::KeyGone(_))));
        let key = dir.secrets_key(None, false).unwrap();
        assert_eq!(*dir.secrets_key(None, true).unwrap(), *key);
        let file = temp.path().join("secrets.key");
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        std::fs::write(&file, "short").unwrap();
        assert!(matches!(dir.secrets_key(None, true), Err(DataDirError::NoKey(_))));
        let elsewhere = temp.path().join("elsewhere.key");
        let other = dir.secrets_key(Some(&elsewhere), false).unwrap();
        assert_ne!(*other, *key);
    }

    #[test]
    fn the_server_that_had_a_directory_before_is_known_and_not_by_a_copy_of_it() {
        let temp = tempfile::tempdir().unwrap();
        let (path, copy) = (temp.path().join("a"), temp.path().join("b"));
        let dir = DataDir::open(&path).unwrap();
        assert_eq!(dir.begin_server("a longer one").unwrap(), None);
        drop(dir);
        let dir = DataDir::open(&path).unwrap();
        assert_eq!(dir.begin_server("two").unwrap().as_deref(), Some("a longer one"));
        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(path.join("lock"), copy.join("lock")).unwrap();
        assert_eq!(DataDir::open(&copy).unwrap().begin_server("three").unwrap(), None);
        drop(dir);
        let dir = DataDir::open(&path).unwrap();
        assert_eq!(dir.begin_server("four").unwrap().as_deref(), Some("two"));
    }

    #[test]
    fn a_directory_serves_one_server_at_a_time() {
        let temp = tempfile::tempdir().unwrap();
        let first = DataDir::open(temp.path()).unwrap();
        assert!(matches!(DataDir::open(temp.path()), Err(DataDirError::InUse(_))));
        drop(first);
        assert!(DataDir::open(temp.path()).is_ok());
    }
}
