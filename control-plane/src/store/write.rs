//! Write transactions.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::OwnedMutexGuard;

use super::StoreError;
use crate::signals::Bus;

/// Length of the write-ahead log above which it is cut, in bytes.
pub(super) const MAX_LOG_BYTES: u64 = 16 << 20;

/// The connection that writes.
#[derive(Debug)]
pub(super) struct Writer {
    conn: SqliteConnection,
    /// A transaction was begun and neither committed nor rolled back: whoever did it went away,
    /// and the next one rolls back first.
    open: bool,
    /// Number of the last commit.
    rev: i64,
    /// Last place in the line that was given to a task.
    queue: i64,
    /// The write-ahead log.
    log: PathBuf,
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

/// Has the database for itself until it is committed or dropped; dropped, nothing has happened.
#[derive(Debug)]
pub(crate) struct WriteTx {
    writer: OwnedMutexGuard<Writer>,
    bus: Bus,
    wake: BTreeSet<Wake>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Class(String),
    Pipeline(String),
    Task(String),
    Leases,
}

impl WriteTx {
    pub(super) async fn begin(
        mut writer: OwnedMutexGuard<Writer>,
        bus: Bus,
    ) -> Result<Self, StoreError> {
        writer.roll_back_open().await?;
        writer.open = true;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut writer.conn).await?;
        Ok(Self { writer, bus, wake: BTreeSet::new() })
    }

    /// Number of this commit, above those of all before: what is changed is marked with it.
    pub(crate) fn rev(&self) -> i64 {
        self.writer.rev + 1
    }

    /// The next place in the line. One that is not used in the end does no harm.
    pub(crate) fn next_in_line(&mut self) -> i64 {
        self.writer.queue += 1;
        self.writer.queue
    }

    /// Once committed, wakes those who wait for tasks of a class.
    pub(crate) fn wake_class(&mut self, class: &str) {
        self.wake(Wake::Class(class.to_owned()));
    }

    /// Once committed, wakes those who watch a pipeline.
    pub(crate) fn wake_pipeline(&mut self, pipeline: &str) {
        self.wake(Wake::Pipeline(pipeline.to_owned()));
    }

    /// Once committed, wakes a heartbeat that waits for news of a task.
    pub(crate) fn wake_task(&mut self, task: &str) {
        self.wake(Wake::Task(task.to_owned()));
    }

    /// Once committed, wakes the one who watches the leases.
    pub(crate) fn wake_leases(&mut self) {
        self.wake(Wake::Leases);
    }

    fn wake(&mut self, wake: Wake) {
        self.wake.insert(wake);
    }

    /// Makes it all true, then sends the signals.
    ///
    /// In a task of its own: a caller whose connection is cut in the middle goes away, and what
    /// was committed without its signals would leave others waiting for ever.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        tokio::spawn(self.finish()).await.map_err(|_| StoreError::Stopping)?
    }

    async fn finish(mut self) -> Result<(), StoreError> {
        sqlx::query("COMMIT").execute(&mut self.writer.conn).await?;
        self.writer.open = false;
        self.writer.rev += 1;
        let Self { mut writer, bus, wake } = self;
        // The commit stands, whatever becomes of the log.
        if let Err(error) = writer.bound_log().await {
            tracing::warn!(
                error = russet_text::error_chain(&error),
                "the log of the database was not cut"
            );
        }
        drop(writer);
        for wake in wake {
            match wake {
                Wake::Class(name) => bus.classes.wake(&name),
                Wake::Pipeline(name) => bus.pipelines.wake(&name),
                Wake::Task(name) => bus.tasks.wake(&name),
                Wake::Leases => bus.leases.wake(""),
            }
        }
        Ok(())
    }

    /// Takes everything back at once. A transaction that is merely dropped is taken back by the
    /// next one to begin.
    pub(crate) async fn rollback(mut self) -> Result<(), StoreError> {
        sqlx::query("ROLLBACK").execute(&mut self.writer.conn).await?;
        self.writer.open = false;
        Ok(())
    }
}

impl Deref for WriteTx {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.writer.conn
    }
}

impl DerefMut for WriteTx {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.writer.conn
    }
}
