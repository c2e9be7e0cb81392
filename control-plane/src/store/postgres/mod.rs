//! PostgreSQL: connections, and the statements that only it has.
//!
//! Transactions run side by side there, each under what it locks (`../locks.rs`), at the isolation
//! level READ COMMITTED. A change is marked with the id of its transaction. Ids rise as
//! transactions begin, not as they become visible, so a reader goes by the horizon of a snapshot:
//! every transaction below it had ended when the snapshot was taken, and every one that ends later
//! is at or above it. A reader that takes the horizon first, reads then, and begins its next look
//! at the horizon skips nothing, whatever it has seen above.

mod channel;
mod claim;
#[cfg(test)]
pub(super) mod plans;
#[cfg(test)]
mod tests;
mod url;

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres, Row as _, Transaction,
};

use super::{OpenError, StoreError};
pub(crate) use channel::{Channel, Heard, Teller};
pub(super) use claim::CLAIM;
pub use url::{DatabaseUrl, DatabaseUrlError};

/// Those of newer versions that it does not know are passed over: migrations only add.
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("migrations/postgres");
    migrations.set_ignore_missing(true);
    migrations
});

/// Notes times at which runners were heard of; `$1` is a list of class, name and time as JSON.
pub(super) const NOTE_SEEN: &str = "UPDATE runners SET last_ms = seen.ms FROM \
     (SELECT value->>0 AS class, value->>1 AS name, CAST(value->>2 AS BIGINT) AS ms \
     FROM jsonb_array_elements(CAST($1 AS JSONB))) AS seen \
     WHERE runners.class = seen.class AND runners.name = seen.name AND runners.last_ms < seen.ms";

/// Notes when tokens were used last: a document of pairs of id and milliseconds.
pub(super) const NOTE_USED: &str = "UPDATE tokens SET last_used_ms = used.ms FROM \
     (SELECT value->>0 AS id, CAST(value->>1 AS BIGINT) AS ms \
     FROM jsonb_array_elements(CAST($1 AS JSONB))) AS used \
     WHERE tokens.id = used.id \
     AND (tokens.last_used_ms IS NULL OR tokens.last_used_ms < used.ms)";

/// Time by the clock of the database.
pub(super) const NOW: &str =
    "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms";

/// Lowest id of a transaction that had not ended at a snapshot.
pub(super) const HORIZON: &str =
    "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon";

/// Takes a place in the line.
pub(super) const NEXT_IN_LINE: &str = "SELECT nextval('places_in_line') AS place";

/// Locks a serial group until the end of the transaction.
pub(super) const LOCK_GROUP: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";

/// Lets one server at a time do something until the end of the transaction.
pub(super) const LOCK_JOB: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))";

/// The same until the end of the session. False where another one has it.
const TRY_JOB: &str = "SELECT pg_try_advisory_lock(hashtextextended($1, 1))";

/// Id and time of a transaction that begins.
const BEGIN: &str = "SELECT pg_current_xact_id()::text::bigint AS number, \
                     floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms";

/// First version with ids of transactions of 64 bits, as `server_version_num` has it.
const MIN_VERSION: i32 = 130_000;

/// Connections that read, and as many that write: apart, since a caller that reads may wait for one
/// to write with.
const POOL: u32 = 8;

/// Prepared statements that a connection keeps: more than there are.
const MAX_STATEMENTS: usize = 300;

/// Longest wait for a connection of a pool: then the call is told to try again.
const POOL_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for which a connection that was not used is trusted to be there still. Shorter than a restart of
/// the database takes.
const UNTESTED_TIME: Duration = Duration::from_millis(500);

/// Settings of a session: nobody waits for a lock for ever, a transaction whose server hangs is taken
/// back (both in milliseconds), and so is the session of one whose machine is gone (in seconds).
const SESSION: [(&str, &str); 5] = [
    ("lock_timeout", "10000"),
    ("idle_in_transaction_session_timeout", "60000"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

/// The connections to a database.
#[derive(Clone, Debug)]
pub(super) struct PostgresStore {
    pub(super) readers: PgPool,
    writers: PgPool,
    options: PgConnectOptions,
    /// Leases go by the clock of the database.
    has_clock: bool,
}

/// A transaction that has begun.
pub(super) struct Begun {
    pub(super) tx: Transaction<'static, Postgres>,
    /// Its id, which its changes are marked with.
    pub(super) number: i64,
    pub(super) now_ms: i64,
}

impl PostgresStore {
    /// Connects, and brings the schema up to date.
    pub(super) async fn open(url: &DatabaseUrl, has_clock: bool) -> Result<Self, OpenError> {
        let options = url
            .options()
            .clone()
            .application_name("russet")
            .statement_cache_capacity(MAX_STATEMENTS)
            .options(SESSION)
            .disable_statement_logging();
        let mut conn = options.clone().connect().await?;
        check_server(&mut conn).await?;
        // Holds an advisory lock, so that two servers do not migrate at once.
        MIGRATIONS.run(&mut conn).await?;
        drop(conn);
        let (readers, writers) = (pool(options.clone()).await?, pool(options.clone()).await?);
        Ok(Self { readers, writers, options, has_clock })
    }

    pub(super) fn has_clock(&self) -> bool {
        self.has_clock
    }

    pub(super) async fn begin(&self) -> Result<Begun, StoreError> {
        let mut tx = self.writers.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        let row = sqlx::query(BEGIN).fetch_one(&mut *tx).await?;
        Ok(Begun { number: row.try_get("number")?, now_ms: row.try_get("now_ms")?, tx })
    }

    /// Opens a session that may do what one server at a time does; none where another may.
    pub(super) async fn try_job(&self, name: &str) -> Result<Option<PgConnection>, StoreError> {
        let mut session = self.options.connect().await?;
        let is_ours: bool = sqlx::query_scalar(TRY_JOB).bind(name).fetch_one(&mut session).await?;
        Ok(is_ours.then_some(session))
    }

    /// Opens the way to and from the other servers of the database.
    pub(super) fn channel(&self) -> (Teller, Channel) {
        (Teller::new(self.options.clone()), Channel::new(&self.options))
    }

    /// Returns the bytes that the database takes.
    pub(super) async fn size(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT pg_database_size(current_database()) AS size")
            .fetch_one(&self.readers)
            .await?;
        Ok(u64::try_from(row.try_get::<i64, _>("size")?).unwrap_or(0))
    }

    pub(super) async fn close(&self) -> Result<(), StoreError> {
        self.readers.close().await;
        self.writers.close().await;
        Ok(())
    }
}

/// Returns the number of the last migration that this version knows.
pub(super) fn last_migration() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

async fn pool(options: PgConnectOptions) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(POOL)
        .acquire_timeout(POOL_TIMEOUT)
        // A round trip each time one is taken would be a good part of all there are.
        .test_before_acquire(false)
        .before_acquire(|conn, about| {
            Box::pin(async move {
                if about.idle_for >= UNTESTED_TIME {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(options)
        .await
}

/// Refuses a database that cannot hold what we store.
pub(super) async fn check_server(conn: &mut PgConnection) -> Result<(), OpenError> {
    let facts = "SELECT current_setting('server_version_num')::int AS version, \
                 current_setting('server_version') AS shown, \
                 current_setting('server_encoding') AS encoding";
    let row = sqlx::query(facts).fetch_one(conn).await?;
    if row.try_get::<i32, _>("version")? < MIN_VERSION {
        let shown: String = row.try_get("shown")?;
        return Err(OpenError::Unsuitable(format!(
            "it is PostgreSQL {shown}, and 13 is the first that serves"
        )));
    }
    let encoding: String = row.try_get("encoding")?;
    if encoding != "UTF8" {
        return Err(OpenError::Unsuitable(format!(
            "its encoding is {encoding}, and has to be UTF8 (CREATE DATABASE … ENCODING 'UTF8' \
             TEMPLATE template0)"
        )));
    }
    Ok(())
}
