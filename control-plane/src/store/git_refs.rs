//! Table `git_refs`: branches and tags of remotes as they were seen last. One that was deleted stays, with
//! an empty commit: its number of changes goes on, by which triggers are told apart.

use std::collections::BTreeMap;

use super::rows::{count_column, int_value};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

/// A branch or tag as it was seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenRef {
    pub(crate) revision: String,
    /// Number of changes that were seen.
    pub(crate) changes: u64,
    /// Number of the last one that a webhook told, among all of the connection; 0: none.
    pub(crate) heard: u64,
    /// Time of the last one, in milliseconds since 1970.
    pub(crate) changed_ms: i64,
}

fn ref_from_row(row: &Row) -> Result<SeenRef, StoreError> {
    Ok(SeenRef {
        revision: row.try_get("revision")?,
        changes: count_column(row, "changes")?,
        heard: count_column(row, "heard")?,
        changed_ms: row.try_get("changed_ms")?,
    })
}

/// Returns a branch or tag by its full name.
pub(crate) async fn get(
    conn: &mut Conn,
    project: &str,
    name: &str,
) -> Result<Option<SeenRef>, StoreError> {
    let row =
        query("SELECT revision, changes, heard, changed_ms FROM git_refs WHERE project = $1 AND name = $2")
            .bind(project)
            .bind(name)
            .fetch_optional(conn)
            .await?;
    row.as_ref().map(ref_from_row).transpose()
}

/// Notes the number of a change that a webhook told.
pub(crate) async fn put_heard(
    tx: &mut WriteTx,
    (project, name): (&str, &str),
    heard: u64,
) -> Result<(), StoreError> {
    query("UPDATE git_refs SET heard = $1 WHERE project = $2 AND name = $3")
        .bind(int_value(heard))
        .bind(project)
        .bind(name)
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns the branches and tags of a project, by their full names.
pub(crate) async fn of_project(
    conn: &mut Conn,
    project: &str,
) -> Result<BTreeMap<String, SeenRef>, StoreError> {
    let rows =
        query("SELECT name, revision, changes, heard, changed_ms FROM git_refs WHERE project = $1")
            .bind(project)
            .fetch_all(conn)
            .await?;
    let mut all = BTreeMap::new();
    for row in &rows {
        all.insert(row.try_get("name")?, ref_from_row(row)?);
    }
    Ok(all)
}

/// Notes that a branch or tag is at a commit now.
pub(crate) async fn put(
    tx: &mut WriteTx,
    (project, name): (&str, &str),
    revision: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO git_refs (project, name, revision, changes, changed_ms) \
         VALUES ($1, $2, $3, 1, $4) ON CONFLICT (project, name) DO UPDATE SET \
         revision = excluded.revision, changes = git_refs.changes + 1, \
         changed_ms = excluded.changed_ms",
    )
    .bind(project)
    .bind(name)
    .bind(revision)
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets all of a project.
pub(crate) async fn remove_all(tx: &mut WriteTx, project: &str) -> Result<(), StoreError> {
    query("DELETE FROM git_refs WHERE project = $1").bind(project).execute(tx).await?;
    Ok(())
}
