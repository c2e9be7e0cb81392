//! Table `sources`: snapshots that pipelines are submitted with. Their name is their hash.

use russet_protocol::ids::SourceId;

use super::rows::int_value;
use super::sql::query;
use super::{Conn, StoreError, WriteTx};

/// Returns true if a snapshot is here.
pub(crate) async fn exists(conn: &mut Conn, id: &SourceId) -> Result<bool, StoreError> {
    let row =
        query("SELECT 1 FROM sources WHERE id = $1").bind(id.as_str()).fetch_optional(conn).await?;
    Ok(row.is_some())
}

/// Notes that a snapshot is here; its object is written.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    id: &SourceId,
    size: u64,
    now_ms: i64,
) -> Result<(), StoreError> {
    query("INSERT INTO sources (id, size, created_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(id.as_str())
        .bind(int_value(size))
        .bind(now_ms)
        .execute(tx)
        .await?;
    Ok(())
}
