//! Store of the control plane, one file per table, on SQLite or PostgreSQL.
//!
//! The tables' functions know neither: they write SQL that both take (`sql.rs`) to a connection of
//! one or the other (`conn.rs`). What differs is in `sqlite/`, `postgres/` and `locks.rs`. A write
//! transaction is a [`WriteTx`]; it is numbered, which is what readers of changes go by.
//!
//! Nothing outside this folder knows SQL.

pub(crate) mod abilities;
pub(crate) mod alert_targets;
pub(crate) mod alerts;
pub(crate) mod allocations;
pub(crate) mod alone;
pub(crate) mod archives;
pub(crate) mod artifacts;
pub(crate) mod audit_events;
mod availability;
pub(crate) mod branch_submissions;
pub(crate) mod caches;
mod claimed;
pub(crate) mod claims;
pub(crate) mod classes;
pub(crate) mod commit_statuses;
mod completions;
mod conn;
pub(crate) mod device_logins;
pub(crate) mod git_connections;
pub(crate) mod git_refs;
pub(crate) mod identities;
pub(crate) mod installation;
pub(crate) mod job_tasks;
pub(crate) mod job_timings;
pub(crate) mod jobs;
pub(crate) mod line;
pub(crate) mod listed;
pub(crate) mod loads;
pub(crate) mod locks;
pub(crate) mod look;
pub(crate) mod names;
pub(crate) mod namespaces;
pub(crate) mod notify_targets;
mod now;
pub(crate) mod open_jobs;
pub(crate) mod orbs;
pub(crate) mod outbox;
pub(crate) mod output;
pub(crate) mod pauses;
pub(crate) mod pipeline_pages;
pub(crate) mod pipelines;
#[cfg(test)]
mod plan_docs;
#[cfg(test)]
mod plans;
mod postgres;
pub(crate) mod project_settings;
pub(crate) mod projects;
pub(crate) mod removal;
pub(crate) mod reports;
pub(crate) mod retention;
mod rows;
pub(crate) mod runner_names;
pub(crate) mod runners;
pub(crate) mod runs;
pub(crate) mod schedules;
pub(crate) mod serial;
pub(crate) mod servers;
pub(crate) mod sessions;
pub(crate) mod setups;
pub(crate) mod sources;
mod sql;
mod sqlite;
pub(crate) mod ssh_accesses;
pub(crate) mod ssh_keys;
pub(crate) mod steps;
pub(crate) mod task_limits;
pub(crate) mod task_ssh;
pub(crate) mod tasks;
pub(crate) mod test_results;
pub(crate) mod tokens;
pub(crate) mod traced;
pub(crate) mod transfer;
pub(crate) mod trigger_events;
pub(crate) mod unnamed;
pub(crate) mod usage;
pub(crate) mod user_sessions;
pub(crate) mod user_ssh_keys;
pub(crate) mod user_tokens;
pub(crate) mod users;
pub(crate) mod variables;
pub(crate) mod webhook_deliveries;
pub(crate) mod workflows;
pub(crate) mod workspaces;
mod write;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use sqlx::migrate::MigrateError;

use crate::contention::{MayContend, is_code};
use crate::lacks::Lack;
use crate::meters::StoreMeters;
use crate::signals::Bus;
use crate::trace_events::EndedSink;
use conn::Link;

pub(crate) use allocations::Held;
pub(crate) use claimed::{Claim, Claimed};
pub(crate) use conn::Conn;
pub(crate) use postgres::{Channel, Heard, Teller};
pub use postgres::{DatabaseUrl, DatabaseUrlError};
pub(crate) use sql::statement_count;
pub(crate) use sqlite::vacuum_database;
pub use sqlite::{VacuumError, Vacuumed};
pub(crate) use steps::StepRow;
pub(crate) use write::WriteTx;

/// Reason why the database did not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("it cannot be made its owner's alone")]
    Private(#[source] std::io::Error),
    #[error("it cannot be opened")]
    Connect(#[from] sqlx::Error),
    #[error("its schema cannot be brought up to date")]
    Migrate(#[from] MigrateError),
    #[error(
        "a newer version brought it to a state that servers below schema {needed} cannot use, and \
         this one knows {known}: start a newer version"
    )]
    TooNew {
        /// Lowest schema that a server has to know.
        needed: i64,
        /// Highest that this one does.
        known: i64,
    },
    #[error("it cannot be read")]
    Read(#[source] Box<StoreError>),
    #[error("{0}")]
    Unsuitable(String),
    #[error(
        "a move into it has not ended: run `russet server migrate` or `russet server restore` again, \
         as before"
    )]
    HalfMoved,
}

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
    /// A row that was to be removed has changed since it was looked at.
    #[error("the row has changed")]
    Changed,
    /// Others write for too long.
    #[error("the turn to write did not come within {0:?}")]
    WriterTaken(Duration),
    /// The connection broke while a transaction was committed: it may have been, or not.
    #[error("the connection to the database broke during a commit, which may have been done")]
    Doubtful(#[source] sqlx::Error),
    /// The task that commits went away, because the server stops.
    #[error("the server stops")]
    Stopping,
}

impl MayContend for StoreError {
    /// Returns true where the database took a transaction back for another's sake, or since a newer
    /// version changed a table.
    fn is_contended(&self) -> bool {
        self.code().is_some_and(|code| is_code(&code))
            || matches!(self, Self::Database(error) if conn::has_stale_plan(error))
    }
}

impl StoreError {
    /// Returns the code of an error that the database reported.
    fn code(&self) -> Option<String> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code().map(Into::into),
            _ => None,
        }
    }

    /// Returns what there was too little of, where nothing has happened and the same may work a moment
    /// later.
    pub(crate) fn lack(&self) -> Option<Lack> {
        match self {
            Self::WriterTaken(_) => Some(Lack::Writer),
            Self::Database(error) => availability::lack_of(error),
            _ => None,
        }
    }

    /// Returns true where nobody knows whether the transaction was committed.
    pub(crate) fn is_doubtful(&self) -> bool {
        matches!(self, Self::Doubtful(_) | Self::Stopping)
    }

    /// An error of a commit: without the connection nobody knows whether it was done.
    fn of_commit(error: sqlx::Error) -> Self {
        if availability::is_lost(&error) { Self::Doubtful(error) } else { Self::Database(error) }
    }

    /// Returns true where somebody else made or removed at the same time what a row names.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Changed)
            || matches!(self, Self::Database(sqlx::Error::Database(error))
            if error.is_unique_violation() || error.is_foreign_key_violation())
    }

    /// Returns true where a text is longer than an index of PostgreSQL takes
    /// (`program_limit_exceeded`).
    pub(crate) fn is_too_long(&self) -> bool {
        self.code().is_some_and(|code| code == "54000")
    }
}

/// The database.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    backend: Backend,
    bus: Bus,
    /// Number of the last migration that this version knows.
    known: i64,
    /// Numbers of its transactions.
    meters: Arc<StoreMeters>,
    /// The way to those who make traces, once there are any.
    traces: Arc<OnceLock<EndedSink>>,
}

#[derive(Clone, Debug)]
enum Backend {
    Sqlite(sqlite::SqliteStore),
    Postgres(Box<postgres::PostgresStore>),
}

impl Store {
    /// Opens the SQLite database at `path`, made where it is not there.
    ///
    /// `durable` syncs every commit to disk. Without it a commit survives the end of this
    /// process, not always the loss of power; the database stays whole either way.
    pub(crate) async fn open(path: &Path, durable: bool) -> Result<Self, OpenError> {
        let backend = Backend::Sqlite(sqlite::SqliteStore::open(path, durable).await?);
        Self::checked(backend, sqlite::last_migration()).await
    }

    /// Opens a PostgreSQL database. With `has_clock` leases go by its clock, else by that of this
    /// server.
    pub(crate) async fn connect(url: &DatabaseUrl, has_clock: bool) -> Result<Self, OpenError> {
        let backend =
            Backend::Postgres(Box::new(postgres::PostgresStore::open(url, has_clock).await?));
        Self::checked(backend, postgres::last_migration()).await
    }

    /// Refuses a database that newer versions have made unusable for this one.
    async fn checked(backend: Backend, known: i64) -> Result<Self, OpenError> {
        let store = Self {
            backend,
            bus: Bus::default(),
            known,
            meters: Arc::default(),
            traces: Arc::default(),
        };
        match store.too_new().await {
            Ok(None) => store.check_whole().await,
            Ok(Some(needed)) => Err(OpenError::TooNew { needed, known }),
            Err(error) => Err(OpenError::Read(Box::new(error))),
        }
    }

    /// Refuses half of a move.
    async fn check_whole(self) -> Result<Self, OpenError> {
        let is_half = match self.read().await {
            Ok(mut conn) => installation::is_half_moved(&mut conn).await,
            Err(error) => Err(error),
        };
        match is_half {
            Ok(false) => Ok(self),
            Ok(true) => Err(OpenError::HalfMoved),
            Err(error) => Err(OpenError::Read(Box::new(error))),
        }
    }

    /// Returns the schema that a server has to know to use the database, where this one does not.
    pub(crate) async fn too_new(&self) -> Result<Option<i64>, StoreError> {
        let needed = servers::min_schema(&mut self.read().await?).await?;
        Ok(Some(needed).filter(|needed| *needed > self.known))
    }

    /// Returns the number of the last migration that this version knows.
    pub(crate) fn known(&self) -> i64 {
        self.known
    }

    /// Returns true where other servers may use the database too.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.backend, Backend::Postgres(_))
    }

    /// Opens the way to and from the other servers of the database; none on SQLite.
    pub(crate) fn channel(&self) -> Option<(Teller, Channel)> {
        match &self.backend {
            Backend::Sqlite(_) => None,
            Backend::Postgres(postgres) => Some(postgres.channel()),
        }
    }

    /// A connection to read with. It sees everything that was committed before.
    pub(crate) async fn read(&self) -> Result<Conn, StoreError> {
        // The future of a pool takes 4 kB. Boxed, it has them for as long as it waits; else every call
        // that waits for something else would have them.
        Ok(match &self.backend {
            Backend::Sqlite(sqlite) => Conn {
                link: Link::SqliteReader(Box::pin(sqlite.readers.acquire()).await?),
                has_clock: false,
            },
            Backend::Postgres(postgres) => Conn {
                link: Link::PostgresReader(Box::pin(postgres.readers.acquire()).await?),
                has_clock: postgres.has_clock(),
            },
        })
    }

    /// Begins to write.
    pub(crate) async fn write(&self) -> Result<WriteTx, StoreError> {
        self.meters.count_write();
        let asked = Instant::now();
        let tx = Box::pin(WriteTx::begin(self)).await?;
        self.meters.note_write_wait(asked.elapsed());
        Ok(tx)
    }

    /// Tells of what ends in commits from now on.
    pub(crate) fn set_traces(&self, sink: EndedSink) {
        // A second way is never made.
        drop(self.traces.set(sink));
    }

    /// Returns true where traces are made.
    pub(crate) fn has_traces(&self) -> bool {
        self.traces.get().is_some()
    }

    /// Numbers of its transactions.
    pub(crate) fn meters(&self) -> &StoreMeters {
        &self.meters
    }

    /// The signals that commits send.
    pub(crate) fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Gives some of the free pages of the database back to the disk. Returns true while there are
    /// more. PostgreSQL does that itself (autovacuum).
    pub(crate) async fn give_back_space(&self) -> Result<bool, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.give_back_space().await,
            Backend::Postgres(_) => Ok(false),
        }
    }

    /// Returns the bytes that the database takes, and those of them that are free.
    pub(crate) async fn size(&self) -> Result<(u64, u64), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.size().await,
            Backend::Postgres(postgres) => Ok((postgres.size().await?, 0)),
        }
    }

    /// Closes the connections.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.close().await,
            Backend::Postgres(postgres) => postgres.close().await,
        }
    }
}
