//! Table `namespaces`: which are claimed, and by whom.

use russet_protocol::namespaces::{NamespaceItem, NamespaceOwner};

use super::rows::{count_column, int_value};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

fn item_from_row(row: &Row) -> Result<NamespaceItem, StoreError> {
    let (kind, owner): (String, String) = (row.try_get("owner_kind")?, row.try_get("owner")?);
    let owner = match kind.as_str() {
        "user" => NamespaceOwner::User(owner),
        "organization" => NamespaceOwner::Organization(owner),
        _ => return Err(StoreError::Unreadable { what: format!("the kind of owner `{kind}`") }),
    };
    Ok(NamespaceItem {
        name: row.try_get("name")?,
        owner,
        created_by: row.try_get("created_by")?,
        created_ms: count_column(row, "created_ms")?,
    })
}

fn owner_columns(owner: &NamespaceOwner) -> (&'static str, &str) {
    match owner {
        NamespaceOwner::User(name) => ("user", name),
        NamespaceOwner::Organization(name) => ("organization", name),
    }
}

/// Returns all namespaces, by name.
pub(crate) async fn list(conn: &mut Conn) -> Result<Vec<NamespaceItem>, StoreError> {
    let rows = query("SELECT * FROM namespaces ORDER BY name").fetch_all(conn).await?;
    rows.iter().map(item_from_row).collect()
}

/// Returns a namespace.
pub(crate) async fn get(conn: &mut Conn, name: &str) -> Result<Option<NamespaceItem>, StoreError> {
    let row = query("SELECT * FROM namespaces WHERE name = $1").bind(name).fetch_optional(conn);
    row.await?.as_ref().map(item_from_row).transpose()
}

/// Claims a namespace. Returns false where it is claimed already.
pub(crate) async fn claim(tx: &mut WriteTx, item: &NamespaceItem) -> Result<bool, StoreError> {
    let (kind, owner) = owner_columns(&item.owner);
    let done = query(
        "INSERT INTO namespaces (name, owner_kind, owner, created_by, created_ms) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING",
    )
    .bind(&item.name)
    .bind(kind)
    .bind(owner)
    .bind(&item.created_by)
    .bind(int_value(item.created_ms))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Gives a namespace to another owner.
pub(crate) async fn set_owner(
    tx: &mut WriteTx,
    name: &str,
    owner: &NamespaceOwner,
) -> Result<(), StoreError> {
    let (kind, owner) = owner_columns(owner);
    query("UPDATE namespaces SET owner_kind = $2, owner = $3 WHERE name = $1")
        .bind(name)
        .bind(kind)
        .bind(owner)
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns the namespaces that an account owns, by name.
pub(crate) async fn owned_by(conn: &mut Conn, user: &str) -> Result<Vec<String>, StoreError> {
    let statement =
        query("SELECT name FROM namespaces WHERE owner_kind = 'user' AND owner = $1 ORDER BY name");
    let rows = statement.bind(user).fetch_all(conn).await?;
    rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
}
