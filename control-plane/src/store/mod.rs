//! Store of the control plane, one file per table.
//!
//! SQLite in WAL mode. Its one writer at a time is made plain here: there is a single connection
//! that writes, behind a fair lock in this process, and a few that read. So nobody ever meets
//! "database is locked", however many pipelines are submitted at once. A write transaction is a
//! [`WriteTx`]; it is numbered, which is what readers of changes go by.
//!
//! A back end on another database replaces this folder; nothing outside it knows SQL.

pub(crate) mod allocations;
pub(crate) mod archives;
pub(crate) mod artifacts;
pub(crate) mod caches;
pub(crate) mod classes;
pub(crate) mod job_tasks;
pub(crate) mod job_timings;
pub(crate) mod jobs;
pub(crate) mod line;
pub(crate) mod loads;
mod open;
pub(crate) mod orbs;
pub(crate) mod output;
pub(crate) mod pipelines;
#[cfg(test)]
mod plans;
pub(crate) mod projects;
mod rows;
pub(crate) mod runners;
pub(crate) mod serial;
pub(crate) mod sessions;
pub(crate) mod setups;
pub(crate) mod sources;
pub(crate) mod ssh_keys;
pub(crate) mod steps;
pub(crate) mod tasks;
pub(crate) mod test_results;
pub(crate) mod tokens;
pub(crate) mod variables;
pub(crate) mod workflows;
pub(crate) mod workspaces;
mod write;

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;

use crate::signals::Bus;

pub(crate) use allocations::Held;
pub(crate) use steps::StepRow;
pub(crate) use write::WriteTx;

/// Reason why the store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database refused or failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A row holds what this version cannot read.
    #[error("the database holds {what}, which this version cannot read")]
    Unreadable {
        /// Subject, for people.
        what: String,
    },
    /// The task that commits went away, because the server stops.
    #[error("the server stops")]
    Stopping,
}

/// The database.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    writer: Arc<Mutex<write::Writer>>,
    readers: SqlitePool,
    bus: Bus,
}

impl Store {
    /// A connection to read with. It sees everything that was committed before.
    pub(crate) async fn read(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        Ok(self.readers.acquire().await?)
    }

    /// Begins to write: waits for its turn, then has the database for itself.
    pub(crate) async fn write(&self) -> Result<WriteTx, StoreError> {
        WriteTx::begin(Arc::clone(&self.writer).lock_owned().await, self.bus.clone()).await
    }

    /// The signals that commits send.
    pub(crate) fn bus(&self) -> &Bus {
        &self.bus
    }
}

/// Connection of the tables' functions: a [`WriteTx`] or a connection to read.
pub(crate) type Conn = SqliteConnection;
