//! Jobs of all pipelines that wait or run now. Each is found by an index of what is open, so it costs
//! as much as there is, however long a server has run.

use std::collections::BTreeSet;

use super::jobs::{JobRow, job_row};
use super::rows::{count_column, keys};
use super::sql::{Query, query};
use super::{Conn, StoreError};

/// A job, and the number of its pipeline.
#[derive(Clone, Debug)]
pub(crate) struct OpenJob {
    pub(crate) row: JobRow,
    pub(crate) project: String,
    pub(crate) pipeline_number: u64,
}

/// Projects whose jobs are listed; `None`: of all.
pub(crate) type Within<'a> = Option<&'a [String]>;

/// Jobs with a task that waits for a runner, by class and then in the order of the line.
pub(crate) async fn queued(
    conn: &mut Conn,
    within: Within<'_>,
    limit: u32,
) -> Result<Vec<OpenJob>, StoreError> {
    let statement = query(
        "SELECT jobs.*, pipelines.number AS pipeline_number FROM tasks \
         JOIN jobs ON jobs.id = tasks.job JOIN pipelines ON pipelines.id = jobs.pipeline \
         WHERE tasks.phase = 'queued' \
         AND (CAST($1 AS TEXT) IS NULL OR jobs.project IN (SELECT value FROM json_each($1))) \
         ORDER BY tasks.class, tasks.queue LIMIT $2",
    );
    read_jobs(conn, statement.bind(within.map(keys).transpose()?).bind(limit)).await
}

/// Queued jobs of serial groups. Those that wait for their turn have no task in a line.
pub(crate) async fn queued_in_groups(
    conn: &mut Conn,
    within: Within<'_>,
    limit: u32,
) -> Result<Vec<OpenJob>, StoreError> {
    let statement = query(
        "SELECT jobs.*, pipelines.number AS pipeline_number FROM jobs \
         JOIN pipelines ON pipelines.id = jobs.pipeline \
         WHERE jobs.phase = 'queued' AND jobs.serial_group IS NOT NULL \
         AND (CAST($1 AS TEXT) IS NULL OR jobs.project IN (SELECT value FROM json_each($1))) \
         ORDER BY jobs.id LIMIT $2",
    );
    read_jobs(conn, statement.bind(within.map(keys).transpose()?).bind(limit)).await
}

/// Jobs that wait for room in limits of tasks. They have no task in a line.
pub(crate) async fn awaiting_room(
    conn: &mut Conn,
    within: Within<'_>,
    limit: u32,
) -> Result<Vec<OpenJob>, StoreError> {
    let statement = query(
        "SELECT jobs.*, pipelines.number AS pipeline_number FROM jobs \
         JOIN pipelines ON pipelines.id = jobs.pipeline \
         WHERE jobs.awaits_room = 1 \
         AND (CAST($1 AS TEXT) IS NULL OR jobs.project IN (SELECT value FROM json_each($1))) \
         ORDER BY jobs.project, jobs.class, jobs.queued_ms, jobs.number LIMIT $2",
    );
    read_jobs(conn, statement.bind(within.map(keys).transpose()?).bind(limit)).await
}

/// Jobs with a task that a runner has.
pub(crate) async fn running(
    conn: &mut Conn,
    within: Within<'_>,
    limit: u32,
) -> Result<Vec<OpenJob>, StoreError> {
    let statement = query(
        "SELECT jobs.*, pipelines.number AS pipeline_number FROM tasks \
         JOIN jobs ON jobs.id = tasks.job JOIN pipelines ON pipelines.id = jobs.pipeline \
         WHERE tasks.phase = 'running' \
         AND (CAST($1 AS TEXT) IS NULL OR jobs.project IN (SELECT value FROM json_each($1))) \
         ORDER BY tasks.class LIMIT $2",
    );
    read_jobs(conn, statement.bind(within.map(keys).transpose()?).bind(limit)).await
}

/// Jobs that wait for somebody's approval.
pub(crate) async fn on_hold(
    conn: &mut Conn,
    within: Within<'_>,
    limit: u32,
) -> Result<Vec<OpenJob>, StoreError> {
    let statement = query(
        "SELECT jobs.*, pipelines.number AS pipeline_number FROM jobs \
         JOIN pipelines ON pipelines.id = jobs.pipeline \
         WHERE jobs.phase = 'on_hold' \
         AND (CAST($1 AS TEXT) IS NULL OR jobs.project IN (SELECT value FROM json_each($1))) \
         ORDER BY jobs.id LIMIT $2",
    );
    read_jobs(conn, statement.bind(within.map(keys).transpose()?).bind(limit)).await
}

/// Reads jobs, each once: a parallel job has several tasks.
async fn read_jobs(conn: &mut Conn, statement: Query<'_>) -> Result<Vec<OpenJob>, StoreError> {
    let rows = statement.fetch_all(conn).await?;
    let (mut seen, mut jobs) = (BTreeSet::new(), Vec::new());
    for row in &rows {
        let job = job_row(row)?;
        if seen.insert(job.job.id.clone()) {
            let pipeline_number = count_column(row, "pipeline_number")?;
            jobs.push(OpenJob { row: job, project: row.try_get("project")?, pipeline_number });
        }
    }
    Ok(jobs)
}
