//! A look at a database that changes nothing: neither its schema nor its rows.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use tokio::time::timeout;

use super::DatabaseUrl;
use super::postgres::NOW;
use super::sqlite::last_migration;

/// Longest wait for a connection and short statements.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest check of a whole database. A large one takes minutes.
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);

/// State of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// Number of its newest migration.
    pub schema: i64,
    /// Number of the newest migration that this version knows.
    pub known: i64,
    /// Lowest schema that a server has to know.
    pub needed: i64,
    /// Result of SQLite's quick check. `None`: it took too long, or the database checks itself.
    pub integrity: Option<Result<(), String>>,
    /// Clock of the database less that of this machine, in milliseconds. `None`: it is the same.
    pub skew_ms: Option<i64>,
}

/// Reason why there is nothing to say of a database.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// It cannot be reached or read.
    #[error("it cannot be read")]
    Database(#[from] sqlx::Error),
    /// It does not answer.
    #[error("it does not answer within {} seconds", LOOK_TIMEOUT.as_secs())]
    Slow,
}

async fn in_time<T>(look: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, LookError> {
    Ok(timeout(LOOK_TIMEOUT, look).await.map_err(|_| LookError::Slow)??)
}

/// Statement for the newest migration.
const SCHEMA: &str = "SELECT max(version) FROM _sqlx_migrations";

/// Statement for the lowest schema that a server has to know.
const NEEDED: &str = "SELECT min_schema FROM database_state WHERE id = 1";

/// Looks at a file of SQLite.
pub(crate) async fn look_at_sqlite(path: &Path) -> Result<DatabaseFacts, LookError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(LOOK_TIMEOUT)
        .disable_statement_logging();
    let mut conn: SqliteConnection = in_time(options.connect()).await?;
    let schema = in_time(sqlx::query(SCHEMA).fetch_one(&mut conn)).await?.try_get(0)?;
    let needed = in_time(sqlx::query(NEEDED).fetch_one(&mut conn)).await?.try_get(0)?;
    let check = sqlx::query("PRAGMA quick_check(1)").fetch_one(&mut conn);
    let integrity = match timeout(CHECK_TIMEOUT, check).await {
        Err(_) => None,
        Ok(row) => {
            let said: String = row?.try_get(0)?;
            Some(if said == "ok" { Ok(()) } else { Err(said) })
        }
    };
    Ok(DatabaseFacts { schema, known: last_migration(), needed, integrity, skew_ms: None })
}

/// Looks at a database of PostgreSQL.
pub(crate) async fn look_at_postgres(url: &DatabaseUrl) -> Result<DatabaseFacts, LookError> {
    let options = url.options().clone().disable_statement_logging();
    let mut conn: PgConnection = in_time(options.connect()).await?;
    let schema = in_time(sqlx::query(SCHEMA).fetch_one(&mut conn)).await?.try_get(0)?;
    let needed = in_time(sqlx::query(NEEDED).fetch_one(&mut conn)).await?.try_get(0)?;
    let there_ms: i64 = in_time(sqlx::query(NOW).fetch_one(&mut conn)).await?.try_get(0)?;
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let here_ms = i64::try_from(here.as_millis()).unwrap_or(i64::MAX);
    // A connection that is not ended well is of no matter.
    drop(conn.close().await);
    let skew_ms = Some(there_ms.saturating_sub(here_ms));
    Ok(DatabaseFacts { schema, known: last_migration(), needed, integrity: None, skew_ms })
}
