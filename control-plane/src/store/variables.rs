//! Tables `contexts` and `variables`.

use russet_protocol::admin::{ContextItem, VariableItem};

use super::rows::{count_column, json, to_json};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};
use crate::secrets::Owner;

/// Sets a variable, or replaces it.
pub(crate) async fn set(
    tx: &mut WriteTx,
    of: Owner<'_>,
    name: &str,
    sealed: &[u8],
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO variables (scope, owner, name, sealed, updated_ms) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (scope, owner, name) DO UPDATE SET sealed = excluded.sealed, \
         updated_ms = excluded.updated_ms",
    )
    .bind(of.scope.as_str())
    .bind(of.owner)
    .bind(name)
    .bind(sealed)
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a variable. Answers whether there was one.
pub(crate) async fn unset(tx: &mut WriteTx, of: Owner<'_>, name: &str) -> Result<bool, StoreError> {
    let done = query("DELETE FROM variables WHERE scope = $1 AND owner = $2 AND name = $3")
        .bind(of.scope.as_str())
        .bind(of.owner)
        .bind(name)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// The variables of a project or context by name, without their values.
pub(crate) async fn list(conn: &mut Conn, of: Owner<'_>) -> Result<Vec<VariableItem>, StoreError> {
    let rows = query(
        "SELECT name, updated_ms FROM variables WHERE scope = $1 AND owner = $2 ORDER BY name",
    )
    .bind(of.scope.as_str())
    .bind(of.owner)
    .fetch_all(conn)
    .await?;
    let item = |row: &Row| {
        Ok(VariableItem {
            name: row.try_get("name")?,
            updated_ms: count_column(row, "updated_ms")?,
        })
    };
    rows.iter().map(item).collect()
}

/// The variables of a project or context by name, with their sealed values.
pub(crate) async fn sealed_values(
    conn: &mut Conn,
    of: Owner<'_>,
) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let rows =
        query("SELECT name, sealed FROM variables WHERE scope = $1 AND owner = $2 ORDER BY name")
            .bind(of.scope.as_str())
            .bind(of.owner)
            .fetch_all(conn)
            .await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("sealed")?))).collect()
}

/// Returns true if anything is sealed at all.
pub(crate) async fn any_sealed(conn: &mut Conn) -> Result<bool, StoreError> {
    Ok(query(
        "SELECT 1 FROM variables UNION ALL SELECT 1 FROM ssh_keys \
         UNION ALL SELECT 1 FROM alert_targets \
         UNION ALL SELECT 1 FROM git_connections LIMIT 1",
    )
    .fetch_optional(conn)
    .await?
    .is_some())
}

fn context_item(row: &Row) -> Result<ContextItem, StoreError> {
    Ok(ContextItem {
        name: row.try_get("name")?,
        projects: json(row, "projects")?,
        created_ms: count_column(row, "created_ms")?,
    })
}

/// All contexts by name.
pub(crate) async fn list_contexts(conn: &mut Conn) -> Result<Vec<ContextItem>, StoreError> {
    let rows = query("SELECT * FROM contexts ORDER BY name").fetch_all(conn).await?;
    rows.iter().map(context_item).collect()
}

/// A context.
pub(crate) async fn find_context(
    conn: &mut Conn,
    name: &str,
) -> Result<Option<ContextItem>, StoreError> {
    let row =
        query("SELECT * FROM contexts WHERE name = $1").bind(name).fetch_optional(conn).await?;
    row.as_ref().map(context_item).transpose()
}

/// Makes a context, or says anew which projects may use it.
pub(crate) async fn put_context(tx: &mut WriteTx, item: &ContextItem) -> Result<(), StoreError> {
    query(
        "INSERT INTO contexts (name, projects, created_ms) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO UPDATE SET projects = excluded.projects",
    )
    .bind(&item.name)
    .bind(to_json(&item.projects)?)
    .bind(i64::try_from(item.created_ms).unwrap_or(i64::MAX))
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a context with its variables. Answers whether there was one.
pub(crate) async fn remove_context(tx: &mut WriteTx, name: &str) -> Result<bool, StoreError> {
    query("DELETE FROM variables WHERE scope = 'context' AND owner = $1")
        .bind(name)
        .execute(tx)
        .await?;
    let done = query("DELETE FROM contexts WHERE name = $1").bind(name).execute(tx).await?;
    Ok(done.rows_affected() > 0)
}
