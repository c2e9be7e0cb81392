//! Table `job_timings`: the times of tests that all tasks of a job split by.

use russet_protocol::ids::JobId;
use russet_protocol::storage::Timings;
use sqlx::Row;

use super::rows::to_json;
use super::{Conn, StoreError, WriteTx};

/// Returns the timings that are fixed for a job, as JSON; `None` until one of its tasks asked.
pub(crate) async fn of_job(conn: &mut Conn, job: &JobId) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT timings FROM job_timings WHERE job = ?")
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
    if let Some(fixed) = of_job(tx, job).await? {
        return Ok(fixed);
    }
    let text = to_json(timings)?;
    sqlx::query("INSERT INTO job_timings (job, timings) VALUES (?, ?)")
        .bind(job.as_str())
        .bind(&text)
        .execute(&mut **tx)
        .await?;
    Ok(text)
}

/// Forgets the timings of a job that has ended.
pub(crate) async fn forget(tx: &mut WriteTx, job: &JobId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM job_timings WHERE job = ?")
        .bind(job.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
