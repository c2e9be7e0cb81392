//! Table `job_timings`: the times of tests that all tasks of a job split by.

use russet_protocol::ids::JobId;
use russet_protocol::storage::Timings;

use super::rows::to_json;
use super::sql::query;
use super::{Conn, StoreError, WriteTx};

/// Returns the timings that are fixed for a job, as JSON; `None` until one of its tasks asked.
pub(crate) async fn of_job(conn: &mut Conn, job: &JobId) -> Result<Option<String>, StoreError> {
    let row = query("SELECT timings FROM job_timings WHERE job = $1")
        .bind(job.as_str())
        .fetch_optional(conn)
        .await?;
    row.map(|row| Ok(row.try_get("timings")?)).transpose()
}

/// Fixes the timings of a job, unless they are fixed already. Returns those that count, as JSON.
pub(crate) async fn fix_timings(
    tx: &mut WriteTx,
    job: &JobId,
    timings: &Timings,
) -> Result<String, StoreError> {
    let text = to_json(timings)?;
    query("INSERT INTO job_timings (job, timings) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(job.as_str())
        .bind(&text)
        .execute(tx)
        .await?;
    Ok(of_job(tx, job).await?.unwrap_or(text))
}

/// Forgets the timings of a job that has ended.
pub(crate) async fn forget(tx: &mut WriteTx, job: &JobId) -> Result<(), StoreError> {
    query("DELETE FROM job_timings WHERE job = $1").bind(job.as_str()).execute(tx).await?;
    Ok(())
}
