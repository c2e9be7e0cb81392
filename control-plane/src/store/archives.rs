//! Queries that the tables of archives, `caches` and `workspace_layers`, have in common.

use super::rows::count_column;
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

/// An archive that a row names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The object that holds it.
    pub(crate) object: String,
    /// Its bytes.
    pub(crate) size: u64,
}

/// The archive that a statement finds by who may see it and its id.
pub(super) async fn find(
    conn: &mut Conn,
    statement: &'static str,
    of: &str,
    id: &str,
) -> Result<Option<Stored>, StoreError> {
    let row = query(statement).bind(of).bind(id).fetch_optional(conn).await?;
    row.map(|row| Ok(Stored { object: row.try_get("object")?, size: count_column(&row, "size")? }))
        .transpose()
}

/// The objects that rows name.
pub(super) fn objects_of(rows: &[Row]) -> Result<Vec<String>, StoreError> {
    rows.iter().map(|row| Ok(row.try_get("object")?)).collect()
}

/// Removes what has expired. Answers the objects.
pub(crate) async fn remove_expired(
    tx: &mut WriteTx,
    now_ms: i64,
) -> Result<Vec<String>, StoreError> {
    let mut objects = Vec::new();
    for statement in [
        "DELETE FROM caches WHERE expires_ms <= $1 RETURNING object",
        "DELETE FROM workspace_layers WHERE expires_ms <= $1 RETURNING object",
    ] {
        let rows = query(statement).bind(now_ms).fetch_all(tx).await?;
        objects.extend(objects_of(&rows)?);
    }
    Ok(objects)
}

/// All objects of caches and layers.
pub(crate) async fn objects(conn: &mut Conn) -> Result<Vec<String>, StoreError> {
    let all = "SELECT object FROM caches UNION ALL SELECT object FROM workspace_layers";
    objects_of(&query(all).fetch_all(conn).await?)
}
