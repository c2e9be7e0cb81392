//! Statements, their values and their rows, over both databases.
//!
//! sqlx has a driver for "any" database, which does not serve: what it reads is turned into a form
//! of its own that knows neither `u32` nor a boolean kept as a number, has no type for an empty
//! result of an expression, and copies each row once more. So a statement is written once, with
//! `$1` for its values, as both take it, and given to one of the two drivers here. Numbers and
//! booleans are `BIGINT` on PostgreSQL, as they are 64-bit integers in SQLite.
//!
//! Text that differs between the two is here too, and nowhere else: [`Lock`] and [`as_postgres`].

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Column as _, ColumnIndex, Postgres, Row as _, Sqlite, TypeInfo as _};

use super::conn::{Conn, Driver};

/// Rows that a `SELECT` locks until the end of its transaction. SQLite has one writer at a time,
/// which is a lock of everything.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lock {
    /// The rows of a table, once those who have them let go. Rows may still refer to them.
    Of(&'static str),
    /// The rows of a table that nobody else has.
    FreeOf(&'static str),
}

impl Lock {
    /// Returns the end of a statement on PostgreSQL.
    fn clause(self) -> String {
        match self {
            Self::Of(table) => format!(" FOR NO KEY UPDATE OF {table}"),
            Self::FreeOf(table) => format!(" FOR NO KEY UPDATE OF {table} SKIP LOCKED"),
        }
    }
}

/// A value of a statement.
#[derive(Debug)]
pub(super) enum Value<'q> {
    Int(Option<i64>),
    Text(Option<Cow<'q, str>>),
    Bytes(Option<&'q [u8]>),
}

/// A statement with its values, in the order of their numbers.
#[derive(Debug)]
pub(super) struct Query<'q> {
    text: &'static str,
    lock: Option<Lock>,
    values: Vec<Value<'q>>,
}

/// Statements of this process, for metrics.
static STATEMENTS: AtomicU64 = AtomicU64::new(0);

/// Returns how many statements this process has made, on all its databases.
pub(crate) fn statement_count() -> u64 {
    STATEMENTS.load(Ordering::Relaxed)
}

/// Begins a statement.
pub(super) fn query<'q>(text: &'static str) -> Query<'q> {
    STATEMENTS.fetch_add(1, Ordering::Relaxed);
    Query { text, lock: None, values: Vec::new() }
}

type SqliteQuery = sqlx::query::Query<'static, Sqlite, SqliteArguments>;
type PostgresQuery = sqlx::query::Query<'static, Postgres, PgArguments>;

impl<'q> Query<'q> {
    /// Adds the next value.
    pub(super) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Locks the rows that the statement selects.
    pub(super) fn lock(mut self, lock: Lock) -> Self {
        self.lock = Some(lock);
        self
    }

    fn for_sqlite(&self) -> SqliteQuery {
        let bind = |query: SqliteQuery, value: &Value<'q>| match value {
            Value::Int(value) => query.bind(*value),
            Value::Text(value) => query.bind(value.as_deref().map(str::to_owned)),
            Value::Bytes(value) => query.bind(value.map(<[u8]>::to_vec)),
        };
        self.values.iter().fold(sqlx::query(self.text), bind)
    }

    fn for_postgres(&self) -> PostgresQuery {
        let text = as_postgres(self.text);
        let query = match (text, self.lock) {
            (Cow::Borrowed(text), None) => sqlx::query(text),
            // All parts are ours.
            (text, lock) => {
                let clause = lock.map_or_else(String::new, Lock::clause);
                sqlx::query(sqlx::AssertSqlSafe(text.into_owned() + &clause))
            }
        };
        let bind = |query: PostgresQuery, value: &Value<'q>| match value {
            Value::Int(value) => query.bind(*value),
            Value::Text(value) => query.bind(value.as_deref().map(without_nul)),
            Value::Bytes(value) => query.bind(value.map(<[u8]>::to_vec)),
        };
        self.values.iter().fold(query, bind)
    }

    /// Executes it. Returns the number of rows that it changed.
    pub(super) async fn execute(self, conn: &mut Conn) -> Result<Done, sqlx::Error> {
        loop {
            let done = match conn.driver() {
                Driver::Sqlite(conn) => {
                    self.for_sqlite().execute(conn).await.map(|done| done.rows_affected())
                }
                Driver::Postgres(conn) => {
                    self.for_postgres().execute(conn).await.map(|done| done.rows_affected())
                }
            };
            match done {
                Err(error) if conn.forgets_stale_plans(&error).await => {}
                done => return done.map(Done),
            }
        }
    }

    /// Returns all rows.
    pub(super) async fn fetch_all(self, conn: &mut Conn) -> Result<Vec<Row>, sqlx::Error> {
        loop {
            let rows = match conn.driver() {
                Driver::Sqlite(conn) => {
                    let rows = self.for_sqlite().fetch_all(conn).await;
                    rows.map(|rows| rows.into_iter().map(Row::Sqlite).collect())
                }
                Driver::Postgres(conn) => {
                    let rows = self.for_postgres().fetch_all(conn).await;
                    rows.map(|rows| rows.into_iter().map(Row::Postgres).collect())
                }
            };
            match rows {
                Err(error) if conn.forgets_stale_plans(&error).await => {}
                rows => return rows,
            }
        }
    }

    /// Returns the first row, if there is one.
    pub(super) async fn fetch_optional(self, conn: &mut Conn) -> Result<Option<Row>, sqlx::Error> {
        loop {
            let row = match conn.driver() {
                Driver::Sqlite(conn) => {
                    self.for_sqlite().fetch_optional(conn).await.map(|row| row.map(Row::Sqlite))
                }
                Driver::Postgres(conn) => {
                    self.for_postgres().fetch_optional(conn).await.map(|row| row.map(Row::Postgres))
                }
            };
            match row {
                Err(error) if conn.forgets_stale_plans(&error).await => {}
                row => return row,
            }
        }
    }

    /// Returns the first row, which has to be there.
    pub(super) async fn fetch_one(self, conn: &mut Conn) -> Result<Row, sqlx::Error> {
        self.fetch_optional(conn).await?.ok_or(sqlx::Error::RowNotFound)
    }
}

/// Returns a statement as PostgreSQL takes it.
pub(super) fn as_postgres(text: &str) -> Cow<'_, str> {
    const KEYS: &str = "json_each($1)";
    const POSTGRES_KEYS: &str = "jsonb_array_elements_text(CAST($1 AS JSONB))";
    let text = without_hints(text);
    if text.contains(KEYS) { Cow::Owned(text.replace(KEYS, POSTGRES_KEYS)) } else { text }
}

/// Takes out the indexes that a statement names for SQLite: PostgreSQL finds them by its statistics.
fn without_hints(text: &str) -> Cow<'_, str> {
    const HINT: &str = " INDEXED BY ";
    let Some((before, rest)) = text.split_once(HINT) else { return Cow::Borrowed(text) };
    let after = rest.split_once(' ').map_or("", |(_, after)| after);
    Cow::Owned(format!("{before} {after}"))
}

/// Texts of PostgreSQL cannot hold U+0000, which names of steps and messages may: it becomes
/// U+FFFD, also in what is looked for.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// Effect of a statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done(u64);

impl Done {
    pub(super) fn rows_affected(self) -> u64 {
        self.0
    }
}

/// A row of a result.
#[derive(Debug)]
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// Reads a column.
    pub(super) fn try_get<T: Column>(&self, name: &str) -> Result<T, sqlx::Error> {
        T::read(self, name)
    }

    fn text(&self, name: &str) -> Result<Option<String>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(name),
            Self::Postgres(row) => row.try_get(name),
        }
    }

    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(name),
            Self::Postgres(row) => row.try_get(name),
        }
    }

    /// A number, or a boolean as 0 or 1: columns are 64 bits wide, expressions what they are.
    fn int(&self, name: &str) -> Result<Option<i64>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(name),
            Self::Postgres(row) => {
                let column = row.column(name.index(row)?);
                match column.type_info().name() {
                    "BOOL" => Ok(row.try_get::<Option<bool>, _>(name)?.map(i64::from)),
                    "INT4" => Ok(row.try_get::<Option<i32>, _>(name)?.map(i64::from)),
                    _ => row.try_get(name),
                }
            }
        }
    }
}

/// A type that columns are read as.
pub(super) trait Column: Sized {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error>;
}

/// An error of a column whose value is not what it has to be.
fn wrong_value<E: std::error::Error + Send + Sync + 'static>(
    name: &str,
) -> impl FnOnce(E) -> sqlx::Error + '_ {
    move |error| sqlx::Error::ColumnDecode { index: name.to_owned(), source: Box::new(error) }
}

fn there<T>(value: Option<T>, name: &str) -> Result<T, sqlx::Error> {
    value.ok_or_else(|| wrong_value(name)(sqlx::error::UnexpectedNullError))
}

impl Column for String {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        there(row.text(name)?, name)
    }
}

impl Column for Option<String> {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        row.text(name)
    }
}

impl Column for Vec<u8> {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        there(row.bytes(name)?, name)
    }
}

impl Column for Option<Vec<u8>> {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        row.bytes(name)
    }
}

impl Column for i64 {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        there(row.int(name)?, name)
    }
}

impl Column for Option<i64> {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        row.int(name)
    }
}

impl Column for bool {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        Ok(there(row.int(name)?, name)? != 0)
    }
}

impl Column for u32 {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        Self::try_from(there(row.int(name)?, name)?).map_err(wrong_value(name))
    }
}

impl Column for Option<i32> {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        row.int(name)?.map(i32::try_from).transpose().map_err(wrong_value(name))
    }
}

macro_rules! integers {
    ($($of:ty),*) => {$(
        impl From<$of> for Value<'_> {
            fn from(value: $of) -> Self {
                Self::Int(Some(value.into()))
            }
        }
        impl From<Option<$of>> for Value<'_> {
            fn from(value: Option<$of>) -> Self {
                Self::Int(value.map(Into::into))
            }
        }
    )*};
}

integers!(i64, i32, u32, bool);

macro_rules! texts {
    ($($of:ty),*) => {$(
        impl<'q> From<$of> for Value<'q> {
            fn from(value: $of) -> Self {
                Self::Text(Some(value.into()))
            }
        }
        impl<'q> From<Option<$of>> for Value<'q> {
            fn from(value: Option<$of>) -> Self {
                Self::Text(value.map(Into::into))
            }
        }
    )*};
}

texts!(&'q str, &'q String);

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Some(value.into()))
    }
}

impl From<Option<String>> for Value<'_> {
    fn from(value: Option<String>) -> Self {
        Self::Text(value.map(Into::into))
    }
}

impl<'q> From<&'q Option<String>> for Value<'q> {
    fn from(value: &'q Option<String>) -> Self {
        value.as_deref().into()
    }
}

impl<'q> From<&'q [u8]> for Value<'q> {
    fn from(value: &'q [u8]) -> Self {
        Self::Bytes(Some(value))
    }
}

impl<'q> From<&'q Vec<u8>> for Value<'q> {
    fn from(value: &'q Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}

impl<'q> From<&'q Option<Vec<u8>>> for Value<'q> {
    fn from(value: &'q Option<Vec<u8>>) -> Self {
        Self::Bytes(value.as_deref())
    }
}
