//! Place where a server keeps its data, opened from the outside.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Cause, MoveError, file_error};
use crate::data_dir::{DataDir, DataDirError};
use crate::objects::{Objects, S3Settings};
use crate::store::transfer::{self, Side, State};
use crate::store::{DatabaseUrl, OpenError};

/// Place where a server keeps its data, as the server's own options name it.
#[derive(Clone, Debug)]
pub struct Place {
    /// Data directory.
    pub data_dir: PathBuf,
    /// Database on PostgreSQL. `None`: SQLite, in the data directory.
    pub database: Option<DatabaseUrl>,
    /// Objects in a bucket of S3. `None`: in the data directory.
    pub objects: Option<S3Settings>,
}

/// Place that objects are moved to.
#[derive(Clone, Debug)]
pub enum ObjectsPlace {
    /// A directory, made where it is not there.
    Directory(PathBuf),
    /// A bucket of S3.
    S3(S3Settings),
}

impl std::fmt::Display for ObjectsPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(dir) => dir.display().fmt(f),
            Self::S3(settings) => settings.url.fmt(f),
        }
    }
}

impl ObjectsPlace {
    pub(super) async fn open(&self) -> Result<Objects, MoveError> {
        match self {
            Self::Directory(dir) => open_directory(dir),
            Self::S3(settings) => open_bucket(settings).await,
        }
    }
}

async fn open_bucket(settings: &S3Settings) -> Result<Objects, MoveError> {
    let opened = Objects::in_bucket(settings).await;
    opened.map_err(|error| MoveError::Objects(settings.url.to_string(), Box::new(error)))
}

impl Place {
    /// Returns the database's name, for people.
    pub(super) fn database_name(&self) -> String {
        match &self.database {
            Some(url) => url.to_string(),
            None => self.sqlite_file().display().to_string(),
        }
    }

    pub(super) fn sqlite_file(&self) -> PathBuf {
        self.data_dir.join("russet.db")
    }

    pub(super) fn objects_dir(&self) -> PathBuf {
        self.data_dir.join("objects")
    }

    /// Opens the database to read it. It has to be whole, and of our version.
    pub(super) async fn open_database(&self) -> Result<(Side, i64), MoveError> {
        let name = self.database_name();
        let opened = match &self.database {
            Some(url) => Side::read_postgres(url).await,
            None if !self.sqlite_file().is_file() => {
                return Err(MoveError::NoData(self.sqlite_file()));
            }
            None => Side::read_sqlite(&self.sqlite_file()).await,
        };
        let mut side = opened.map_err(|error| MoveError::Open(name.clone(), Box::new(error)))?;
        let failed =
            |error: transfer::TransferError| MoveError::Open(name.clone(), Box::new(error));
        let version = transfer::check_version(&mut side).await.map_err(failed)?;
        match transfer::state(&mut side).await.map_err(failed)? {
            State::Half(_) => Err(MoveError::HalfSource(name)),
            State::Empty | State::Used(_) => Ok((side, version)),
        }
    }

    /// Opens the objects.
    pub(super) async fn open_objects(&self) -> Result<Objects, MoveError> {
        match &self.objects {
            None => open_directory(&self.objects_dir()),
            Some(settings) => open_bucket(settings).await,
        }
    }

    /// Keeps servers out of the data directory while this is held.
    pub(super) fn hold(&self) -> Result<DataDir, MoveError> {
        if !self.data_dir.is_dir() {
            return Err(MoveError::NoData(self.data_dir.clone()));
        }
        DataDir::open(&self.data_dir).map_err(|error| match error {
            DataDirError::InUse(path) => MoveError::InUse(path.display().to_string()),
            other => MoveError::Open(self.data_dir.display().to_string(), Box::new(other)),
        })
    }
}

/// Opens a directory of objects, made where it is not there.
fn open_directory(dir: &Path) -> Result<Objects, MoveError> {
    private_dir(dir)?;
    let failed = |error| MoveError::Objects(dir.display().to_string(), Box::new(error) as Cause);
    Objects::in_directory(dir, true).map_err(failed)
}

/// Makes a directory for its owner alone, and those above it.
pub(super) fn private_dir(dir: &Path) -> Result<(), MoveError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(file_error("cannot make", dir))
}

/// Makes sure that a name in a directory survives a loss of power.
pub(super) fn sync_dir(dir: &Path) -> Result<(), MoveError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(file_error("cannot sync", dir))
}

/// Opens a database of PostgreSQL to fill it. No server may use it.
pub(super) async fn open_target(url: &DatabaseUrl) -> Result<Side, MoveError> {
    let failed = |error: OpenError| MoveError::Open(url.to_string(), Box::new(error));
    let mut side = Side::fill_postgres(url).await.map_err(failed)?;
    let servers = transfer::servers(&mut side).await;
    match servers.map_err(|error| MoveError::Open(url.to_string(), Box::new(error)))? {
        0 => Ok(side),
        _ => Err(MoveError::InUse(url.to_string())),
    }
}
