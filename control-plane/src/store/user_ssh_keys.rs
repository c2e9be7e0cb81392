//! Table `user_ssh_keys`: public keys of people, with which they reach tasks by SSH.

use russet_protocol::ids::{PersonalKeyId, UserId};
use russet_protocol::ssh::PersonalKeyItem;

use super::rows::count_column;
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};
use crate::text::rfc3339;

fn item_from_row(row: &Row) -> Result<PersonalKeyItem, StoreError> {
    Ok(PersonalKeyItem {
        id: row.try_get::<String>("id")?.into(),
        name: row.try_get("name")?,
        key: row.try_get("key")?,
        fingerprint: row.try_get("fingerprint")?,
        created_at: rfc3339(row.try_get("created_ms")?),
    })
}

/// Returns the keys of an account, the oldest first.
pub(crate) async fn list(
    conn: &mut Conn,
    user: &UserId,
) -> Result<Vec<PersonalKeyItem>, StoreError> {
    let rows = query("SELECT * FROM user_ssh_keys WHERE user_id = $1 ORDER BY created_ms, id")
        .bind(user.as_str())
        .fetch_all(conn)
        .await?;
    rows.iter().map(item_from_row).collect()
}

/// Returns the number of keys of an account.
pub(crate) async fn count(conn: &mut Conn, user: &UserId) -> Result<u64, StoreError> {
    let row = query("SELECT count(*) AS n FROM user_ssh_keys WHERE user_id = $1")
        .bind(user.as_str())
        .fetch_one(conn)
        .await?;
    count_column(&row, "n")
}

/// Adds a key. Returns false where the account has it already.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    user: &UserId,
    item: &PersonalKeyItem,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let done = query(
        "INSERT INTO user_ssh_keys (id, user_id, name, key, fingerprint, created_ms) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, fingerprint) DO NOTHING",
    )
    .bind(item.id.as_str())
    .bind(user.as_str())
    .bind(&item.name)
    .bind(&item.key)
    .bind(&item.fingerprint)
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Removes a key of an account. Returns false where there is no such key.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    user: &UserId,
    id: &PersonalKeyId,
) -> Result<bool, StoreError> {
    let done = query("DELETE FROM user_ssh_keys WHERE id = $1 AND user_id = $2")
        .bind(id.as_str())
        .bind(user.as_str())
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}
