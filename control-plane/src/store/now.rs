//! Present of a database: its clock, and the commits that may still become visible.

use super::StoreError;
use super::conn::{Conn, Link};
use super::sql::query;
use crate::clock::Clock;

impl Conn {
    /// Returns the time by the clock that leases go by, in milliseconds: on PostgreSQL that of the
    /// database, so that two servers agree, else the steady clock of this server.
    pub(crate) async fn lease_now(&mut self, clock: &dyn Clock) -> Result<i64, StoreError> {
        if !self.has_clock {
            return Ok(clock.steady_ms());
        }
        let row = query(super::postgres::NOW).fetch_one(self).await?;
        Ok(row.try_get("now_ms")?)
    }

    /// Returns the time by the clock of the database, in milliseconds; 0 on SQLite, where nobody needs
    /// it.
    pub(super) async fn database_ms(&mut self) -> Result<i64, StoreError> {
        match self.link {
            Link::SqliteReader(_) | Link::SqliteWriter(_) => Ok(0),
            Link::PostgresReader(_) | Link::PostgresTx(_) => {
                let row = query(super::postgres::NOW).fetch_one(self).await?;
                Ok(row.try_get("now_ms")?)
            }
        }
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
}
