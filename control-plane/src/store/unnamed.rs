//! Tables `unnamed_objects` and `object_holds`: objects that are to be deleted, and those who hold
//! that up.

use super::sql::query;
use super::{Conn, StoreError, WriteTx};

/// Notes an object whose row this transaction removes, so that it is deleted afterwards.
pub(crate) async fn note(tx: &mut WriteTx, object: &str, now_ms: i64) -> Result<(), StoreError> {
    query("INSERT INTO unnamed_objects (object, since_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(object)
        .bind(now_ms)
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns up to `limit` objects that were noted at `until_ms` or before.
pub(crate) async fn noted(
    conn: &mut Conn,
    until_ms: i64,
    limit: u32,
) -> Result<Vec<String>, StoreError> {
    let rows =
        query("SELECT object FROM unnamed_objects WHERE since_ms <= $1 ORDER BY since_ms LIMIT $2")
            .bind(until_ms)
            .bind(limit)
            .fetch_all(conn)
            .await?;
    rows.iter().map(|row| Ok(row.try_get("object")?)).collect()
}

/// Returns the number of objects that are noted.
pub(crate) async fn count_noted(conn: &mut Conn) -> Result<u64, StoreError> {
    let row = query("SELECT count(*) AS n FROM unnamed_objects").fetch_one(conn).await?;
    super::rows::count_column(&row, "n")
}

/// Forgets an object that was deleted.
pub(crate) async fn forget(tx: &mut WriteTx, object: &str) -> Result<(), StoreError> {
    query("DELETE FROM unnamed_objects WHERE object = $1").bind(object).execute(tx).await?;
    Ok(())
}

/// Returns true while somebody holds up the deletion of objects.
pub(crate) async fn is_held(conn: &mut Conn, now_ms: i64) -> Result<bool, StoreError> {
    let row = query("SELECT 1 FROM object_holds WHERE until_ms > $1 LIMIT 1")
        .bind(now_ms)
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}
