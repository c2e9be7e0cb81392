//! One side of a transfer: a connection of its own, apart from those of a server.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _, SqliteConnection};

use super::super::{DatabaseUrl, OpenError, postgres, sqlite};
use super::cell::{Cell, Kind};

/// Name of our sessions on PostgreSQL.
pub(super) const SESSION_NAME: &str = "russet transfer";

/// A database that is read or filled.
#[derive(Debug)]
pub(crate) enum Side {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

macro_rules! read_row {
    ($row:expr, $kinds:expr) => {{
        let mut cells = Vec::with_capacity($kinds.len());
        for (index, kind) in $kinds.iter().enumerate() {
            cells.push(match kind {
                Kind::Int => Cell::Int($row.try_get(index)?),
                Kind::Text => Cell::Text($row.try_get(index)?),
                Kind::Bytes => Cell::Bytes($row.try_get(index)?),
            });
        }
        Ok(cells)
    }};
}

macro_rules! bind_all {
    ($query:expr, $values:expr) => {
        $values.into_iter().fold($query, |query, value| match value {
            Cell::Int(value) => query.bind(value),
            Cell::Text(value) => query.bind(value),
            Cell::Bytes(value) => query.bind(value),
        })
    };
}

impl Side {
    /// Opens a SQLite database to read it, also while a server uses it.
    pub(crate) async fn read_sqlite(path: &Path) -> Result<Self, OpenError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .busy_timeout(Duration::from_secs(10))
            .pragma("query_only", "1")
            .disable_statement_logging();
        Ok(Self::Sqlite(options.connect().await?))
    }

    /// Makes a SQLite database with our schema, to be filled. It is on the disk once it is closed
    /// and its file synced: a transfer that is cut off begins anew.
    pub(crate) async fn create_sqlite(path: &Path) -> Result<Self, OpenError> {
        sqlite::make_private(path).map_err(OpenError::Private)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            // As a server's: it may be restored as one.
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Off)
            .synchronous(SqliteSynchronous::Off)
            .foreign_keys(false)
            .disable_statement_logging();
        let mut conn = options.connect().await?;
        sqlite::MIGRATIONS.run(&mut conn).await?;
        Ok(Self::Sqlite(conn))
    }

    /// Connects to PostgreSQL to read it.
    pub(crate) async fn read_postgres(url: &DatabaseUrl) -> Result<Self, OpenError> {
        Ok(Self::Postgres(connect(url).await?))
    }

    /// Connects to PostgreSQL to fill it, with our schema.
    pub(crate) async fn fill_postgres(url: &DatabaseUrl) -> Result<Self, OpenError> {
        let mut conn = connect(url).await?;
        postgres::check_server(&mut conn).await?;
        postgres::MIGRATIONS.run(&mut conn).await?;
        Ok(Self::Postgres(conn))
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Returns the number of the newest migration that we have for this kind of database.
    pub(super) fn our_version(&self) -> i64 {
        let migrations = match self {
            Self::Sqlite(_) => return sqlite_version(),
            Self::Postgres(_) => &postgres::MIGRATIONS,
        };
        migrations.iter().map(|migration| migration.version).max().unwrap_or(0)
    }

    /// Executes a statement whose parts are all ours. Returns the number of rows that it changed.
    pub(super) async fn execute(
        &mut self,
        text: impl Into<String>,
        values: Vec<Cell>,
    ) -> Result<u64, sqlx::Error> {
        let text = sqlx::AssertSqlSafe(text.into());
        Ok(match self {
            Self::Sqlite(conn) => {
                bind_all!(sqlx::query(text), values).execute(conn).await?.rows_affected()
            }
            Self::Postgres(conn) => {
                bind_all!(sqlx::query(text), values).execute(conn).await?.rows_affected()
            }
        })
    }

    /// Returns the rows of a statement whose parts are all ours, with columns of these types.
    pub(super) async fn fetch(
        &mut self,
        text: impl Into<String>,
        values: Vec<Cell>,
        kinds: &[Kind],
    ) -> Result<Vec<Vec<Cell>>, sqlx::Error> {
        let text = sqlx::AssertSqlSafe(text.into());
        match self {
            Self::Sqlite(conn) => {
                let rows = bind_all!(sqlx::query(text), values).fetch_all(conn).await?;
                rows.iter().map(|row| read_row!(row, kinds)).collect()
            }
            Self::Postgres(conn) => {
                let rows = bind_all!(sqlx::query(text), values).fetch_all(conn).await?;
                rows.iter().map(|row| read_row!(row, kinds)).collect()
            }
        }
    }

    /// Returns a single number.
    pub(super) async fn number(&mut self, text: impl Into<String>) -> Result<i64, sqlx::Error> {
        let rows = self.fetch(text, Vec::new(), &[Kind::Int]).await?;
        match rows.first().and_then(|row| row.first()) {
            Some(Cell::Int(number)) => Ok(number.unwrap_or(0)),
            _ => Err(sqlx::Error::RowNotFound),
        }
    }

    /// Returns the texts of a statement with one column.
    pub(super) async fn texts(
        &mut self,
        text: impl Into<String>,
    ) -> Result<Vec<String>, sqlx::Error> {
        let rows = self.fetch(text, Vec::new(), &[Kind::Text]).await?;
        let text = |cell| if let Cell::Text(text) = cell { text } else { None };
        Ok(rows.into_iter().flatten().filter_map(text).collect())
    }

    /// Fixes the content for all reads until [`Side::end_snapshot`]: what others write meanwhile is
    /// not seen.
    pub(crate) async fn begin_snapshot(&mut self) -> Result<(), sqlx::Error> {
        let begin = match self {
            Self::Sqlite(_) => "BEGIN",
            Self::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.execute(begin, Vec::new()).await?;
        // It is taken with the first read.
        self.number("SELECT count(*) FROM installation").await?;
        Ok(())
    }

    pub(crate) async fn end_snapshot(&mut self) -> Result<(), sqlx::Error> {
        self.execute("COMMIT", Vec::new()).await?;
        Ok(())
    }

    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(conn) => conn.close().await,
            Self::Postgres(conn) => conn.close().await,
        }
    }
}

/// Returns the number of the newest migration that we have for SQLite.
pub(crate) fn sqlite_version() -> i64 {
    sqlite::MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

async fn connect(url: &DatabaseUrl) -> Result<PgConnection, OpenError> {
    let options = url.options().clone().application_name(SESSION_NAME);
    Ok(options.disable_statement_logging().connect().await?)
}
