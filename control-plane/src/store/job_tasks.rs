//! Tasks of a job as people see them: how far each is, and who runs it.

use russet_protocol::ids::JobId;
use russet_protocol::outcome::{Outcome, Phase};

use super::rows::{parse, parse_maybe};
use super::sql::query;
use super::{Conn, StoreError};

/// A task of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskState {
    /// Its number within the job, through all runs of the job.
    pub(crate) ordinal: u32,
    /// The run of the job that it belongs to, from 0.
    pub(crate) run: u32,
    pub(crate) phase: Phase,
    pub(crate) outcome: Option<Outcome>,
    /// The reason of its end, where its steps do not tell.
    pub(crate) message: Option<String>,
    /// The runner that holds it, or held it last.
    pub(crate) runner: Option<String>,
}

/// Returns the tasks of all runs of a job, in the order of their numbers.
pub(crate) async fn of_job(conn: &mut Conn, job: &JobId) -> Result<Vec<TaskState>, StoreError> {
    let rows = query(
        "SELECT tasks.ordinal, tasks.run, tasks.phase, tasks.outcome, tasks.message, \
         allocations.runner FROM tasks LEFT JOIN allocations ON allocations.id = tasks.allocation \
         WHERE tasks.job = (SELECT coalesce(kept_from, id) FROM jobs WHERE id = $1) ORDER BY tasks.ordinal",
    )
    .bind(job.as_str())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(TaskState {
                ordinal: row.try_get("ordinal")?,
                run: row.try_get("run")?,
                phase: parse(row, "phase")?,
                outcome: parse_maybe(row, "outcome")?,
                message: row.try_get("message")?,
                runner: row.try_get("runner")?,
            })
        })
        .collect()
}
