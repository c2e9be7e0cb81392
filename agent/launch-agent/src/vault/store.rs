//! The store on disk: a directory of root's with a lock, a key, and the sealed document, which is
//! replaced whole or not at all.

use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use zeroize::Zeroizing;

use super::seal::{self, SealError};
use super::{Document, VERSION};

/// A larger store is none: some hundred credentials have less.
const MAX_BYTES: u64 = 64 << 20;

/// Reason why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Not root.
    #[error("what is stored on this machine is root's alone, and this process is user {uid}")]
    NotRoot {
        /// User.
        uid: u32,
    },
    /// Somebody else could have put it there or could read it.
    #[error("{} {problem}", path.display())]
    Exposed {
        /// Path.
        path: PathBuf,
        /// Fault.
        problem: String,
    },
    /// A file cannot be read or written.
    #[error("could not {what} {}: {source}", path.display())]
    Io {
        /// Action that failed.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The document does not open.
    #[error("could not open {}: {source}", path.display())]
    Seal {
        /// The store.
        path: PathBuf,
        /// Cause.
        source: SealError,
    },
    /// The key is gone.
    #[error("{} is there and its key {} is not", store.display(), key.display())]
    NoKey {
        /// The store.
        store: PathBuf,
        /// Path at which the key should be.
        key: PathBuf,
    },
    /// It opens, and is no document of this version.
    #[error("{} was written by a newer russet (version {version})", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It opens, and is no document at all.
    #[error("{} holds no document of a store", path.display())]
    Malformed {
        /// The store.
        path: PathBuf,
    },
}

/// The store below a state directory.
#[derive(Clone, Debug)]
pub struct Vault {
    directory: PathBuf,
}

impl Vault {
    /// The store of the agent with this state directory. It need not exist yet.
    ///
    /// # Errors
    ///
    /// The process is not root. Threat: the same program runs in jobs, with configurations of
    /// theirs; what is stored is not even looked for there.
    pub fn open(state: &Path) -> Result<Self, VaultError> {
        let uid = nix::unistd::geteuid();
        if !uid.is_root() {
            return Err(VaultError::NotRoot { uid: uid.as_raw() });
        }
        Ok(Self::at(&state.join("vault")))
    }

    /// The store in this directory.
    pub(super) fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The key, which no backup should hold.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.directory.join("key")
    }

    fn store_file(&self) -> PathBuf {
        self.directory.join("store")
    }

    /// Everything that is stored. Nothing, where there is no store yet.
    ///
    /// # Errors
    ///
    /// It cannot be read, or others could read or have changed it.
    pub fn read(&self) -> Result<Document, VaultError> {
        let path = self.store_file();
        let Some(sealed) = self.private(&path)? else { return Ok(Document::default()) };
        let key = self
            .key()?
            .ok_or_else(|| VaultError::NoKey { store: path.clone(), key: self.key_file() })?;
        let plain = seal::open_bytes(&key, &sealed)
            .map_err(|source| VaultError::Seal { path: path.clone(), source })?;
        // The text is not shown: it is nothing but secrets.
        let document: Document = serde_json::from_slice(&plain)
            .map_err(|_| VaultError::Malformed { path: path.clone() })?;
        if document.version > VERSION {
            return Err(VaultError::Newer { path, version: document.version });
        }
        Ok(document)
    }

    /// Changes what is stored, one process at a time, whole or not at all.
    ///
    /// # Errors
    ///
    /// It cannot be read or written.
    pub fn change<T>(&self, change: impl FnOnce(&mut Document) -> T) -> Result<T, VaultError> {
        self.make_directory()?;
        let _lock = self.lock()?;
        let mut document = self.read()?;
        let key = match self.key()? {
            Some(key) => key,
            None => self.make_key()?,
        };
        let result = change(&mut document);
        let path = self.store_file();
        let plain = Zeroizing::new(
            serde_json::to_vec(&document)
                .map_err(|error| store_error("write", &path, io::Error::from(error)))?,
        );
        let sealed = seal::seal_bytes(&key, &plain)
            .map_err(|source| VaultError::Seal { path: path.clone(), source })?;
        self.replace(&path, &sealed)?;
        Ok(result)
    }

    fn make_directory(&self) -> Result<(), VaultError> {
        let path = &self.directory;
        if let Some(parent) = path.parent() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o711).create(parent);
            made.map_err(|error| store_error("make", parent, error))?;
        }
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(store_error("make", path, error))
            }
            _ => self.check_directory(),
        }
    }

    fn check_directory(&self) -> Result<(), VaultError> {
        let path = &self.directory;
        let meta =
            std::fs::symlink_metadata(path).map_err(|error| store_error("read", path, error))?;
        let problem =
            if meta.is_dir() { find_exposure(&meta) } else { Some("is no directory".into()) };
        problem.map_or(Ok(()), |problem| Err(VaultError::Exposed { path: path.clone(), problem }))
    }

    fn lock(&self) -> Result<Flock<std::fs::File>, VaultError> {
        let path = self.directory.join("lock");
        let file = create_store(&path).map_err(|error| store_error("open", &path, error))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| store_error("lock", &path, error.into()))
    }

    fn key(&self) -> Result<Option<seal::Bytes>, VaultError> {
        let path = self.key_file();
        let Some(bytes) = self.private(&path)? else { return Ok(None) };
        let key = <[u8; seal::KEY_LENGTH]>::try_from(bytes.as_slice()).map_err(|_| {
            VaultError::Exposed { path, problem: "is no key of a store".to_owned() }
        })?;
        Ok(Some(Zeroizing::new(key)))
    }

    fn make_key(&self) -> Result<seal::Bytes, VaultError> {
        let path = self.key_file();
        let key =
            seal::new_key().map_err(|source| VaultError::Seal { path: path.clone(), source })?;
        self.replace(&path, key.as_slice())?;
        Ok(key)
    }

    /// Replaces a file by a rename, synced: what was stored is there after a loss of power.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
        russet_platform::replace::write(path, bytes, 0o600)
            .map_err(|error| store_error("write", path, error))
    }

    /// The bytes of a file that nobody but this user can read or change; `None` if it is absent.
    fn private(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let read = |error| store_error("read", path, error);
        let opened = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read(error)),
        };
        self.check_directory()?;
        if let Some(problem) = find_exposure(&file.metadata().map_err(read)?) {
            return Err(VaultError::Exposed { path: path.to_owned(), problem });
        }
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(read)?;
        Ok(Some(bytes))
    }
}

fn store_error(what: &'static str, path: &Path, source: io::Error) -> VaultError {
    VaultError::Io { what, path: path.to_owned(), source }
}

fn create_store(path: &Path) -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// Describes the way in which others could read or change it.
fn find_exposure(meta: &std::fs::Metadata) -> Option<String> {
    let me = nix::unistd::geteuid().as_raw();
    if meta.uid() != me {
        return Some(format!("belongs to user {}", meta.uid()));
    }
    (meta.mode() & 0o077 != 0)
        .then(|| format!("has mode {:04o}: others can reach it", meta.mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::super::StoredToken;
    use super::{Vault, VaultError};
    use russet_protocol::secret::Secret;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    fn vault(dir: &Path) -> Vault {
        Vault::at(&dir.join("state/vault"))
    }

    fn token(text: &str) -> StoredToken {
        StoredToken { origin: "https://ci".to_owned(), token: Some(Secret::new(text)) }
    }

    #[test]
    fn what_is_stored_is_read_again_and_is_nowhere_in_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path());
        assert!(vault.read().unwrap().tokens.is_empty(), "nothing is stored at first");
        vault.change(|all| all.tokens.insert("mini".into(), token("hunter2"))).unwrap();
        vault.change(|all| all.tokens.insert("other".into(), token("other"))).unwrap();
        let all = vault.read().unwrap();
        assert_eq!(all.tokens["mini"].token.as_ref().unwrap().expose(), "hunter2");
        assert_eq!(all.tokens.len(), 2);
        for file in std::fs::read_dir(vault.directory()).unwrap().flatten() {
            let bytes = std::fs::read(file.path()).unwrap();
            assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{:?}", file.path());
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path());
        std::thread::scope(|scope| {
            for number in 0..8 {
                let vault = &vault;
                scope.spawn(move || {
                    let name = number.to_string();
                    vault.change(|all| all.tokens.insert(name, token("t"))).unwrap();
                });
            }
        });
        assert_eq!(vault.read().unwrap().tokens.len(), 8);
    }

    #[test]
    fn files_that_others_can_reach_are_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path());
        vault.change(|all| all.tokens.insert("mini".into(), token("t"))).unwrap();
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for path in [vault.key_file(), vault.store_file()] {
            set(&path, 0o640);
            assert!(matches!(vault.read(), Err(VaultError::Exposed { .. })), "{path:?}");
            set(&path, 0o600);
        }
        set(vault.directory(), 0o755);
        assert!(matches!(vault.read(), Err(VaultError::Exposed { .. })));
        set(vault.directory(), 0o700);
        // A link in its place leads elsewhere.
        let elsewhere = dir.path().join("elsewhere");
        std::fs::rename(vault.store_file(), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, vault.store_file()).unwrap();
        assert!(matches!(vault.read(), Err(VaultError::Io { .. })));
    }

    #[test]
    fn a_store_without_its_key_says_so_and_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path());
        vault.change(|all| all.tokens.insert("mini".into(), token("t"))).unwrap();
        let kept = std::fs::read(vault.store_file()).unwrap();
        std::fs::remove_file(vault.key_file()).unwrap();
        assert!(matches!(vault.read(), Err(VaultError::NoKey { .. })));
        assert!(matches!(vault.change(|_| ()), Err(VaultError::NoKey { .. })));
        assert_eq!(std::fs::read(vault.store_file()).unwrap(), kept);
    }

    #[test]
    fn a_store_of_a_newer_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path());
        vault.change(|all| all.version = 2).unwrap();
        assert!(matches!(vault.read(), Err(VaultError::Newer { version: 2, .. })));
    }

    #[test]
    fn nobody_but_root_opens_it() {
        let dir = tempfile::tempdir().unwrap();
        match Vault::open(dir.path()) {
            Ok(_) => assert!(nix::unistd::geteuid().is_root()),
            Err(error) => assert!(matches!(error, VaultError::NotRoot { .. })),
        }
    }
}
