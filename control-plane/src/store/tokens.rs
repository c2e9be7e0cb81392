//! Table `tokens`: what a launch agent claims with.

use russet_protocol::admin::TokenItem;
use russet_protocol::ids::TokenId;
use russet_protocol::resource_class::ResourceClass;

use super::rows::parse;
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};
use crate::credentials::TokenHash;
use crate::text::rfc3339;

fn item_from_row(row: &Row) -> Result<TokenItem, StoreError> {
    Ok(TokenItem {
        id: row.try_get::<String>("id")?.into(),
        resource_class: parse(row, "class")?,
        nickname: row.try_get("nickname")?,
        created_at: rfc3339(row.try_get("created_ms")?),
        token: None,
    })
}

/// The tokens of a class, the oldest first.
pub(crate) async fn list(
    conn: &mut Conn,
    class: &ResourceClass,
) -> Result<Vec<TokenItem>, StoreError> {
    let rows = query("SELECT * FROM tokens WHERE class = $1 ORDER BY created_ms, id")
        .bind(class.as_str())
        .fetch_all(conn)
        .await?;
    rows.iter().map(item_from_row).collect()
}

/// The class that a token implies; `None` for a token that is unknown or was revoked.
pub(crate) async fn class_of(
    conn: &mut Conn,
    hash: &TokenHash,
) -> Result<Option<ResourceClass>, StoreError> {
    let row = query("SELECT class FROM tokens WHERE hash = $1")
        .bind(hash.as_bytes())
        .fetch_optional(conn)
        .await?;
    row.map(|row| parse(&row, "class")).transpose()
}

/// Adds a token.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    id: &TokenId,
    class: &ResourceClass,
    nickname: &str,
    hash: &TokenHash,
    now_ms: i64,
) -> Result<(), StoreError> {
    query("INSERT INTO tokens (id, class, nickname, hash, created_ms) VALUES ($1, $2, $3, $4, $5)")
        .bind(id.as_str())
        .bind(class.as_str())
        .bind(nickname)
        .bind(hash.as_bytes())
        .bind(now_ms)
        .execute(tx)
        .await?;
    Ok(())
}

/// Revokes a token; says which class it was of, `None` where there is none.
pub(crate) async fn delete(tx: &mut WriteTx, id: &TokenId) -> Result<Option<String>, StoreError> {
    let row = query("DELETE FROM tokens WHERE id = $1 RETURNING class")
        .bind(id.as_str())
        .fetch_optional(tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let class: String = row.try_get("class")?;
    // Claims that wait with it are to end now.
    tx.wake_class(&class);
    Ok(Some(class))
}

/// Revokes all tokens of a class.
pub(crate) async fn delete_of(tx: &mut WriteTx, class: &ResourceClass) -> Result<(), StoreError> {
    query("DELETE FROM tokens WHERE class = $1").bind(class.as_str()).execute(tx).await?;
    tx.wake_class(class.as_str());
    Ok(())
}
