//! The one connection that writes, its numbers and its log.

use std::path::PathBuf;

use sqlx::{Connection, SqliteConnection};

use super::super::StoreError;

/// Length of the write-ahead log above which it is cut, in bytes.
pub(in super::super) const MAX_LOG_BYTES: u64 = 16 << 20;

/// The connection that writes.
#[derive(Debug)]
pub(in super::super) struct Writer {
    conn: SqliteConnection,
    /// A transaction was begun and neither committed nor rolled back: whoever did it went away,
    /// and the next one rolls back first.
    open: bool,
    /// Number of the last commit.
    rev: i64,
    /// Last place in the line that was given to a task.
    queue: i64,
    /// The write-ahead log.
    pub(super) log: PathBuf,
    /// Commits since the length of the log was last looked at.
    unchecked: u32,
}

/// Commits after which the length of the log is looked at.
const LOG_CHECK_INTERVAL: u32 = 256;

/// Time that readers have to let go of a log that is to be cut, in milliseconds. Nothing is
/// written meanwhile.
const READERS_TIMEOUT_MS: u32 = 100;

/// Time that a statement waits for another program that has the database, in milliseconds.
const BUSY_TIMEOUT_MS: u32 = 10_000;

impl Writer {
    /// All numbers that are given from now on are above `last`.
    pub(super) fn new(conn: SqliteConnection, last: i64, log: PathBuf) -> Self {
        Self { conn, open: false, rev: last, queue: last, log, unchecked: 0 }
    }

    pub(in super::super) fn conn(&mut self) -> &mut SqliteConnection {
        &mut self.conn
    }

    /// Number of the commit of the transaction that is open, above those of all before.
    pub(in super::super) fn next_rev(&self) -> i64 {
        self.rev + 1
    }

    /// The next place in the line.
    pub(in super::super) fn next_in_line(&mut self) -> i64 {
        self.queue += 1;
        self.queue
    }

    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        self.roll_back_open().await?;
        self.open = true;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.conn).await?;
        Ok(())
    }

    pub(in super::super) async fn commit(&mut self) -> Result<(), StoreError> {
        sqlx::query("COMMIT").execute(&mut self.conn).await?;
        self.open = false;
        self.rev += 1;
        // The commit stands, whatever becomes of the log.
        if let Err(error) = self.bound_log().await {
            tracing::warn!(
                error = russet_text::error_chain(&error),
                "the log of the database was not cut"
            );
        }
        Ok(())
    }

    pub(in super::super) async fn roll_back(&mut self) -> Result<(), StoreError> {
        sqlx::query("ROLLBACK").execute(&mut self.conn).await?;
        self.open = false;
        Ok(())
    }

    /// Takes back a transaction whose owner went away before its commit.
    pub(super) async fn roll_back_open(&mut self) -> Result<(), StoreError> {
        if self.open {
            // It may have got as far as its commit: then there is nothing to roll back, which
            // SQLite calls an error.
            if let Err(error) = sqlx::query("ROLLBACK").execute(&mut self.conn).await {
                tracing::debug!(%error, "nothing to roll back");
            }
            self.conn.ping().await?;
            self.open = false;
        }
        Ok(())
    }

    /// Cuts a log that readers kept from being begun anew. Where one still does, the next look
    /// tries again.
    async fn bound_log(&mut self) -> Result<(), StoreError> {
        self.unchecked += 1;
        if self.unchecked < LOG_CHECK_INTERVAL {
            return Ok(());
        }
        self.unchecked = 0;
        if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > MAX_LOG_BYTES) {
            self.set_busy_timeout(READERS_TIMEOUT_MS).await?;
            let done = self.checkpoint().await;
            self.set_busy_timeout(BUSY_TIMEOUT_MS).await?;
            done?;
        }
        Ok(())
    }

    async fn set_busy_timeout(&mut self, ms: u32) -> Result<(), StoreError> {
        let pragma = format!("PRAGMA busy_timeout = {ms}");
        sqlx::query(sqlx::AssertSqlSafe(pragma)).execute(&mut self.conn).await?;
        Ok(())
    }

    /// Folds the log into the database.
    pub(super) async fn checkpoint(&mut self) -> Result<(), StoreError> {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.conn).await?;
        Ok(())
    }
}
