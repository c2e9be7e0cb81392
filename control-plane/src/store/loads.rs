//! Counts of what classes have, and of who works, for lists.

use std::collections::{BTreeMap, HashMap};

use russet_protocol::machine::RunnerTask;

use super::rows::{count_column, count_maybe};
use super::sql::{Row, query};
use super::{Conn, StoreError};

/// Load of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Number of its tasks that run.
    pub(crate) active_tasks: u64,
    /// Number of its runners that are listed.
    pub(crate) runners: u64,
}

/// Returns the loads of all classes that have any, by name. Runners of a single task that claimed
/// last before `expired_ms` do not count.
pub(crate) async fn of_classes(
    conn: &mut Conn,
    expired_ms: i64,
) -> Result<BTreeMap<String, Load>, StoreError> {
    let mut loads: BTreeMap<String, Load> = BTreeMap::new();
    let active = "SELECT class, count(*) AS n FROM tasks WHERE phase = 'running' GROUP BY class";
    for row in query(active).fetch_all(&mut *conn).await? {
        loads.entry(row.try_get("class")?).or_default().active_tasks = count_column(&row, "n")?;
    }
    let runners = "SELECT class, count(*) AS n FROM runners \
                   WHERE single_task = 0 OR last_ms >= $1 GROUP BY class";
    for row in query(runners).bind(expired_ms).fetch_all(conn).await? {
        loads.entry(row.try_get("class")?).or_default().runners = count_column(&row, "n")?;
    }
    Ok(loads)
}

/// Tasks that runners hold, by class and name of the runner.
pub(crate) type Held = HashMap<(String, String), Vec<RunnerTask>>;

/// Returns the tasks that runners hold, the oldest first.
pub(crate) async fn held_tasks(conn: &mut Conn) -> Result<Held, StoreError> {
    let rows = query(
        "SELECT tasks.class, allocations.runner, allocations.created_ms, jobs.id AS job, \
         jobs.name AS job_name, pipelines.project, CASE WHEN tasks.ssh > 0 THEN (SELECT a.person \
         FROM task_ssh AS s JOIN ssh_accesses AS a ON a.job = tasks.job WHERE s.task = tasks.id \
         AND s.allocation = tasks.allocation AND s.waiting = 1) END AS held_for FROM tasks \
         JOIN allocations ON allocations.id = tasks.allocation \
         JOIN jobs ON jobs.id = tasks.job JOIN pipelines ON pipelines.id = tasks.pipeline \
         WHERE tasks.phase = 'running'",
    )
    .fetch_all(conn)
    .await?;
    let mut held = Held::new();
    for row in &rows {
        let task = RunnerTask {
            job: row.try_get("job")?,
            name: row.try_get("job_name")?,
            project: row.try_get("project")?,
            since_ms: count_maybe(row, "created_ms")?,
            held_for: row.try_get("held_for")?,
        };
        held.entry((row.try_get("class")?, row.try_get("runner")?)).or_default().push(task);
    }
    held.values_mut().for_each(|tasks| tasks.sort_by_key(|task| task.since_ms));
    Ok(held)
}

/// Line of a class in which tasks wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WaitingLine {
    pub(crate) class: String,
    /// Number of tasks that wait.
    pub(crate) tasks: u64,
    /// Time since which the first of them waits, in milliseconds since 1970.
    pub(crate) oldest_ms: i64,
}

/// Returns the lines in which tasks wait.
pub(crate) async fn waiting_lines(conn: &mut Conn) -> Result<Vec<WaitingLine>, StoreError> {
    let rows = query(
        "SELECT line.class, line.n, coalesce(tasks.queued_ms, jobs.queued_ms) AS oldest FROM (SELECT class, count(*) AS n, min(queue) AS first FROM tasks WHERE phase = 'queued' \
         GROUP BY class) AS line JOIN tasks ON tasks.class = line.class \
         AND tasks.phase = 'queued' AND tasks.queue = line.first \
         JOIN jobs ON jobs.id = tasks.job ORDER BY line.class",
    )
    .fetch_all(conn)
    .await?;
    let line = |row: &Row| {
        Ok(WaitingLine {
            class: row.try_get("class")?,
            tasks: count_column(row, "n")?,
            oldest_ms: row.try_get::<Option<i64>>("oldest")?.unwrap_or_default(),
        })
    };
    rows.iter().map(line).collect()
}
