//! Table `workspace_layers`.

use russet_protocol::ids::{JobId, WorkflowId};
use russet_protocol::storage::Uploaded;

use super::archives::{self, Stored};
use super::rows::{count_column, int_value, json};
use super::sql::query;
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
    let stale =
        query("DELETE FROM workspace_layers WHERE task = $1 AND allocation != $2 RETURNING object")
            .bind(held.task.as_str())
            .bind(held.allocation.as_str())
            .fetch_all(tx)
            .await?;
    query(
        "INSERT INTO workspace_layers (id, workflow, job, task, allocation, size, blake3, object, \
         expires_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
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
    .execute(tx)
    .await?;
    archives::objects_of(&stale)
}

/// The layers of a workflow, in the order in which they came.
pub(crate) async fn of_workflow(
    conn: &mut Conn,
    workflow: &WorkflowId,
    now_ms: i64,
) -> Result<Vec<LayerRow>, StoreError> {
    // What an earlier run of a job handed on, which failed, is not its result. A job that was kept
    // from an earlier run of the workflow hands on what it did then.
    let rows = query(
        "SELECT l.id, own.id AS job, l.task, l.size, l.blake3, \
         CASE WHEN j.parallelism > 1 THEN t.ordinal % j.parallelism ELSE 0 END AS node \
         FROM jobs AS own CROSS JOIN jobs AS j CROSS JOIN workspace_layers AS l CROSS JOIN tasks AS t \
         WHERE own.workflow = $1 AND j.id = coalesce(own.kept_from, own.id) AND l.job = j.id \
         AND t.id = l.task AND l.expires_ms > $2 AND t.run = j.reruns ORDER BY l.position",
    )
    .bind(workflow.as_str())
    .bind(now_ms)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(LayerRow {
                id: row.try_get("id")?,
                job: row.try_get::<String>("job")?.into(),
                task: row.try_get("task")?,
                node_index: row.try_get("node")?,
                size: count_column(row, "size")?,
                blake3: row.try_get("blake3")?,
            })
        })
        .collect()
}

/// Returns true if a job has layers that have not expired.
pub(crate) async fn has_layers(
    conn: &mut Conn,
    job: &JobId,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let row = query("SELECT 1 FROM workspace_layers WHERE job = $1 AND expires_ms > $2 LIMIT 1")
        .bind(job.as_str())
        .bind(now_ms)
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// The jobs of a workflow.
pub(crate) async fn workflow_graph(
    conn: &mut Conn,
    workflow: &WorkflowId,
) -> Result<Vec<Node>, StoreError> {
    let rows = query("SELECT id, name, requires FROM jobs WHERE workflow = $1 ORDER BY position")
        .bind(workflow.as_str())
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Node {
                id: row.try_get::<String>("id")?.into(),
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
    let statement = "SELECT object, size FROM workspace_layers WHERE job IN \
         (SELECT coalesce(kept_from, id) FROM jobs WHERE workflow = $1) AND id = $2";
    archives::find(conn, statement, workflow.as_str(), id).await
}
