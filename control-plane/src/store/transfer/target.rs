//! A database that something is moved into: what it holds before, and what makes it whole at the end.

use std::time::{Duration, Instant};

use super::TransferError;
use super::cell::{Cell, Kind};
use super::merge::count_rows;
use super::schema;
use super::side::{SESSION_NAME, Side};

/// Takes the lock of those who move into a database; its key is "rusmove" in ASCII.
const LOCK: &str = "SELECT CASE WHEN pg_try_advisory_lock(x'7275736d6f7665'::bigint) \
                    THEN 1::bigint ELSE 0::bigint END";

/// Longest wait for the session of a move that was killed to end.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between two tries to take the lock.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// Time that runners have after a move to be heard at the new server, in milliseconds. It starts
/// when the move ends, and the server is started by hand.
const LEASE_MS: i64 = 15 * 60 * 1000;

/// Content of a database before a move into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing but the schema.
    Empty,
    /// Part of a move of this installation, which has not ended.
    Half(String),
    /// It belongs to this installation.
    Used(String),
}

/// Returns what a database holds.
pub(crate) async fn state(side: &mut Side) -> Result<State, TransferError> {
    if let Some(source) = side.texts("SELECT source FROM moves").await?.into_iter().next() {
        return Ok(State::Half(source));
    }
    for table in schema::tables(side).await? {
        if table.name != "installation" && count_rows(side, &table).await? > 0 {
            return Ok(State::Used(super::installation(side).await?));
        }
    }
    Ok(State::Empty)
}

/// Returns true if this session alone moves into the database, until it ends. The session of a
/// move that was killed may take a moment to end: PostgreSQL sees that behind its current statement.
async fn lock(side: &mut Side) -> Result<bool, TransferError> {
    if !side.is_postgres() {
        return Ok(true);
    }
    let start = Instant::now();
    loop {
        if side.number(LOCK).await? == 1 {
            return Ok(true);
        }
        if start.elapsed() >= LOCK_TIMEOUT {
            return Ok(false);
        }
        tokio::time::sleep(LOCK_INTERVAL).await;
    }
}

/// Returns the number of sessions of servers on a database of PostgreSQL.
pub(crate) async fn servers(side: &mut Side) -> Result<i64, TransferError> {
    if !side.is_postgres() {
        return Ok(0);
    }
    let text = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND application_name LIKE 'russet%' \
         AND application_name <> '{SESSION_NAME}'"
    );
    Ok(side.number(text).await?)
}

/// Notes that a move of an installation begins, and takes the foreign keys away. Returns false
/// where somebody else moves into it just now.
pub(crate) async fn begin_move(
    target: &mut Side,
    source: &str,
    now_ms: i64,
) -> Result<bool, TransferError> {
    if !lock(target).await? {
        return Ok(false);
    }
    let is_begun = target.number("SELECT count(*) FROM moves").await? > 0;
    if is_begun {
        return Ok(true);
    }
    let keys = if target.is_postgres() { foreign_keys(target).await? } else { Vec::new() };
    let notes = serde_json::to_string(&keys)?;
    target.execute("BEGIN", Vec::new()).await?;
    let values =
        vec![Cell::Text(Some(source.to_owned())), Cell::Text(Some(notes)), Cell::Int(Some(now_ms))];
    let note = "INSERT INTO moves (source, constraints, began_ms) VALUES ($1, $2, $3)";
    target.execute(note, values).await?;
    for [table, name, _] in &keys {
        let drop = format!("ALTER TABLE {table} DROP CONSTRAINT \"{name}\"");
        target.execute(drop, Vec::new()).await?;
    }
    target.execute("COMMIT", Vec::new()).await?;
    Ok(true)
}

/// Returns the foreign keys of PostgreSQL: table, name and definition of each.
async fn foreign_keys(target: &mut Side) -> Result<Vec<[String; 3]>, TransferError> {
    let text = "SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) \
                FROM pg_constraint WHERE contype = 'f' AND connamespace = \
                (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) ORDER BY 1, 2";
    let rows = target.fetch(text, Vec::new(), &[Kind::Text; 3]).await?;
    let texts = |row: Vec<Cell>| match <[Cell; 3]>::try_from(row) {
        Ok([Cell::Text(table), Cell::Text(name), Cell::Text(text)]) => Some([table?, name?, text?]),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(texts).collect())
}

/// Ends a move: the foreign keys are back, numbers go on above what came, and a server may start.
/// All of it or nothing.
pub(crate) async fn end_move(target: &mut Side) -> Result<(), TransferError> {
    target.execute("BEGIN", Vec::new()).await?;
    let done = settle_and_end(target).await;
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    target.execute(end, Vec::new()).await?;
    done
}

async fn settle_and_end(target: &mut Side) -> Result<(), TransferError> {
    let notes = target.texts("SELECT constraints FROM moves").await?;
    for notes in notes {
        let keys: Vec<[String; 3]> = serde_json::from_str(&notes)?;
        for [table, name, definition] in keys {
            let add = format!("ALTER TABLE {table} ADD CONSTRAINT \"{name}\" {definition}");
            target.execute(add, Vec::new()).await.map_err(|error| match &error {
                sqlx::Error::Database(cause) if cause.is_foreign_key_violation() => {
                    TransferError::Dangling { table }
                }
                _ => TransferError::Database(error),
            })?;
        }
    }
    settle(target).await?;
    target.execute("DELETE FROM moves", Vec::new()).await?;
    Ok(())
}

/// Lets the numbers that a database gives go on above those that it was filled with.
pub(crate) async fn settle(target: &mut Side) -> Result<(), TransferError> {
    if target.is_postgres() { settle_postgres(target).await } else { settle_sqlite(target).await }
}

async fn settle_postgres(target: &mut Side) -> Result<(), TransferError> {
    let text = "SELECT c.relname::text, a.attname::text FROM pg_class AS c \
                JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attidentity <> '' \
                AND NOT a.attisdropped WHERE c.relkind = 'r' AND c.relnamespace = \
                (SELECT oid FROM pg_namespace WHERE nspname = current_schema())";
    for row in target.fetch(text, Vec::new(), &[Kind::Text; 2]).await? {
        if let Ok([Cell::Text(Some(table)), Cell::Text(Some(column))]) = <[Cell; 2]>::try_from(row)
        {
            let sequence = format!("pg_get_serial_sequence('\"{table}\"', '{column}')");
            target.number(raise(&sequence, &format!("\"{column}\""), &table)).await?;
        }
    }
    target.number(raise("'places_in_line'", "queue", "tasks")).await?;
    // Times of the clock of this database: those that came are of another one.
    let text = format!(
        "UPDATE tasks SET granted = now.ms, expires = now.ms + {LEASE_MS} FROM (SELECT \
         floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms) AS now \
         WHERE expires IS NOT NULL"
    );
    target.execute(text, Vec::new()).await?;
    Ok(())
}

/// A statement that lets a sequence go on above a column.
fn raise(sequence: &str, column: &str, table: &str) -> String {
    format!(
        "SELECT setval({sequence}, coalesce(max({column}), 1), max({column}) IS NOT NULL) \
         FROM \"{table}\""
    )
}

async fn settle_sqlite(target: &mut Side) -> Result<(), TransferError> {
    let mut highest = target.number("SELECT max(queue) FROM tasks").await?;
    for table in schema::tables(target).await? {
        if table.has("rev") {
            let text = format!("SELECT max(rev) FROM \"{}\"", table.name);
            highest = highest.max(target.number(text).await?);
        }
    }
    let raise = "UPDATE counters SET value = max(value, $1) WHERE name = 'numbers'";
    target.execute(raise, vec![Cell::Int(Some(highest))]).await?;
    let dangling = "SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1";
    match target.texts(dangling).await?.into_iter().next() {
        Some(table) => Err(TransferError::Dangling { table }),
        None => Ok(()),
    }
}
