//! Opening the database and bringing its schema up to date.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Row};
use tokio::sync::Mutex;

use super::write::Writer;
use super::{Store, StoreError};
use crate::signals::Bus;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// Enough that a slow reader does not make others wait, few enough to stay small.
const READERS: u32 = 4;

/// Reason why the database did not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("it can not be opened")]
    Connect(#[from] sqlx::Error),
    #[error("its schema can not be brought up to date")]
    Migrate(#[from] MigrateError),
}

impl Store {
    /// Opens the database at `path`, made where it is not there.
    ///
    /// `durable` syncs every commit to disk. Without it a commit survives the end of this
    /// process, not always the loss of power; the database stays whole either way.
    pub(crate) async fn open(path: &Path, durable: bool) -> Result<Self, OpenError> {
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
        let mut conn = options.connect().await?;
        MIGRATIONS.run(&mut conn).await?;
        let row = sqlx::query(
            "SELECT coalesce((SELECT max(rev) FROM jobs), 0), \
                    coalesce((SELECT max(rev) FROM steps), 0), \
                    coalesce((SELECT max(rev) FROM workflows), 0), \
                    coalesce((SELECT max(queue) FROM tasks), 0)",
        )
        .fetch_one(&mut conn)
        .await?;
        let rev = (0..3).map(|column| row.get::<i64, _>(column)).max().unwrap_or(0);
        let writer = Writer::new(conn, rev, row.get(3));
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self { writer: Arc::new(Mutex::new(writer)), readers, bus: Bus::default() })
    }

    /// Closes the readers and folds the log into the database.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.readers.close().await;
        let mut tx = self.writer.lock().await;
        tx.checkpoint().await
    }
}
