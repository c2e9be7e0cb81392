//! Table `caches`.

use russet_protocol::storage::Cache;

use super::archives::{self, Stored};
use super::rows::{count_column, int_value, json, to_json};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

/// A cache to add.
#[derive(Debug)]
pub(crate) struct NewCache<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) scope: &'a str,
    pub(crate) project: &'a str,
    pub(crate) object: &'a str,
    pub(crate) expires_ms: i64,
}

fn cache_from_row(row: &Row) -> Result<Cache, StoreError> {
    Ok(Cache {
        id: row.try_get("id")?,
        key: row.try_get("key")?,
        job_number: count_column(row, "job_number")?,
        created_ms: count_column(row, "created_ms")?,
        size: count_column(row, "size")?,
        blake3: row.try_get("blake3")?,
        paths: json(row, "paths")?,
    })
}

/// Adds a cache. Answers whether it is stored: one of the same key stays as it is, and one that
/// this same object was stored as already is a replay.
pub(crate) async fn insert(tx: &mut WriteTx, new: &NewCache<'_>) -> Result<bool, StoreError> {
    // One that has expired is not in the way. Its object goes with the next round.
    query("UPDATE caches SET key = id WHERE scope = $1 AND key = $2 AND expires_ms <= $3")
        .bind(new.scope)
        .bind(&new.cache.key)
        .bind(int_value(new.cache.created_ms))
        .execute(tx)
        .await?;
    let done = query(
        "INSERT INTO caches (id, scope, key, project, job_number, size, blake3, object, paths, \
         created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
    )
    .bind(&new.cache.id)
    .bind(new.scope)
    .bind(&new.cache.key)
    .bind(new.project)
    .bind(int_value(new.cache.job_number))
    .bind(int_value(new.cache.size))
    .bind(&new.cache.blake3)
    .bind(new.object)
    .bind(to_json(&new.cache.paths)?)
    .bind(int_value(new.cache.created_ms))
    .bind(new.expires_ms)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The cache with exactly this key.
pub(crate) async fn find_exact(
    conn: &mut Conn,
    scope: &str,
    key: &str,
    now_ms: i64,
) -> Result<Option<Cache>, StoreError> {
    let row = query("SELECT * FROM caches WHERE scope = $1 AND key = $2 AND expires_ms > $3")
        .bind(scope)
        .bind(key)
        .bind(now_ms)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(cache_from_row).transpose()
}

/// The newest cache whose key begins so.
pub(crate) async fn find_newest(
    conn: &mut Conn,
    scope: &str,
    prefix: &str,
    now_ms: i64,
) -> Result<Option<Cache>, StoreError> {
    // Keys are compared byte by byte, so those with a prefix lie between it and it with the
    // highest of all characters behind it. (`LIKE` would take `%` and `_` in a key for its own.)
    let row = query(
        "SELECT * FROM caches WHERE scope = $1 AND key >= $2 AND key < $3 \
         AND expires_ms > $4 ORDER BY created_ms DESC, rowid DESC LIMIT 1",
    )
    .bind(scope)
    .bind(prefix)
    .bind(format!("{prefix}{}", char::MAX))
    .bind(now_ms)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(cache_from_row).transpose()
}

/// Removes a cache.
pub(crate) async fn remove(tx: &mut WriteTx, id: &str) -> Result<(), StoreError> {
    query("DELETE FROM caches WHERE id = $1").bind(id).execute(tx).await?;
    Ok(())
}

/// The archive of a cache that this scope may see.
pub(crate) async fn find_archive(
    conn: &mut Conn,
    scope: &str,
    id: &str,
) -> Result<Option<Stored>, StoreError> {
    let statement = "SELECT object, size FROM caches WHERE scope = $1 AND id = $2";
    archives::find(conn, statement, scope, id).await
}

/// Removes the oldest caches of a project until no more than `most` bytes are left. The newest one
/// stays in any case. Answers the objects.
pub(crate) async fn remove_beyond(
    tx: &mut WriteTx,
    project: &str,
    most: u64,
) -> Result<Vec<String>, StoreError> {
    let rows = query(
        "DELETE FROM caches WHERE id IN (SELECT id FROM (SELECT id, \
         sum(size) OVER (ORDER BY created_ms DESC, rowid DESC) AS total, \
         row_number() OVER (ORDER BY created_ms DESC, rowid DESC) AS n \
         FROM caches WHERE project = $1) AS newest WHERE total > $2 AND n > 1) RETURNING object",
    )
    .bind(project)
    .bind(int_value(most))
    .fetch_all(tx)
    .await?;
    archives::objects_of(&rows)
}

/// Returns true if a cache has this object.
pub(crate) async fn has_object(conn: &mut Conn, object: &str) -> Result<bool, StoreError> {
    let row =
        query("SELECT 1 FROM caches WHERE object = $1").bind(object).fetch_optional(conn).await?;
    Ok(row.is_some())
}
