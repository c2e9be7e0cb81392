//! Connections, of one database or the other.

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgDatabaseError;
use sqlx::{Connection as _, PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};
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

    /// After an error that says that a newer version added columns to a table: forgets the statements
    /// that were prepared on this connection before. Returns true where the statement may be executed
    /// again; within a transaction it may not, and the whole is done again
    /// ([`StoreError::is_contended`]).
    ///
    /// [`StoreError::is_contended`]: crate::contention::MayContend::is_contended
    pub(super) async fn forgets_stale_plans(&mut self, error: &sqlx::Error) -> bool {
        if !has_stale_plan(error) {
            return false;
        }
        let Driver::Postgres(conn) = self.driver() else { return false };
        match conn.clear_cached_statements().await {
            Ok(()) => matches!(self.link, Link::PostgresReader(_)),
            Err(error) => {
                tracing::debug!(%error, "prepared statements stay");
                false
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

/// Returns true where PostgreSQL refused a prepared statement since its columns have changed: it has no
/// code of its own (`feature_not_supported`), and its text is in the language of the database.
pub(super) fn has_stale_plan(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
        .is_some_and(|error| error.routine() == Some("RevalidateCachedQuery"))
}
