//! Connections, of one database or the other.

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};
use tokio::sync::OwnedMutexGuard;

use super::StoreError;
use super::sql::query;
use super::sqlite::Writer;
use crate::clock::Clock;

/// Connection of the tables' functions: one to read with, or that of a [`super::WriteTx`].
#[derive(Debug)]
pub(crate) struct Conn {
    pub(super) link: Link,
    /// Leases go by the clock of the database.
    pub(super) has_clock: bool,
}

/// The connection itself.
#[derive(Debug)]
pub(super) enum Link {
    SqliteReader(PoolConnection<Sqlite>),
    SqliteWriter(OwnedMutexGuard<Writer>),
    PostgresReader(PoolConnection<Postgres>),
    PostgresTx(Transaction<'static, Postgres>),
}

/// A connection as its driver takes it.
pub(super) enum Driver<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Conn {
    pub(super) fn driver(&mut self) -> Driver<'_> {
        match &mut self.link {
            Link::SqliteReader(conn) => Driver::Sqlite(conn),
            Link::SqliteWriter(writer) => Driver::Sqlite(writer.conn()),
            Link::PostgresReader(conn) => Driver::Postgres(conn),
            Link::PostgresTx(tx) => Driver::Postgres(tx),
        }
    }

    /// Returns the time by the clock that leases go by, in milliseconds: on PostgreSQL that of the
    /// database, so that two servers agree, else the steady clock of this server.
    pub(crate) async fn lease_now(&mut self, clock: &dyn Clock) -> Result<i64, StoreError> {
        if !self.has_clock {
            return Ok(clock.steady_ms());
        }
        let row = query(super::postgres::NOW).fetch_one(self).await?;
        Ok(row.try_get("now_ms")?)
    }

    /// Returns the number from which on commits may still become visible that are not yet: a
    /// reader of changes who looks after this call has everything below it.
    pub(crate) async fn horizon(&mut self) -> Result<i64, StoreError> {
        match self.link {
            // Commits are numbered by the one who writes, in the order in which they are made.
            Link::SqliteReader(_) | Link::SqliteWriter(_) => Ok(i64::MAX),
            Link::PostgresReader(_) | Link::PostgresTx(_) => {
                let row = query(super::postgres::HORIZON).fetch_one(self).await?;
                Ok(row.try_get("horizon")?)
            }
        }
    }

    /// The connection to SQLite, for tests of what only it has.
    #[cfg(test)]
    pub(super) fn sqlite(&mut self) -> &mut SqliteConnection {
        match self.driver() {
            Driver::Sqlite(conn) => conn,
            Driver::Postgres(_) => panic!("this is PostgreSQL"),
        }
    }
}
