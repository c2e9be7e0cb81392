//! Tables `user_sessions` and `sign_in_links`: sessions of people in browsers, and links with which
//! they set a password.

use russet_protocol::ids::UserId;
use russet_protocol::people::{Permission, SessionItem};

use super::rows::{count_column, count_maybe};
use super::sql::{Row, query};
use super::users::person_from_rows;
use super::{Conn, StoreError, WriteTx, device_logins};
use crate::credentials::TokenHash;
use crate::people::Person;

/// Characters of a session's id that people see.
const PUBLIC_ID_CHARS: usize = 16;

/// Returns the one whose session it is, and its end in seconds since 1970. One statement: it is made
/// for each call with a cookie.
pub(crate) async fn person_of(
    conn: &mut Conn,
    id: &TokenHash,
) -> Result<Option<(Person, i64)>, StoreError> {
    let rows = query(
        "SELECT user_sessions.until_s, users.id AS user_id, users.name, users.kind, users.role, \
         user_roles.namespace, user_roles.role AS namespace_role FROM user_sessions \
         JOIN users ON users.id = user_sessions.user_id \
         LEFT JOIN user_roles ON user_roles.user_id = users.id WHERE user_sessions.id = $1",
    )
    .bind(id.as_bytes())
    .fetch_all(conn)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let until_s = first.try_get("until_s")?;
    let person = person_from_rows(&rows, Permission::ALL.into(), None)?;
    Ok(person.map(|person| (person, until_s)))
}

/// Begins a session, and forgets those that are over.
pub(crate) async fn begin(
    tx: &mut WriteTx,
    id: &TokenHash,
    user: &UserId,
    (now_s, until_s): (i64, i64),
    address: &str,
) -> Result<(), StoreError> {
    query("DELETE FROM user_sessions WHERE until_s <= $1").bind(now_s).execute(tx).await?;
    query(
        "INSERT INTO user_sessions (id, user_id, began_ms, until_s, address) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id.as_bytes())
    .bind(user.as_str())
    .bind(now_s.saturating_mul(1000))
    .bind(until_s)
    .bind(address)
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the sessions of an account that are not over, the newest first, each with its id. That of
/// the call itself is marked.
pub(crate) async fn list(
    conn: &mut Conn,
    user: &UserId,
    current: Option<&TokenHash>,
    now_s: i64,
) -> Result<Vec<(TokenHash, SessionItem)>, StoreError> {
    let rows = query(
        "SELECT id, began_ms, until_s, used_ms, address FROM user_sessions \
         WHERE user_id = $1 AND until_s > $2 ORDER BY began_ms DESC, id",
    )
    .bind(user.as_str())
    .bind(now_s)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| session_from_row(row, current)).collect()
}

fn session_from_row(
    row: &Row,
    current: Option<&TokenHash>,
) -> Result<(TokenHash, SessionItem), StoreError> {
    let bytes: Vec<u8> = row.try_get("id")?;
    let hash = blake3::Hash::from_slice(&bytes)
        .map_err(|_| StoreError::Unreadable { what: "the id of a session".to_owned() })?;
    let id = TokenHash::of_hash(hash);
    let item = SessionItem {
        id: public_id(&hash),
        began_ms: count_column(row, "began_ms")?,
        until_ms: count_column(row, "until_s")?.saturating_mul(1000),
        used_ms: count_maybe(row, "used_ms")?,
        address: row.try_get("address")?,
        is_current: current == Some(&id),
    };
    Ok((id, item))
}

/// Returns the part of a session's id that people see: it tells the sessions of an account apart.
fn public_id(id: &blake3::Hash) -> String {
    id.to_hex().chars().take(PUBLIC_ID_CHARS).collect()
}

/// Notes when sessions were used last, unless a later use of one is noted. They are named by their
/// whole ids in hexadecimal.
pub(crate) async fn note_used(tx: &mut WriteTx, used: &[(String, i64)]) -> Result<(), StoreError> {
    for (id, used_ms) in used {
        let Ok(id) = blake3::Hash::from_hex(id) else { continue };
        query(
            "UPDATE user_sessions SET used_ms = $2 \
             WHERE id = $1 AND (used_ms IS NULL OR used_ms < $2)",
        )
        .bind(id.as_bytes().as_slice())
        .bind(*used_ms)
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// Ends a session.
pub(crate) async fn end(tx: &mut WriteTx, id: &TokenHash, user: &UserId) -> Result<(), StoreError> {
    query("DELETE FROM user_sessions WHERE id = $1").bind(id.as_bytes()).execute(tx).await?;
    tx.wake_person(user.as_str());
    Ok(())
}

/// Ends all sessions of an account, but for one that is kept, and takes back what it has allowed to
/// command lines that have not fetched their tokens. Returns the number of those that ended.
pub(crate) async fn end_all(
    tx: &mut WriteTx,
    user: &UserId,
    kept: Option<&TokenHash>,
) -> Result<u64, StoreError> {
    let statement = match kept {
        Some(kept) => query("DELETE FROM user_sessions WHERE user_id = $1 AND id <> $2")
            .bind(user.as_str())
            .bind(kept.as_bytes()),
        None => query("DELETE FROM user_sessions WHERE user_id = $1").bind(user.as_str()),
    };
    let done = statement.execute(tx).await?;
    device_logins::take_back(tx, user).await?;
    tx.wake_person(user.as_str());
    Ok(done.rows_affected())
}

/// Adds a link for an account, or one that makes an administrator. An earlier one for the same is
/// worth nothing any more.
pub(crate) async fn add_link(
    tx: &mut WriteTx,
    id: &TokenHash,
    user: Option<&UserId>,
    (now_s, until_s): (i64, i64),
) -> Result<(), StoreError> {
    query("DELETE FROM sign_in_links WHERE until_s <= $1").bind(now_s).execute(tx).await?;
    match user {
        Some(user) => query("DELETE FROM sign_in_links WHERE user_id = $1").bind(user.as_str()),
        None => query("DELETE FROM sign_in_links WHERE user_id IS NULL"),
    }
    .execute(tx)
    .await?;
    query("INSERT INTO sign_in_links (id, user_id, until_s) VALUES ($1, $2, $3)")
        .bind(id.as_bytes())
        .bind(user.map(UserId::as_str))
        .bind(until_s)
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns the account of a link that still counts: `Some(None)` for one that makes an administrator.
pub(crate) async fn link(
    conn: &mut Conn,
    id: &TokenHash,
    now_s: i64,
) -> Result<Option<Option<UserId>>, StoreError> {
    let row = query("SELECT user_id FROM sign_in_links WHERE id = $1 AND until_s > $2")
        .bind(id.as_bytes())
        .bind(now_s)
        .fetch_optional(conn)
        .await?;
    row.map(|row| Ok(row.try_get::<Option<String>>("user_id")?.map(Into::into))).transpose()
}

/// Uses a link up. Returns false where somebody else did.
pub(crate) async fn use_link(tx: &mut WriteTx, id: &TokenHash) -> Result<bool, StoreError> {
    let done = query("DELETE FROM sign_in_links WHERE id = $1").bind(id.as_bytes());
    Ok(done.execute(tx).await?.rows_affected() > 0)
}
