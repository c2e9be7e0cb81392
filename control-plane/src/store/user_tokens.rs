//! Table `user_tokens`: personal tokens.

use russet_protocol::ids::{PersonalTokenId, UserId};
use russet_protocol::people::{Permission, PersonalTokenItem};

use super::rows::{count_column, count_maybe, int_value, json, to_json};
use super::sql::{Row, query};
use super::users::person_from_rows;
use super::{Conn, StoreError, WriteTx};
use crate::credentials::TokenHash;
use crate::people::{Person, TokenRef};

/// Returns the owner of a token with their rights, also of one that has expired. One statement: it
/// is made for each call with a personal token.
pub(crate) async fn owner_of(
    conn: &mut Conn,
    hash: &TokenHash,
) -> Result<Option<Person>, StoreError> {
    let rows = query(
        "SELECT user_tokens.id AS token_id, user_tokens.scopes, user_tokens.expires_ms, \
         users.id AS user_id, users.name, users.kind, users.role, user_roles.namespace, \
         user_roles.role AS namespace_role FROM user_tokens \
         JOIN users ON users.id = user_tokens.user_id \
         LEFT JOIN user_roles ON user_roles.user_id = users.id WHERE user_tokens.hash = $1",
    )
    .bind(hash.as_bytes())
    .fetch_all(conn)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let scopes: Vec<Permission> = json(first, "scopes")?;
    let token = TokenRef {
        id: first.try_get::<String>("token_id")?.into(),
        hash: *hash,
        expires_ms: first.try_get("expires_ms")?,
    };
    person_from_rows(&rows, scopes.into_iter().collect(), Some(token))
}

fn item_from_row(row: &Row) -> Result<PersonalTokenItem, StoreError> {
    Ok(PersonalTokenItem {
        id: row.try_get::<String>("id")?.into(),
        user: row.try_get("name")?,
        description: row.try_get("description")?,
        scopes: json(row, "scopes")?,
        created_ms: count_column(row, "created_ms")?,
        expires_ms: count_maybe(row, "expires_ms")?,
        used_ms: count_maybe(row, "used_ms")?,
        parent: row.try_get::<Option<String>>("parent")?.map(Into::into),
        token: None,
    })
}

/// Returns the tokens of an account, the oldest first.
pub(crate) async fn list(
    conn: &mut Conn,
    user: &UserId,
) -> Result<Vec<PersonalTokenItem>, StoreError> {
    let rows = query(
        "SELECT user_tokens.*, users.name FROM user_tokens \
         JOIN users ON users.id = user_tokens.user_id WHERE user_tokens.user_id = $1 \
         ORDER BY user_tokens.created_ms, user_tokens.id",
    )
    .bind(user.as_str())
    .fetch_all(conn)
    .await?;
    rows.iter().map(item_from_row).collect()
}

/// Returns true where a token is there, expired or not.
pub(crate) async fn exists(conn: &mut Conn, id: &PersonalTokenId) -> Result<bool, StoreError> {
    let row = query("SELECT 1 FROM user_tokens WHERE id = $1").bind(id.as_str());
    Ok(row.fetch_optional(conn).await?.is_some())
}

/// Adds a token.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    user: &UserId,
    item: &PersonalTokenItem,
    hash: &TokenHash,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO user_tokens (id, user_id, hash, description, scopes, created_ms, expires_ms, \
         parent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(item.id.as_str())
    .bind(user.as_str())
    .bind(hash.as_bytes())
    .bind(&item.description)
    .bind(to_json(&item.scopes)?)
    .bind(int_value(item.created_ms))
    .bind(item.expires_ms.map(int_value))
    .bind(item.parent.as_ref().map(PersonalTokenId::as_str))
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the accounts of tokens that were made with a token, and with those in turn.
async fn owners_of_made(conn: &mut Conn, id: &PersonalTokenId) -> Result<Vec<String>, StoreError> {
    let (mut owners, mut parents) = (Vec::new(), vec![id.to_string()]);
    while let Some(parent) = parents.pop() {
        let made = query("SELECT id, user_id FROM user_tokens WHERE parent = $1").bind(&parent);
        for row in &made.fetch_all(conn).await? {
            owners.push(row.try_get("user_id")?);
            parents.push(row.try_get("id")?);
        }
    }
    Ok(owners)
}

/// Revokes a token of an account, and those that were made with it. Calls that wait with one of them
/// end. Returns the number of those others; `None` where there is no such token.
pub(crate) async fn delete(
    tx: &mut WriteTx,
    user: &UserId,
    id: &PersonalTokenId,
) -> Result<Option<usize>, StoreError> {
    // The database removes those that were made with it.
    let owners = owners_of_made(tx, id).await?;
    for owner in &owners {
        tx.wake_person(owner);
    }
    let done = query("DELETE FROM user_tokens WHERE id = $1 AND user_id = $2")
        .bind(id.as_str())
        .bind(user.as_str())
        .execute(tx)
        .await?;
    tx.wake_person(user.as_str());
    Ok((done.rows_affected() > 0).then_some(owners.len()))
}

/// Revokes all tokens of an account, and those that were made with them.
pub(crate) async fn delete_all(tx: &mut WriteTx, user: &UserId) -> Result<(), StoreError> {
    for token in list(tx, user).await? {
        delete(tx, user, &token.id).await?;
    }
    Ok(())
}

/// Notes when tokens were used last, unless a later use of one is noted.
pub(crate) async fn note_used(tx: &mut WriteTx, used: &[(String, i64)]) -> Result<(), StoreError> {
    for (id, used_ms) in used {
        query(
            "UPDATE user_tokens SET used_ms = $2 \
             WHERE id = $1 AND (used_ms IS NULL OR used_ms < $2)",
        )
        .bind(id)
        .bind(*used_ms)
        .execute(tx)
        .await?;
    }
    Ok(())
}
