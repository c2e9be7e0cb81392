//! Table `user_identities`: identities at providers of OpenID Connect, with the accounts that they are of.

use russet_protocol::ids::UserId;

use super::sql::query;
use super::{Conn, StoreError, WriteTx};

/// Returns the account of an identity.
pub(crate) async fn find_user(
    conn: &mut Conn,
    issuer: &str,
    subject: &str,
) -> Result<Option<UserId>, StoreError> {
    let row = query("SELECT user_id FROM user_identities WHERE issuer = $1 AND subject = $2")
        .bind(issuer)
        .bind(subject)
        .fetch_optional(conn)
        .await?;
    row.map(|row| Ok(row.try_get::<String>("user_id")?.into())).transpose()
}

/// Returns true for an account with an identity at a provider.
pub(crate) async fn has_identity(
    conn: &mut Conn,
    user: &UserId,
    issuer: &str,
) -> Result<bool, StoreError> {
    let row = query("SELECT 1 FROM user_identities WHERE user_id = $1 AND issuer = $2")
        .bind(user.as_str())
        .bind(issuer);
    Ok(row.fetch_optional(conn).await?.is_some())
}

/// Links an identity with an account.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    (issuer, subject): (&str, &str),
    user: &UserId,
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO user_identities (issuer, subject, user_id, linked_ms) \
         VALUES ($1, $2, $3, $4)",
    )
    .bind(issuer)
    .bind(subject)
    .bind(user.as_str())
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(())
}
