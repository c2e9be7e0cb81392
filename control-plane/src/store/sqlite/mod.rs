//! SQLite: the database that needs nothing, in a file of the data directory, in WAL mode.
//!
//! Its one writer at a time is made plain here: there is a single connection that writes, behind a
//! fair lock in this process, and a few that read. So nobody ever meets "database is locked",
//! however many pipelines are submitted at once.

mod space;
mod writer;

use std::ffi::OsString;
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Row, SqlitePool};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{OpenError, StoreError};

pub(crate) use space::vacuum_database;
pub use space::{VacuumError, Vacuumed};
#[cfg(test)]
pub(super) use writer::MAX_LOG_BYTES;
pub(super) use writer::Writer;

/// Notes times at which runners were heard of; `$1` is a list of class, name and time as JSON.
pub(super) const NOTE_SEEN: &str = "UPDATE runners SET last_ms = seen.ms FROM \
     (SELECT json_extract(value, '$[0]') AS class, json_extract(value, '$[1]') AS name, \
     json_extract(value, '$[2]') AS ms FROM json_each($1)) AS seen \
     WHERE runners.class = seen.class AND runners.name = seen.name AND runners.last_ms < seen.ms";

/// Notes when tokens were used last: a document of pairs of id and milliseconds.
pub(super) const NOTE_USED: &str = "UPDATE tokens SET last_used_ms = used.ms FROM \
     (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS ms \
     FROM json_each($1)) AS used \
     WHERE tokens.id = used.id \
     AND (tokens.last_used_ms IS NULL OR tokens.last_used_ms < used.ms)";

/// Those of newer versions that it does not know are passed over: migrations only add.
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("migrations/sqlite");
    migrations.set_ignore_missing(true);
    migrations
});

/// Numbers of commits that one start of a server sets aside: more than it can use.
const NUMBERS_PER_START: i64 = 1 << 40;

/// Enough that a slow reader does not make others wait, few enough to stay small.
const READERS: u32 = 4;

/// Longest wait for the turn to write, and for a connection to read with: less than callers wait for
/// an answer.
const TURN_TIMEOUT: Duration = Duration::from_secs(20);

/// The connections to a database.
#[derive(Clone, Debug)]
pub(super) struct SqliteStore {
    writer: Arc<Mutex<Writer>>,
    pub(super) readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the database at `path`, made where it is not there.
    ///
    /// `durable` syncs every commit to disk. Without it a commit survives the end of this
    /// process, not always the loss of power; the database stays whole either way.
    pub(super) async fn open(path: &Path, durable: bool) -> Result<Self, OpenError> {
        make_private(path).map_err(OpenError::Private)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(if durable { SqliteSynchronous::Full } else { SqliteSynchronous::Normal })
            // On macOS a plain sync stops at the drive's own memory. Elsewhere this means nothing.
            .pragma("fullfsync", if durable { "1" } else { "0" })
            .foreign_keys(true)
            // Only met when somebody opens the file with another program.
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging();
        let mut conn = options
            .clone()
            // Of a new database alone: an older one is as it is until `vacuum` writes it anew.
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            // A log that one slow reader made long is cut when it is begun anew.
            .pragma("journal_size_limit", writer::MAX_LOG_BYTES.to_string())
            .connect()
            .await?;
        MIGRATIONS.run(&mut conn).await?;
        // Pages that only the migrations needed.
        sqlx::query("PRAGMA shrink_memory").execute(&mut conn).await?;
        let row = sqlx::query("UPDATE counters SET value = value + $1 RETURNING value - $1")
            .bind(NUMBERS_PER_START)
            .fetch_one(&mut conn)
            .await?;
        let writer = Writer::new(conn, row.try_get(0)?, log_of(path));
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .acquire_timeout(TURN_TIMEOUT)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self { writer: Arc::new(Mutex::new(writer)), readers })
    }

    /// Waits for the turn to write, and begins a transaction.
    ///
    /// # Errors
    /// Others write for too long, in this process or in another.
    pub(super) async fn begin(&self) -> Result<OwnedMutexGuard<Writer>, StoreError> {
        let turn = Arc::clone(&self.writer).lock_owned();
        let turn = tokio::time::timeout(TURN_TIMEOUT, turn).await;
        let mut writer = turn.map_err(|_| StoreError::WriterTaken(TURN_TIMEOUT))?;
        writer.begin().await?;
        Ok(writer)
    }

    /// Closes the readers and folds the log into the database.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        self.readers.close().await;
        let mut writer = self.writer.lock().await;
        writer.roll_back_open().await?;
        writer.checkpoint().await
    }
}

/// Returns the number of the last migration that this version knows.
pub(super) fn last_migration() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Makes the database file, and what SQLite keeps beside it, readable by its owner alone. SQLite
/// gives the files that it makes beside a database the database's own mode.
pub(super) fn make_private(path: &Path) -> std::io::Result<()> {
    drop(OpenOptions::new().create(true).append(true).mode(0o600).open(path)?);
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::set_permissions(beside(path, suffix), Permissions::from_mode(0o600)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

/// The write-ahead log of a database.
fn log_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
