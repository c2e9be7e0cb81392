//! Table `artifacts`.

use std::collections::HashMap;

use russet_protocol::admin::ArtifactItem;
use russet_protocol::ids::JobId;

use super::rows::{count_column, int_value, keys};
use super::sql::{Row, query};
use super::{Conn, Held, StoreError, WriteTx};

/// An artifact and the object that holds it.
#[derive(Clone, Debug)]
pub(crate) struct StoredArtifact {
    pub(crate) item: ArtifactItem,
    pub(crate) object: String,
}

fn artifact_from_row(row: &Row) -> Result<StoredArtifact, StoreError> {
    Ok(StoredArtifact {
        item: ArtifactItem {
            path: row.try_get("path")?,
            size: count_column(row, "size")?,
            blake3: row.try_get("blake3")?,
        },
        object: row.try_get("object")?,
    })
}

/// The artifacts of a job, by path.
pub(crate) async fn of_job(
    conn: &mut Conn,
    job: &JobId,
) -> Result<Vec<StoredArtifact>, StoreError> {
    let rows = query(
        "SELECT * FROM artifacts WHERE job = (SELECT coalesce(kept_from, id) FROM jobs WHERE id = $1) \
         ORDER BY path",
    )
    .bind(job.as_str())
    .fetch_all(conn)
    .await?;
    rows.iter().map(artifact_from_row).collect()
}

/// One artifact of a job.
pub(crate) async fn get(
    conn: &mut Conn,
    job: &JobId,
    path: &str,
) -> Result<Option<StoredArtifact>, StoreError> {
    let row = query(
        "SELECT * FROM artifacts WHERE job = (SELECT coalesce(kept_from, id) FROM jobs WHERE id = $1) \
         AND path = $2",
    )
    .bind(job.as_str())
    .bind(path)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(artifact_from_row).transpose()
}

/// Returns the numbers of artifacts that jobs have, by job; those of jobs without any are left out.
pub(super) async fn counts(
    conn: &mut Conn,
    jobs: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, u64>, StoreError> {
    let rows = query(
        "SELECT job, count(*) AS n FROM artifacts \
         WHERE job IN (SELECT value FROM json_each($1)) GROUP BY job",
    )
    .bind(keys(jobs)?)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("job")?, count_column(row, "n")?))).collect()
}

/// Adds an artifact or puts it in the place of an earlier one of the same path.
pub(crate) async fn put(
    tx: &mut WriteTx,
    held: &Held,
    new: &StoredArtifact,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO artifacts (job, task, path, size, blake3, object) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (job, path) DO UPDATE SET task = excluded.task, size = excluded.size, \
         blake3 = excluded.blake3, object = excluded.object",
    )
    .bind(held.job.as_str())
    .bind(held.task.as_str())
    .bind(&new.item.path)
    .bind(int_value(new.item.size))
    .bind(&new.item.blake3)
    .bind(&new.object)
    .execute(tx)
    .await?;
    Ok(())
}

/// The objects that hold artifacts of a task.
pub(crate) async fn objects_of_task(
    conn: &mut Conn,
    task: &str,
) -> Result<Vec<String>, StoreError> {
    let rows =
        query("SELECT object FROM artifacts WHERE task = $1").bind(task).fetch_all(conn).await?;
    rows.iter().map(|row| Ok(row.try_get("object")?)).collect()
}

/// Removes an artifact. Returns its object; `None` where there is no such artifact.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    job: &JobId,
    path: &str,
) -> Result<Option<String>, StoreError> {
    let row = query("DELETE FROM artifacts WHERE job = $1 AND path = $2 RETURNING object")
        .bind(job.as_str())
        .bind(path)
        .fetch_optional(tx)
        .await?;
    Ok(row.map(|row| row.try_get("object")).transpose()?)
}
