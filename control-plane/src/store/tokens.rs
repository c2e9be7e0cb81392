//! Table `tokens`: what a launch agent claims with.

use russet_protocol::admin::TokenItem;
use russet_protocol::ids::TokenId;
use russet_protocol::resource_class::ResourceClass;

use super::conn::Link;
use super::rows::{parse, to_json};
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
        expires_at: row.try_get::<Option<i64>>("expires_ms")?.map(rfc3339),
        last_used_at: row.try_get::<Option<i64>>("last_used_ms")?.map(rfc3339),
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

/// A token that is known, whether it still counts or not.
#[derive(Clone, Debug)]
pub(crate) struct KnownToken {
    pub(crate) id: String,
    /// The class that it implies.
    pub(crate) class: ResourceClass,
    /// Time from which on it is refused, in milliseconds since 1970.
    pub(crate) expires_ms: Option<i64>,
}

impl KnownToken {
    /// Returns true from its end on.
    pub(crate) fn has_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|end| end <= now_ms)
    }
}

/// Returns the token of a hash; `None` for one that is unknown or was revoked.
pub(crate) async fn find(
    conn: &mut Conn,
    hash: &TokenHash,
) -> Result<Option<KnownToken>, StoreError> {
    let row = query("SELECT id, class, expires_ms FROM tokens WHERE hash = $1")
        .bind(hash.as_bytes())
        .fetch_optional(conn)
        .await?;
    let known = |row: Row| {
        Ok(KnownToken {
            id: row.try_get("id")?,
            class: parse(&row, "class")?,
            expires_ms: row.try_get("expires_ms")?,
        })
    };
    row.map(known).transpose()
}

/// Returns the class of a token.
pub(crate) async fn class_of(conn: &mut Conn, id: &str) -> Result<Option<String>, StoreError> {
    let row = query("SELECT class FROM tokens WHERE id = $1").bind(id).fetch_optional(conn).await?;
    Ok(row.map(|row| row.try_get("class")).transpose()?)
}

/// A token that expires.
#[derive(Clone, Debug)]
pub(crate) struct ExpiringToken {
    pub(crate) id: TokenId,
    pub(crate) class: String,
    pub(crate) nickname: String,
    /// Time of its creation, in milliseconds since 1970.
    pub(crate) created_ms: i64,
    /// Time from which on it is refused, in milliseconds since 1970.
    pub(crate) expires_ms: i64,
}

/// Returns the tokens that expire before a moment, and those that have expired.
pub(crate) async fn expiring(
    conn: &mut Conn,
    before_ms: i64,
) -> Result<Vec<ExpiringToken>, StoreError> {
    let rows = query(
        "SELECT id, class, nickname, created_ms, expires_ms FROM tokens WHERE expires_ms < $1 \
         ORDER BY expires_ms, id",
    )
    .bind(before_ms)
    .fetch_all(conn)
    .await?;
    let token = |row: &Row| {
        Ok(ExpiringToken {
            id: row.try_get::<String>("id")?.into(),
            class: row.try_get("class")?,
            nickname: row.try_get("nickname")?,
            created_ms: row.try_get("created_ms")?,
            expires_ms: row.try_get("expires_ms")?,
        })
    };
    rows.iter().map(token).collect()
}

/// A new token, as it is stored.
#[derive(Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) id: &'a TokenId,
    pub(crate) class: &'a ResourceClass,
    pub(crate) nickname: &'a str,
    pub(crate) hash: &'a TokenHash,
    /// Time of its creation, in milliseconds since 1970.
    pub(crate) created_ms: i64,
    /// Time from which on it is refused, in milliseconds since 1970.
    pub(crate) expires_ms: Option<i64>,
}

/// Adds a token.
pub(crate) async fn insert(tx: &mut WriteTx, new: &NewRow<'_>) -> Result<(), StoreError> {
    query(
        "INSERT INTO tokens (id, class, nickname, hash, created_ms, expires_ms) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(new.id.as_str())
    .bind(new.class.as_str())
    .bind(new.nickname)
    .bind(new.hash.as_bytes())
    .bind(new.created_ms)
    .bind(new.expires_ms)
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes the last uses of tokens, by id; one that is known to be later stays.
pub(crate) async fn note_used(tx: &mut WriteTx, used: &[(String, i64)]) -> Result<(), StoreError> {
    let text = match tx.link {
        Link::SqliteReader(_) | Link::SqliteWriter(_) => super::sqlite::NOTE_USED,
        Link::PostgresReader(_) | Link::PostgresTx(_) => super::postgres::NOTE_USED,
    };
    query(text).bind(to_json(&used)?).execute(tx).await?;
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
