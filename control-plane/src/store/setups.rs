//! Table `setups`: pipelines that go on with a configuration that one of their jobs makes.

use russet_protocol::admin::SubmitRequest;
use russet_protocol::ids::{AllocationId, PipelineId};

use super::rows::{json, reach_column, reach_value, to_json};
use super::sql::query;
use super::{Conn, StoreError, WriteTx};
use crate::credentials::TokenHash;
use crate::people::Reach;

/// A pipeline that may go on, or has.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Submission, without its configuration.
    pub(crate) submission: SubmitRequest,
    pub(crate) is_continued: bool,
    /// Namespaces whose classes it may use.
    pub(crate) reach: Reach,
}

/// Notes that a pipeline is a setup, and what its continuation is compiled with.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    pipeline: &PipelineId,
    submission: &SubmitRequest,
    reach: &Reach,
) -> Result<(), StoreError> {
    query("INSERT INTO setups (pipeline, submission, namespaces) VALUES ($1, $2, $3)")
        .bind(pipeline.as_str())
        .bind(to_json(submission)?)
        .bind(reach_value(reach)?)
        .execute(tx)
        .await?;
    Ok(())
}

/// The setup of a pipeline, if it is one.
pub(crate) async fn get(
    conn: &mut Conn,
    pipeline: &PipelineId,
) -> Result<Option<Setup>, StoreError> {
    let row = query("SELECT submission, continued_ms, namespaces FROM setups WHERE pipeline = $1")
        .bind(pipeline.as_str())
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let is_continued = row.try_get::<Option<i64>>("continued_ms")?.is_some();
    let reach = reach_column(&row)?;
    Ok(Some(Setup { submission: json(&row, "submission")?, is_continued, reach }))
}

/// Returns true if a pipeline is a setup that has not gone on yet.
pub(crate) async fn is_open(conn: &mut Conn, pipeline: &PipelineId) -> Result<bool, StoreError> {
    let row = query("SELECT 1 FROM setups WHERE pipeline = $1 AND continued_ms IS NULL")
        .bind(pipeline.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// Notes that the pipeline goes on. False where it has already.
pub(crate) async fn set_continued(
    tx: &mut WriteTx,
    pipeline: &PipelineId,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let done =
        query("UPDATE setups SET continued_ms = $1 WHERE pipeline = $2 AND continued_ms IS NULL")
            .bind(now_ms)
            .bind(pipeline.as_str())
            .execute(tx)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Lets a setup that runs again say anew what its pipeline goes on with.
pub(crate) async fn reopen(tx: &mut WriteTx, pipeline: &PipelineId) -> Result<(), StoreError> {
    query("UPDATE setups SET continued_ms = NULL WHERE pipeline = $1")
        .bind(pipeline.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Gives a claim its key, in the place of one that it had.
pub(crate) async fn set_key(
    tx: &mut WriteTx,
    allocation: &AllocationId,
    hash: &TokenHash,
) -> Result<(), StoreError> {
    query("UPDATE allocations SET continuation = $1 WHERE id = $2")
        .bind(hash.as_bytes())
        .bind(allocation.as_str())
        .execute(tx)
        .await?;
    Ok(())
}
