//! Table `retention`, and the pipelines that it is about.

use std::collections::BTreeMap;

use russet_protocol::ids::PipelineId;
use russet_protocol::keeping::Retention;

use super::rows::{count_column, json, to_json};
use super::sql::query;
use super::{Conn, StoreError, WriteTx};
use crate::scheduler::retention::Kept;

/// Returns the settings of all projects that have any; those of the empty name are for all.
pub(crate) async fn settings(conn: &mut Conn) -> Result<BTreeMap<String, Retention>, StoreError> {
    let rows = query("SELECT project, settings FROM retention").fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get("project")?, json(row, "settings")?))).collect()
}

/// Sets the settings of a project, or with the empty name those of all.
pub(crate) async fn put(
    tx: &mut WriteTx,
    project: &str,
    settings: &Retention,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO retention (project, settings) VALUES ($1, $2) \
         ON CONFLICT (project) DO UPDATE SET settings = excluded.settings",
    )
    .bind(project)
    .bind(to_json(settings)?)
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the pipelines of a project, newest first. With `with_bytes` also the bytes of their output
/// and artifacts.
pub(crate) async fn pipelines_of(
    conn: &mut Conn,
    project: &str,
    with_bytes: bool,
) -> Result<Vec<Kept>, StoreError> {
    let statement = if with_bytes {
        "SELECT p.id, p.created_ms, p.pinned, p.trimmed, \
         (SELECT CAST(coalesce(sum(s.output_bytes), 0) AS BIGINT) FROM steps AS s WHERE s.pipeline = p.id) \
         + (SELECT CAST(coalesce(sum(a.size), 0) AS BIGINT) FROM jobs AS j JOIN artifacts AS a ON a.job = j.id \
         WHERE j.pipeline = p.id) AS bytes, \
         EXISTS (SELECT 1 FROM workflows AS w WHERE w.pipeline = p.id AND w.phase <> 'ended') AS runs \
         FROM pipelines AS p WHERE p.project = $1 AND p.deleting = 0 \
         ORDER BY p.created_ms DESC, p.id DESC"
    } else {
        "SELECT p.id, p.created_ms, p.pinned, p.trimmed, 0 AS bytes, \
         EXISTS (SELECT 1 FROM workflows AS w WHERE w.pipeline = p.id AND w.phase <> 'ended') AS runs \
         FROM pipelines AS p WHERE p.project = $1 AND p.deleting = 0 \
         ORDER BY p.created_ms DESC, p.id DESC"
    };
    let rows = query(statement).bind(project).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            Ok(Kept {
                id: row.try_get::<String>("id")?.into(),
                created_ms: row.try_get("created_ms")?,
                bytes: count_column(row, "bytes")?,
                is_pinned: row.try_get("pinned")?,
                is_running: row.try_get("runs")?,
                trimmed: row.try_get("trimmed")?,
            })
        })
        .collect()
}

/// Pins a pipeline, or unpins it. Returns false where there is none.
pub(crate) async fn pin(
    tx: &mut WriteTx,
    id: &PipelineId,
    is_pinned: bool,
) -> Result<bool, StoreError> {
    let done = query("UPDATE pipelines SET pinned = $1 WHERE id = $2 AND deleting = 0")
        .bind(is_pinned)
        .bind(id.as_str())
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Returns true for a pipeline that is pinned.
pub(crate) async fn is_pinned(conn: &mut Conn, id: &PipelineId) -> Result<bool, StoreError> {
    let row = query("SELECT pinned FROM pipelines WHERE id = $1").bind(id.as_str());
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| row.try_get("pinned")).transpose()?.unwrap_or(false))
}

/// Reason why a pipeline stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stays {
    /// There is none.
    Unknown,
    /// It has not ended, or a runner still has one of its tasks.
    Running,
    /// Somebody pinned it.
    Pinned,
}

/// Returns the reason why a pipeline may not be deleted or trimmed, if there is one. The caller has
/// locked it.
pub(crate) async fn obstacle(
    conn: &mut Conn,
    id: &PipelineId,
) -> Result<Option<Stays>, StoreError> {
    let row = query(
        "SELECT p.pinned, \
         EXISTS (SELECT 1 FROM workflows AS w WHERE w.pipeline = p.id AND w.phase <> 'ended') AS runs, \
         EXISTS (SELECT 1 FROM jobs AS j JOIN tasks AS t ON t.job = j.id \
         WHERE j.pipeline = p.id AND t.phase <> 'ended') AS has_tasks \
         FROM pipelines AS p WHERE p.id = $1 AND p.deleting = 0",
    )
    .bind(id.as_str())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(Some(Stays::Unknown)) };
    if row.try_get("runs")? || row.try_get("has_tasks")? {
        return Ok(Some(Stays::Running));
    }
    Ok(row.try_get::<bool>("pinned")?.then_some(Stays::Pinned))
}

/// Marks a pipeline as one that is being deleted: nobody sees it any more.
pub(crate) async fn begin_deletion(tx: &mut WriteTx, id: &PipelineId) -> Result<(), StoreError> {
    query("UPDATE pipelines SET deleting = 1 WHERE id = $1").bind(id.as_str()).execute(tx).await?;
    Ok(())
}

/// Returns pipelines that are being deleted.
pub(crate) async fn being_deleted(conn: &mut Conn) -> Result<Vec<PipelineId>, StoreError> {
    let rows = query("SELECT id FROM pipelines WHERE deleting = 1 ORDER BY id LIMIT 100")
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| Ok(row.try_get::<String>("id")?.into())).collect()
}
