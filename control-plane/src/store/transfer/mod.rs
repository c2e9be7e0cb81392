//! Transfer of a whole database into another one, of the same kind or the other: moves and backups.
//!
//! A table is read in the order of its key and merged with what the target has: rows that the source
//! does not have any more go first, then what differs is written. So a transfer may be cut off
//! anywhere and done again, and a second one moves only what has changed. Foreign keys are taken
//! away from a target on PostgreSQL meanwhile and put back at the end, which checks them all; so the
//! order of tables does not matter.

mod cell;
mod merge;
mod names;
mod pages;
mod schema;
mod side;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use cell::Content;
pub(crate) use names::{Named, named_objects};
pub(crate) use side::{Side, sqlite_version};
pub(crate) use target::{State, begin_move, end_move, servers, settle, state};

use merge::{count_rows, merge_table, read_content};
use schema::Table;

/// Reason why a database was not transferred.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("{0} has no primary key")]
    NoKey(String),
    #[error("{column} is a {declared}, which is not transferred")]
    Type { column: String, declared: String },
    #[error(
        "the database that is read has the schema {found}, and this version of russet has {ours}: \
         start a server of this version on it once, or use the version that its server has"
    )]
    Schema { found: i64, ours: i64 },
    #[error("the two databases differ in the columns of {0}")]
    Columns(String),
    #[error("the copy of {0} is not what was read")]
    Differs(String),
    #[error("rows of {table} name others that are not there")]
    Dangling { table: String },
    #[error("the notes on a move that has not ended cannot be read")]
    Notes(#[from] serde_json::Error),
}

/// Progress of a transfer, told to whoever waits for it.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// Rows of a table were read and compared.
    Rows {
        /// Name of the table.
        table: &'a str,
        /// Rows so far.
        done: u64,
        /// Rows that there were at the beginning.
        total: u64,
    },
    /// Objects were copied or found to be there.
    Objects {
        /// Objects so far.
        done: u64,
        /// Objects that are named.
        total: u64,
        /// Bytes that were copied.
        bytes: u64,
    },
}

/// Receiver of progress.
pub type Report<'a> = &'a (dyn Fn(Step<'_>) + Sync);

/// Result of a transfer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transferred {
    /// Rows that were written or deleted.
    pub(crate) changed: u64,
    /// Content of the source, by table.
    pub(crate) tables: BTreeMap<String, Content>,
}

/// Returns the name of the installation that a database belongs to.
pub(crate) async fn installation(side: &mut Side) -> Result<String, TransferError> {
    let ids = side.texts("SELECT id FROM installation").await?;
    ids.into_iter().next().ok_or(TransferError::Database(sqlx::Error::RowNotFound))
}

/// Returns what the key of values is recognized by, where a server has noted it.
pub(crate) async fn secrets_key(side: &mut Side) -> Result<Option<String>, TransferError> {
    let noted = "SELECT secrets_key FROM installation WHERE secrets_key IS NOT NULL";
    Ok(side.texts(noted).await?.into_iter().next())
}

/// Refuses a source of another version, whose tables may mean something else.
pub(crate) async fn check_version(source: &mut Side) -> Result<i64, TransferError> {
    let ours = source.our_version();
    let found = source.number("SELECT max(version) FROM _sqlx_migrations").await?;
    if found != ours {
        return Err(TransferError::Schema { found, ours });
    }
    Ok(found)
}

/// Makes the target hold what the source holds. A source that is written to meanwhile gives a
/// mixture, which the next transfer makes whole: `is_last` says that nobody writes.
pub(crate) async fn transfer(
    source: &mut Side,
    target: &mut Side,
    is_last: bool,
    report: Report<'_>,
) -> Result<Transferred, TransferError> {
    let mut done = Transferred::default();
    for table in common_tables(source, target).await? {
        let total = count_rows(source, &table).await?;
        let tell = |rows| report(Step::Rows { table: &table.name, done: rows, total });
        let merged = merge_table(source, target, &table, is_last, &tell).await?;
        report(Step::Rows { table: &table.name, done: total, total });
        done.changed += merged.changed;
        done.tables.insert(table.name, merged.content);
    }
    Ok(done)
}

/// Returns what each table of a database holds.
pub(crate) async fn contents(side: &mut Side) -> Result<BTreeMap<String, Content>, TransferError> {
    let mut contents = BTreeMap::new();
    for table in schema::tables(side).await? {
        let content = read_content(side, &table).await?;
        contents.insert(table.name, content);
    }
    Ok(contents)
}

async fn common_tables(source: &mut Side, target: &mut Side) -> Result<Vec<Table>, TransferError> {
    let (ours, theirs) = (schema::tables(source).await?, schema::tables(target).await?);
    let differs = |one: &[Table], other: &[Table]| {
        one.iter().find(|table| !other.contains(table)).map(|table| table.name.clone())
    };
    match differs(&ours, &theirs).or_else(|| differs(&theirs, &ours)) {
        Some(table) => Err(TransferError::Columns(table)),
        None => Ok(ours),
    }
}
