//! Write transactions.

use std::ops::{Deref, DerefMut};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::OwnedMutexGuard;

use super::StoreError;
use crate::signals::Bus;

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
}

impl Writer {
    pub(super) fn new(conn: SqliteConnection, rev: i64, queue: i64) -> Self {
        Self { conn, open: false, rev, queue }
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
    wake: Vec<Wake>,
}

#[derive(Debug, PartialEq, Eq)]
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
        if writer.open {
            // It may have got as far as its commit: then there is nothing to roll back, which
            // SQLite calls an error.
            if let Err(error) = sqlx::query("ROLLBACK").execute(&mut writer.conn).await {
                tracing::debug!(%error, "nothing to roll back");
            }
            writer.conn.ping().await?;
        }
        writer.open = true;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut writer.conn).await?;
        Ok(Self { writer, bus, wake: Vec::new() })
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
        if !self.wake.contains(&wake) {
            self.wake.push(wake);
        }
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
        let Self { writer, bus, wake } = self;
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
