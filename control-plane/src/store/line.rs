//! The line in which the tasks of a class wait: which one a runner gets next.
//!
//! A runner that says which Xcodes it has gets no task of a job that names another one, and one that
//! does not offer SSH no task that is to be reached by it; the tasks behind those do not wait for that.
//!
//! A first place is looked for in the order of an index and with a limit, never as a minimum: for that
//! PostgreSQL, which takes the line for short, may go through all of it.

use russet_protocol::resource_class::ResourceClass;
use russet_protocol::xcode::{Xcode, has_xcode};

use super::abilities::{Abilities, SshLevel};
use super::claimed::{Claimed, claimed_from_row};
use super::sql::{Lock, Row, query};
use super::{Conn, StoreError, WriteTx};

/// The most Xcodes that the waiting tasks of a class may name for all of them to be looked at.
const MAX_NAMED: usize = 64;

/// The place before all others.
pub(super) const BEFORE_ALL: i64 = -1;

/// Returns true where a task waits that a runner with these abilities may have, as far as a look tells
/// that locks nothing.
pub(crate) async fn is_any_queued(
    conn: &mut Conn,
    class: &ResourceClass,
    Abilities { xcodes, ssh }: Abilities<'_>,
) -> Result<bool, StoreError> {
    let fitting = fitting_xcodes(conn, class, xcodes).await?;
    Ok(first_place(conn, class, (fitting.as_deref(), ssh), BEFORE_ALL).await?.is_some())
}

/// The queued tasks of a class, so that a change is told from none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) tasks: u32,
    /// Number of them that not every runner may have: they name an Xcode, or are reached by SSH.
    pub(crate) named: u32,
    /// Sum of their places.
    places: i64,
}

/// Returns the queued tasks of a class.
pub(crate) async fn queued_tasks(conn: &mut Conn, class: &str) -> Result<Queued, StoreError> {
    let row = query(
        "SELECT count(*) AS tasks, \
         count(CASE WHEN xcode IS NOT NULL OR ssh > 0 THEN 1 END) AS named, \
         CAST(coalesce(sum(queue), 0) AS BIGINT) AS places \
         FROM tasks WHERE class = $1 AND phase = 'queued'",
    )
    .bind(class)
    .fetch_one(conn)
    .await?;
    Ok(Queued {
        tasks: row.try_get("tasks")?,
        named: row.try_get("named")?,
        places: row.try_get("places")?,
    })
}

/// The task that a runner with these abilities gets next. Nobody else takes it until the end of this
/// transaction; those that other claims are about to take are passed over.
pub(crate) async fn next_in_line(
    tx: &mut WriteTx,
    class: &ResourceClass,
    Abilities { xcodes, ssh }: Abilities<'_>,
) -> Result<Option<Claimed>, StoreError> {
    let fitting = fitting_xcodes(tx, class, xcodes).await?;
    let mut after = BEFORE_ALL;
    while let Some(place) = first_place(tx, class, (fitting.as_deref(), ssh), after).await? {
        let row = query(
            "SELECT tasks.id, tasks.job, jobs.name AS job_name, jobs.workflow, tasks.pipeline, \
             tasks.ordinal, tasks.queued_ms, jobs.parallelism, pipelines.project, pipelines.branch, pipelines.tag, pipelines.from_fork, pipelines.reports \
             FROM tasks JOIN jobs ON jobs.id = tasks.job JOIN pipelines ON pipelines.id = tasks.pipeline \
             WHERE tasks.class = $1 AND tasks.phase = 'queued' AND tasks.queue = $2",
        )
        .bind(class.as_str())
        .bind(place)
        .lock(Lock::FreeOf("tasks"))
        .fetch_optional(tx)
        .await?;
        if let Some(row) = row {
            return claimed_from_row(&row).map(Some);
        }
        after = place;
    }
    Ok(None)
}

/// Returns those of the Xcodes that waiting tasks of a class name which a runner has; `None` where it
/// does not say what it has, and may have any task.
pub(super) async fn fitting_xcodes(
    conn: &mut Conn,
    class: &ResourceClass,
    xcodes: Option<&[Xcode]>,
) -> Result<Option<Vec<String>>, StoreError> {
    let Some(xcodes) = xcodes else { return Ok(None) };
    let mut named = named_xcodes(conn, class).await?;
    named.retain(|named| has_xcode(named, xcodes));
    Ok(Some(named))
}

/// The place of the first task behind another that a runner with these Xcodes and this offer may have.
pub(super) async fn first_place(
    conn: &mut Conn,
    class: &ResourceClass,
    (fitting, ssh): (Option<&[String]>, SshLevel),
    after: i64,
) -> Result<Option<i64>, StoreError> {
    let Some(fitting) = fitting else { return first_of_all(conn, class, ssh, after).await };
    let mut first = first_without(conn, class, ssh, after).await?;
    for named in fitting {
        let place = first_with(conn, class, (named, ssh), after).await?;
        first = first.into_iter().chain(place).min();
    }
    Ok(first)
}

/// The place of the first task of a class.
async fn first_of_all(
    conn: &mut Conn,
    class: &ResourceClass,
    ssh: SshLevel,
    after: i64,
) -> Result<Option<i64>, StoreError> {
    let row = query(
        "SELECT queue AS place FROM tasks INDEXED BY tasks_queued \
         WHERE class = $1 AND phase = 'queued' AND queue > $2 AND ssh <= $3 ORDER BY queue LIMIT 1",
    )
    .bind(class.as_str())
    .bind(after)
    .bind(ssh as i64)
    .fetch_optional(conn)
    .await?;
    place(row)
}

fn place(row: Option<Row>) -> Result<Option<i64>, StoreError> {
    row.map(|row| Ok(row.try_get("place")?)).transpose()
}

/// The place of the first task of a class that names no Xcode.
async fn first_without(
    conn: &mut Conn,
    class: &ResourceClass,
    ssh: SshLevel,
    after: i64,
) -> Result<Option<i64>, StoreError> {
    let row = query(
        "SELECT queue AS place FROM tasks INDEXED BY tasks_queued_by_xcode \
         WHERE class = $1 AND phase = 'queued' AND xcode IS NULL AND queue > $2 \
         AND ssh <= $3 ORDER BY xcode, queue LIMIT 1",
    )
    .bind(class.as_str())
    .bind(after)
    .bind(ssh as i64)
    .fetch_optional(conn)
    .await?;
    place(row)
}

/// The place of the first task of a class that names this Xcode.
async fn first_with(
    conn: &mut Conn,
    class: &ResourceClass,
    (xcode, ssh): (&str, SshLevel),
    after: i64,
) -> Result<Option<i64>, StoreError> {
    let row = query(
        "SELECT queue AS place FROM tasks INDEXED BY tasks_queued_by_xcode \
         WHERE class = $1 AND phase = 'queued' AND xcode = $2 AND queue > $3 \
         AND ssh <= $4 ORDER BY xcode, queue LIMIT 1",
    )
    .bind(class.as_str())
    .bind(xcode)
    .bind(after)
    .bind(ssh as i64)
    .fetch_optional(conn)
    .await?;
    place(row)
}

/// The Xcodes that the waiting tasks of a class name, each once. One look for each: the index leads
/// from one to the next.
async fn named_xcodes(conn: &mut Conn, class: &ResourceClass) -> Result<Vec<String>, StoreError> {
    let mut named: Vec<String> = Vec::new();
    while named.len() < MAX_NAMED {
        let row = query(
            "SELECT xcode AS next FROM tasks INDEXED BY tasks_queued_by_xcode \
             WHERE class = $1 AND phase = 'queued' AND xcode > $2 \
             ORDER BY xcode LIMIT 1",
        )
        .bind(class.as_str())
        .bind(named.last().map_or("", String::as_str))
        .fetch_optional(conn)
        .await?;
        match row {
            Some(row) => named.push(row.try_get("next")?),
            None => break,
        }
    }
    Ok(named)
}
