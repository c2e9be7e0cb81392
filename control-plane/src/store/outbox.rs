//! Table `outbox`: messages to targets.

use super::rows::count_column;
use super::sql::query;
use super::{Conn, StoreError, WriteTx};
use crate::text::cut_text;

/// The most that is kept of the reason why a message was not taken, in bytes.
const MAX_ERROR_BYTES: usize = 500;

/// A message that is due, and its target.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) id: String,
    pub(crate) target: String,
    pub(crate) payload: String,
    pub(crate) created_ms: i64,
    /// Number of attempts, this one included.
    pub(crate) attempts: u32,
}

/// Puts a message for a target into the outbox, unless one of this id is there.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    id: &str,
    target: &str,
    payload: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO outbox (id, target, payload, created_ms, next_ms) VALUES ($1, $2, $3, $4, $4) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(id)
    .bind(target)
    .bind(payload)
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(())
}

/// Messages that are not delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Undelivered {
    /// Number of those that are tried again.
    pub(crate) pending: u64,
    /// Time at which the first of these was made, in milliseconds since 1970.
    pub(crate) oldest_ms: Option<i64>,
    /// Number of those that were given up.
    pub(crate) failed: u64,
}

/// Returns the messages that are not delivered.
pub(crate) async fn undelivered(conn: &mut Conn) -> Result<Undelivered, StoreError> {
    let row = query(
        "SELECT count(*) AS n, min(created_ms) AS oldest, \
         (SELECT count(*) FROM outbox WHERE failed_ms IS NOT NULL) AS failed \
         FROM outbox WHERE done_ms IS NULL AND failed_ms IS NULL",
    )
    .fetch_one(conn)
    .await?;
    Ok(Undelivered {
        pending: count_column(&row, "n")?,
        oldest_ms: row.try_get("oldest")?,
        failed: count_column(&row, "failed")?,
    })
}

/// Returns true if a message is due.
pub(crate) async fn is_any_due(conn: &mut Conn, now_ms: i64) -> Result<bool, StoreError> {
    let row = query(
        "SELECT 1 FROM outbox WHERE done_ms IS NULL AND failed_ms IS NULL AND next_ms <= $1 LIMIT 1",
    )
    .bind(now_ms)
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Takes a message that is due: nobody else takes it before `next_ms`.
pub(crate) async fn take_due(
    tx: &mut WriteTx,
    now_ms: i64,
    next_ms: i64,
) -> Result<Option<Due>, StoreError> {
    // The conditions stand twice: on PostgreSQL a row that another server has just taken is looked
    // at again by the outer ones.
    let row = query(
        "UPDATE outbox SET attempts = attempts + 1, next_ms = $2 WHERE done_ms IS NULL \
         AND failed_ms IS NULL AND next_ms <= $1 AND id = (SELECT id FROM outbox \
         WHERE done_ms IS NULL AND failed_ms IS NULL AND next_ms <= $1 ORDER BY next_ms LIMIT 1) \
         RETURNING id, target, payload, created_ms, attempts",
    )
    .bind(now_ms)
    .bind(next_ms)
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Due {
        id: row.try_get("id")?,
        target: row.try_get("target")?,
        payload: row.try_get("payload")?,
        created_ms: row.try_get("created_ms")?,
        attempts: u32::try_from(row.try_get::<i64>("attempts")?).unwrap_or(u32::MAX),
    }))
}

/// Notes that a message was delivered.
pub(crate) async fn mark_done(tx: &mut WriteTx, id: &str, now_ms: i64) -> Result<(), StoreError> {
    query("UPDATE outbox SET done_ms = $1, error = NULL WHERE id = $2")
        .bind(now_ms)
        .bind(id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Notes that an attempt failed; without a next one the message is given up.
pub(crate) async fn mark_failed(
    tx: &mut WriteTx,
    id: &str,
    next_ms: Option<i64>,
    now_ms: i64,
    error: &str,
) -> Result<(), StoreError> {
    query("UPDATE outbox SET next_ms = $1, failed_ms = $2, error = $3 WHERE id = $4")
        .bind(next_ms.unwrap_or(now_ms))
        .bind(next_ms.is_none().then_some(now_ms))
        .bind(cut_text(error, MAX_ERROR_BYTES))
        .bind(id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Forgets messages that were delivered or given up and are older than a moment.
pub(crate) async fn delete_old(tx: &mut WriteTx, before_ms: i64) -> Result<(), StoreError> {
    query(
        "DELETE FROM outbox WHERE created_ms < $1 AND (done_ms IS NOT NULL OR failed_ms IS NOT NULL)",
    )
    .bind(before_ms)
    .execute(tx)
    .await?;
    Ok(())
}
