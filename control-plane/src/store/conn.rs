//! Connections, of one database or the other.

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};
use tokio::sync::OwnedMutexGuard;

use super::sqlite::Writer;

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

    /// The connection to SQLite, for tests of what only it has.
    #[cfg(test)]
    pub(super) fn sqlite(&mut self) -> &mut SqliteConnection {
        match self.driver() {
            Driver::Sqlite(conn) => conn,
            Driver::Postgres(_) => panic!("this is PostgreSQL"),
        }
    }
}
