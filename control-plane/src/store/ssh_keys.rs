//! Table `ssh_keys`.

use russet_protocol::admin::SshKeyItem;

use super::rows::count_column;
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

/// A key with its sealed text.
#[derive(Debug)]
pub(crate) struct StoredSshKey {
    pub(crate) item: SshKeyItem,
    pub(crate) sealed: Vec<u8>,
}

fn key_from_row(row: &Row) -> Result<StoredSshKey, StoreError> {
    Ok(StoredSshKey {
        item: SshKeyItem {
            sha256: row.try_get("sha256")?,
            md5: row.try_get("md5")?,
            kind: row.try_get("kind")?,
            host: row.try_get("host")?,
            created_ms: count_column(row, "created_ms")?,
        },
        sealed: row.try_get("sealed")?,
    })
}

/// The keys of a project, in the order in which they were added.
pub(crate) async fn of_project(
    conn: &mut Conn,
    project: &str,
) -> Result<Vec<StoredSshKey>, StoreError> {
    let rows = query("SELECT * FROM ssh_keys WHERE project = $1 ORDER BY created_ms, sha256")
        .bind(project)
        .fetch_all(conn)
        .await?;
    rows.iter().map(key_from_row).collect()
}

/// Adds a key, or says anew which host it is for.
pub(crate) async fn put(
    tx: &mut WriteTx,
    project: &str,
    new: &StoredSshKey,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO ssh_keys (project, sha256, md5, kind, host, sealed, created_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (project, sha256) DO UPDATE SET \
         host = excluded.host, sealed = excluded.sealed",
    )
    .bind(project)
    .bind(&new.item.sha256)
    .bind(&new.item.md5)
    .bind(&new.item.kind)
    .bind(&new.item.host)
    .bind(&new.sealed)
    .bind(super::rows::int_value(new.item.created_ms))
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a key by its SHA-256 fingerprint.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    project: &str,
    sha256: &str,
) -> Result<(), StoreError> {
    query("DELETE FROM ssh_keys WHERE project = $1 AND sha256 = $2")
        .bind(project)
        .bind(sha256)
        .execute(tx)
        .await?;
    Ok(())
}
