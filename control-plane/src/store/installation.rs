//! Name of the installation that a database belongs to, and moves into it that have not ended.

use super::sql::query;
use super::{Conn, StoreError, WriteTx};

/// Returns true while a move into the database has not ended.
pub(crate) async fn is_half_moved(conn: &mut Conn) -> Result<bool, StoreError> {
    Ok(query("SELECT source FROM moves").fetch_optional(conn).await?.is_some())
}

/// Returns what the key of values is recognized by, once a server has noted it.
pub(crate) async fn secrets_key(conn: &mut Conn) -> Result<Option<String>, StoreError> {
    let row = query("SELECT secrets_key FROM installation").fetch_optional(conn).await?;
    Ok(row.map(|row| row.try_get("secrets_key")).transpose()?.flatten())
}

/// Notes what the key of values is recognized by.
pub(crate) async fn set_secrets_key(tx: &mut WriteTx, print: &str) -> Result<(), StoreError> {
    query("UPDATE installation SET secrets_key = $1").bind(print).execute(tx).await?;
    Ok(())
}
