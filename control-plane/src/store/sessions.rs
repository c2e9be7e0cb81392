//! Tables `ended_sessions` and `form_uses`: sessions of browsers that were ended by logging out, and
//! forms that were sent in sessions.

use super::sql::query;
use super::{Conn, StoreError, WriteTx};

/// Returns true if a session was ended by logging out, at whichever server.
pub(crate) async fn is_ended(conn: &mut Conn, id: &[u8]) -> Result<bool, StoreError> {
    let row = query("SELECT 1 FROM ended_sessions WHERE id = $1").bind(id);
    Ok(row.fetch_optional(conn).await?.is_some())
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

/// Notes that a form was sent, and forgets those of sessions that are over. Returns false if it was
/// sent before.
pub(crate) async fn use_form(
    tx: &mut WriteTx,
    id: &[u8],
    until_s: i64,
    now_s: i64,
) -> Result<bool, StoreError> {
    query("DELETE FROM form_uses WHERE until_s <= $1").bind(now_s).execute(tx).await?;
    let added = query("INSERT INTO form_uses (id, until_s) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(id)
        .bind(until_s)
        .execute(tx)
        .await?;
    Ok(added.rows_affected() > 0)
}

/// Forgets that a form was sent: what it asked for was refused, and may be asked for again.
pub(crate) async fn forget_form(tx: &mut WriteTx, id: &[u8]) -> Result<(), StoreError> {
    query("DELETE FROM form_uses WHERE id = $1").bind(id).execute(tx).await?;
    Ok(())
}
