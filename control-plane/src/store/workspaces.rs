//! Table `workspace_layers`.

use russet_protocol::ids::{JobId, WorkflowId};
use russet_protocol::storage::Uploaded;
use sqlx::Row;

use super::archives::{self, Stored};
use super::rows::{count_column, int_value, json};
use super::{Conn, Held, StoreError, WriteTx};

/// A layer, as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct LayerRow {
    pub(crate) id: String,
    pub(crate) job: JobId,
    pub(crate) task: String,
    /// Index of the task in its job.
    pub(crate) node_index: u32,
    pub(crate) size: u64,
    pub(crate) blake3: String,
}

/// A job of a workflow and what it comes right after.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: JobId,
    pub(crate) name: String,
    pub(crate) requires: Vec<String>,
}

/// Adds a layer; a replay changes nothing. What an earlier claim of the same task left is taken
/// away: this one begins anew. Answers the objects of that.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    held: &Held,
    workflow: &WorkflowId,
    archive: &Uploaded,
    object: &str,
    expires_ms: i64,
) -> Result<Vec<String>, StoreError> {
    let stale = sqlx::query(
        "DELETE FROM workspace_layers WHERE task = ? AND allocation != ? RETURNING object",
    )
    .bind(held.task.as_str())
    .bind(held.allocation.as_str())
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query(
        "INSERT INTO workspace_layers (id, workflow, job, task, allocation, size, blake3, object, \
         expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(&archive.upload)
    .bind(workflow.as_str())
    .bind(held.job.as_str())
    .bind(held.task.as_str())
    .bind(held.allocation.as_str())
    .bind(int_value(archive.size))
    .bind(&archive.blake3)
    .bind(object)
    .bind(expires_ms)
    .execute(&mut **tx)
    .await?;
    archives::objects_of(&stale)
}

/// The layers of a workflow, in the order in which they came.
pub(crate) async fn of_workflow(
    conn: &mut Conn,
    workflow: &WorkflowId,
    now_ms: i64,
) -> Result<Vec<LayerRow>, StoreError> {
    // What an earlier run of a job handed on, which failed, is not its result.
    let rows = sqlx::query(
        "SELECT l.id, l.job, l.task, l.size, l.blake3, t.ordinal % max(j.parallelism, 1) AS node \
         FROM workspace_layers AS l JOIN tasks AS t ON t.id = l.task JOIN jobs AS j ON j.id = l.job \
         WHERE l.workflow = ? AND l.expires_ms > ? AND t.run = j.reruns ORDER BY l.position",
    )
    .bind(workflow.as_str())
    .bind(now_ms)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(LayerRow {
                id: row.try_get("id")?,
                job: row.try_get::<String, _>("job")?.into(),
                task: row.try_get("task")?,
                node_index: row.try_get("node")?,
                size: count_column(row, "size")?,
                blake3: row.try_get("blake3")?,
            })
        })
        .collect()
}

/// The jobs of a workflow.
pub(crate) async fn workflow_graph(
    conn: &mut Conn,
    workflow: &WorkflowId,
) -> Result<Vec<Node>, StoreError> {
    let rows =
        sqlx::query("SELECT id, name, requires FROM jobs WHERE workflow = ? ORDER BY position")
            .bind(workflow.as_str())
            .fetch_all(conn)
            .await?;
    rows.iter()
        .map(|row| {
            Ok(Node {
                id: row.try_get::<String, _>("id")?.into(),
                name: row.try_get("name")?,
                requires: json(row, "requires")?,
            })
        })
        .collect()
}

/// The archive of a layer of this workflow.
pub(crate) async fn find_archive(
    conn: &mut Conn,
    workflow: &WorkflowId,
    id: &str,
) -> Result<Option<Stored>, StoreError> {
    let statement = "SELECT object, size FROM workspace_layers WHERE workflow = ? AND id = ?";
    archives::find(conn, statement, workflow.as_str(), id).await
}
