//! Tables `users` and `user_roles`: accounts and their roles.

use std::collections::{BTreeMap, BTreeSet};

use russet_protocol::ids::UserId;
use russet_protocol::people::{Permission, Role, UserItem, UserKind};

use super::rows::{count_column, parse, parse_maybe};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};
use crate::people::{Person, Rights, TokenRef};

/// An account with its id.
#[derive(Clone, Debug)]
pub(crate) struct StoredUser {
    pub(crate) id: UserId,
    pub(crate) item: UserItem,
}

impl StoredUser {
    /// A new account, without a password and without roles in namespaces.
    pub(crate) fn new(name: String, kind: UserKind, role: Option<Role>, created_ms: u64) -> Self {
        let (namespaces, has_password) = (BTreeMap::new(), false);
        let item = UserItem { name, kind, role, namespaces, has_password, created_ms };
        Self { id: UserId::generate(), item }
    }
}

macro_rules! select_users {
    ($rest:literal) => {
        concat!(
            "SELECT users.id, users.name, users.kind, users.role, users.created_ms, \
             CASE WHEN users.password IS NULL THEN 0 ELSE 1 END AS has_password, \
             user_roles.namespace, user_roles.role AS namespace_role \
             FROM users LEFT JOIN user_roles ON user_roles.user_id = users.id ",
            $rest
        )
    };
}

/// Reads the kind of an account.
fn kind_column(row: &Row) -> Result<UserKind, StoreError> {
    let kind: String = row.try_get("kind")?;
    match kind.as_str() {
        "person" => Ok(UserKind::Person),
        "service" => Ok(UserKind::Service),
        _ => Err(StoreError::Unreadable { what: format!("the kind of account `{kind}`") }),
    }
}

/// Adds the role in a namespace that a row has, if any.
fn add_namespace(row: &Row, namespaces: &mut BTreeMap<String, Role>) -> Result<(), StoreError> {
    if let Some(namespace) = row.try_get::<Option<String>>("namespace")? {
        namespaces.insert(namespace, parse(row, "namespace_role")?);
    }
    Ok(())
}

/// Reads somebody with an account from their rows, one for each role in a namespace. `None` where
/// there are no rows.
pub(super) fn person_from_rows(
    rows: &[Row],
    scopes: BTreeSet<Permission>,
    token: Option<TokenRef>,
) -> Result<Option<Person>, StoreError> {
    let Some(first) = rows.first() else { return Ok(None) };
    let mut namespaces = BTreeMap::new();
    for row in rows {
        add_namespace(row, &mut namespaces)?;
    }
    Ok(Some(Person {
        id: first.try_get::<String>("user_id")?.into(),
        name: first.try_get("name")?,
        kind: kind_column(first)?,
        rights: Rights::Account { role: parse_maybe(first, "role")?, namespaces, scopes },
        token,
    }))
}

/// Makes accounts of rows, of which those of an account follow each other.
fn users_from_rows(rows: &[Row]) -> Result<Vec<StoredUser>, StoreError> {
    let mut users: Vec<StoredUser> = Vec::new();
    for row in rows {
        let id: UserId = row.try_get::<String>("id")?.into();
        if users.last().is_none_or(|last| last.id != id) {
            let item = UserItem {
                name: row.try_get("name")?,
                kind: kind_column(row)?,
                role: parse_maybe(row, "role")?,
                namespaces: BTreeMap::new(),
                has_password: row.try_get::<i64>("has_password")? != 0,
                created_ms: count_column(row, "created_ms")?,
            };
            users.push(StoredUser { id, item });
        }
        if let Some(user) = users.last_mut() {
            add_namespace(row, &mut user.item.namespaces)?;
        }
    }
    Ok(users)
}

/// Returns all accounts, by name.
pub(crate) async fn list(conn: &mut Conn) -> Result<Vec<StoredUser>, StoreError> {
    let rows = query(select_users!("ORDER BY users.name, users.id")).fetch_all(conn).await?;
    users_from_rows(&rows)
}

/// Returns an account by its name.
pub(crate) async fn find(conn: &mut Conn, name: &str) -> Result<Option<StoredUser>, StoreError> {
    let rows = query(select_users!("WHERE users.name = $1")).bind(name).fetch_all(conn).await?;
    Ok(users_from_rows(&rows)?.pop())
}

/// Returns an account by its id.
pub(crate) async fn get(conn: &mut Conn, id: &UserId) -> Result<Option<StoredUser>, StoreError> {
    let rows =
        query(select_users!("WHERE users.id = $1")).bind(id.as_str()).fetch_all(conn).await?;
    Ok(users_from_rows(&rows)?.pop())
}

/// Adds an account. Returns false where there is one of this name.
pub(crate) async fn insert(tx: &mut WriteTx, new: &StoredUser) -> Result<bool, StoreError> {
    let done = query(
        "INSERT INTO users (id, name, kind, role, created_ms) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(new.id.as_str())
    .bind(&new.item.name)
    .bind(new.item.kind.as_str())
    .bind(new.item.role.map(Role::as_str))
    .bind(super::rows::int_value(new.item.created_ms))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Sets the role over the server.
pub(crate) async fn set_role(
    tx: &mut WriteTx,
    id: &UserId,
    role: Option<Role>,
) -> Result<(), StoreError> {
    query("UPDATE users SET role = $2 WHERE id = $1")
        .bind(id.as_str())
        .bind(role.map(Role::as_str))
        .execute(tx)
        .await?;
    tx.wake_person(id.as_str());
    Ok(())
}

/// Sets the role in a namespace, or takes it away.
pub(crate) async fn set_namespace_role(
    tx: &mut WriteTx,
    id: &UserId,
    namespace: &str,
    role: Option<Role>,
) -> Result<(), StoreError> {
    let statement = match role {
        Some(role) => query(
            "INSERT INTO user_roles (user_id, namespace, role) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id, namespace) DO UPDATE SET role = excluded.role",
        )
        .bind(id.as_str())
        .bind(namespace)
        .bind(role.as_str()),
        None => query("DELETE FROM user_roles WHERE user_id = $1 AND namespace = $2")
            .bind(id.as_str())
            .bind(namespace),
    };
    statement.execute(tx).await?;
    tx.wake_person(id.as_str());
    Ok(())
}

/// Returns the account of a person who has a password, with its hash.
pub(crate) async fn with_password(
    conn: &mut Conn,
    name: &str,
) -> Result<Option<(UserId, String)>, StoreError> {
    let row = query(
        "SELECT id, password FROM users WHERE name = $1 AND kind = 'person' \
         AND password IS NOT NULL",
    )
    .bind(name)
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((row.try_get::<String>("id")?.into(), row.try_get("password")?))).transpose()
}

/// Sets the password of an account, as a hash.
pub(crate) async fn set_password(
    tx: &mut WriteTx,
    id: &UserId,
    hash: &str,
) -> Result<(), StoreError> {
    query("UPDATE users SET password = $2 WHERE id = $1")
        .bind(id.as_str())
        .bind(hash)
        .execute(tx)
        .await?;
    Ok(())
}

/// Removes an account, its roles and sessions. Its tokens are to be gone already. What it did keeps its
/// name.
pub(crate) async fn remove(tx: &mut WriteTx, id: &UserId) -> Result<(), StoreError> {
    query("DELETE FROM user_roles WHERE user_id = $1").bind(id.as_str()).execute(tx).await?;
    query("DELETE FROM user_sessions WHERE user_id = $1").bind(id.as_str()).execute(tx).await?;
    query("DELETE FROM sign_in_links WHERE user_id = $1").bind(id.as_str()).execute(tx).await?;
    query("DELETE FROM users WHERE id = $1").bind(id.as_str()).execute(tx).await?;
    tx.wake_person(id.as_str());
    Ok(())
}
