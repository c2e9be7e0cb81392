//! What one server at a time does.
//!
//! Everything that may go on for longer than a transaction is done by whoever gets hold of its name,
//! and none of it depends on who that is. It has to bear being done again, and by two at once where a
//! connection broke: the right to do it ends with the connection, and nobody is told.

use sqlx::PgConnection;

use super::conn::Driver;
use super::{Backend, Store, StoreError, WriteTx};

/// The right to do something that one server at a time does, until it is dropped.
#[derive(Debug)]
pub(crate) struct Alone {
    /// Holds the lock; none on SQLite, where there is one server.
    _session: Option<PgConnection>,
}

impl Store {
    /// Begins something that one server at a time does. `None`: another one is at it.
    pub(crate) async fn try_alone(&self, job: &str) -> Result<Option<Alone>, StoreError> {
        match &self.backend {
            Backend::Sqlite(_) => Ok(Some(Alone { _session: None })),
            Backend::Postgres(postgres) => {
                let session = postgres.try_job(job).await?;
                Ok(session.map(|session| Alone { _session: Some(session) }))
            }
        }
    }
}

/// Waits until no other transaction does the same, and lets none do it until the end of this one.
pub(crate) async fn lock_job(tx: &mut WriteTx, job: &str) -> Result<(), StoreError> {
    if let Driver::Postgres(conn) = tx.driver() {
        sqlx::query(super::postgres::LOCK_JOB).bind(job).execute(conn).await?;
    }
    Ok(())
}
