//! Table `orbs`.

use russet_protocol::admin::{Orb, OrbItem};

use super::rows::count_column;
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

/// Adds an orb, or replaces its source.
pub(crate) async fn put(tx: &mut WriteTx, orb: &Orb, now_ms: i64) -> Result<(), StoreError> {
    query(
        "INSERT INTO orbs (name, version, source, created_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (name, version) DO UPDATE SET source = excluded.source, \
         created_ms = excluded.created_ms",
    )
    .bind(&orb.name)
    .bind(&orb.version)
    .bind(&orb.source)
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes an orb. Answers whether there was one.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    name: &str,
    version: &str,
) -> Result<bool, StoreError> {
    let done = query("DELETE FROM orbs WHERE name = $1 AND version = $2")
        .bind(name)
        .bind(version)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// All orbs by name and version.
pub(crate) async fn list(conn: &mut Conn) -> Result<Vec<OrbItem>, StoreError> {
    let rows = query(
        "SELECT name, version, octet_length(source) AS size, created_ms FROM orbs \
         ORDER BY name, version",
    )
    .fetch_all(conn)
    .await?;
    let item = |row: &Row| {
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
    let row = query("SELECT source FROM orbs WHERE name = $1 AND version = $2")
        .bind(name)
        .bind(version)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| row.try_get("source")).transpose()?)
}
