//! Table `ended_sessions`: sessions of browsers that were ended by logging out.

use super::sql::query;
use super::{Conn, StoreError, WriteTx};

/// Sessions that were ended, and when they would have ended by themselves, in seconds since 1970.
pub(crate) async fn ended(conn: &mut Conn) -> Result<Vec<(Vec<u8>, i64)>, StoreError> {
    let rows = query("SELECT id, until_s FROM ended_sessions").fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("until_s")?))).collect()
}

/// Notes that a session was ended, and forgets those that are over by now.
pub(crate) async fn end(
    tx: &mut WriteTx,
    id: &[u8],
    until_s: i64,
    now_s: i64,
) -> Result<(), StoreError> {
    query("DELETE FROM ended_sessions WHERE until_s <= $1").bind(now_s).execute(tx).await?;
    query("INSERT INTO ended_sessions (id, until_s) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(id)
        .bind(until_s)
        .execute(tx)
        .await?;
    Ok(())
}
