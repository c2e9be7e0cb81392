//! Table `orbs`.

use russet_protocol::admin::{Orb, OrbItem};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::rows::count_column;
use super::{Conn, StoreError, WriteTx};

/// Adds an orb, or replaces its source.
pub(crate) async fn put(tx: &mut WriteTx, orb: &Orb, now_ms: i64) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO orbs (name, version, source, created_ms) VALUES (?, ?, ?, ?) \
         ON CONFLICT (name, version) DO UPDATE SET source = excluded.source, \
         created_ms = excluded.created_ms",
    )
    .bind(&orb.name)
    .bind(&orb.version)
    .bind(&orb.source)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes an orb. Answers whether there was one.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    name: &str,
    version: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM orbs WHERE name = ? AND version = ?")
        .bind(name)
        .bind(version)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// All orbs by name and version.
pub(crate) async fn list(conn: &mut Conn) -> Result<Vec<OrbItem>, StoreError> {
    let rows = sqlx::query(
        "SELECT name, version, length(CAST(source AS BLOB)) AS size, created_ms FROM orbs \
         ORDER BY name, version",
    )
    .fetch_all(conn)
    .await?;
    let item = |row: &SqliteRow| {
        Ok(OrbItem {
            name: row.try_get("name")?,
            version: row.try_get("version")?,
            size: count_column(row, "size")?,
            created_ms: count_column(row, "created_ms")?,
        })
    };
    rows.iter().map(item).collect()
}

/// The source of an orb.
pub(crate) async fn source(
    conn: &mut Conn,
    name: &str,
    version: &str,
) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT source FROM orbs WHERE name = ? AND version = ?")
        .bind(name)
        .bind(version)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| row.try_get("source")).transpose()?)
}
