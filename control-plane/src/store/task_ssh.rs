//! Tables `task_ssh` and `ssh_sessions`: the way into a task, of one claim of it, and the sessions that its
//! agent reported.

use russet_protocol::ids::{AllocationId, JobId, TaskId};
use russet_protocol::outcome::Phase;
use russet_protocol::ssh::{HoldOrders, HoldReport, SshReady};

use super::rows::{count_column, count_maybe, int_value, json_maybe, parse, to_json};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

/// A task of a job with SSH.
#[derive(Clone, Debug)]
pub(crate) struct TaskSsh {
    pub(crate) task: TaskId,
    /// Index among the tasks of its run, from 0.
    pub(crate) node_index: u32,
    pub(crate) phase: Phase,
    /// The way into it, once its agent has said that there is one.
    pub(crate) way: Option<Way>,
}

/// The way into a task.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) ready: SshReady,
    /// Set once the steps have ended and the task is held.
    pub(crate) is_waiting: bool,
    pub(crate) sessions: u32,
    /// End of the hold if nothing changes, in milliseconds since 1970.
    pub(crate) ends_ms: Option<u64>,
    /// Server at which the agent waits for a connection.
    pub(crate) server: Option<String>,
    /// Address at which other servers reach that one.
    pub(crate) peer_url: Option<String>,
}

fn task_from_row(row: &Row) -> Result<TaskSsh, StoreError> {
    let (ordinal, parallelism): (u32, u32) = (row.try_get("ordinal")?, row.try_get("parallelism")?);
    let way = match json_maybe(row, "ready")? {
        Some(ready) => Some(Way {
            ready,
            is_waiting: row.try_get("waiting")?,
            sessions: row.try_get("sessions")?,
            ends_ms: count_maybe(row, "ends_ms")?,
            server: row.try_get("server")?,
            peer_url: row.try_get("peer_url")?,
        }),
        None => None,
    };
    Ok(TaskSsh {
        task: row.try_get::<String>("id")?.into(),
        node_index: ordinal.checked_rem(parallelism).unwrap_or_default(),
        phase: parse(row, "phase")?,
        way,
    })
}

/// Returns the tasks of a job's last run, in their order. What an earlier claim of a task said does not
/// count.
pub(crate) async fn of_job(conn: &mut Conn, job: &JobId) -> Result<Vec<TaskSsh>, StoreError> {
    let rows = query(
        "SELECT t.id, t.ordinal, t.phase, j.parallelism, s.ready, s.waiting, s.sessions, s.ends_ms, \
         s.server, s.peer_url FROM jobs AS j JOIN tasks AS t ON t.job = j.id AND t.run = j.reruns \
         LEFT JOIN task_ssh AS s ON s.task = t.id AND s.allocation = t.allocation \
         WHERE j.id = $1 ORDER BY t.ordinal",
    )
    .bind(job.as_str())
    .fetch_all(conn)
    .await?;
    rows.iter().map(task_from_row).collect()
}

/// Notes that a task can be reached. What was asked of an earlier claim is forgotten.
pub(crate) async fn set_ready(
    tx: &mut WriteTx,
    task: &TaskId,
    allocation: &AllocationId,
    ready: &SshReady,
) -> Result<(), StoreError> {
    query("DELETE FROM task_ssh WHERE task = $1 AND allocation <> $2")
        .bind(task.as_str())
        .bind(allocation.as_str())
        .execute(&mut *tx)
        .await?;
    query(
        "INSERT INTO task_ssh (task, allocation, ready) VALUES ($1, $2, $3) \
         ON CONFLICT (task) DO UPDATE SET ready = excluded.ready",
    )
    .bind(task.as_str())
    .bind(allocation.as_str())
    .bind(to_json(ready)?)
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes how the hold of a task goes. Returns what people asked of it; `None` where its agent has not said
/// that it can be reached.
pub(crate) async fn note_hold(
    tx: &mut WriteTx,
    task: &TaskId,
    report: &HoldReport,
    now_ms: i64,
) -> Result<Option<HoldOrders>, StoreError> {
    let row = query(
        "UPDATE task_ssh SET waiting = $1, sessions = $2, ends_ms = $3 WHERE task = $4 \
         RETURNING extended_ms, end_by",
    )
    .bind(report.waiting)
    .bind(report.sessions)
    .bind(now_ms.saturating_add(int_value(report.remaining_ms)))
    .bind(task.as_str())
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(orders_from_row).transpose()
}

fn orders_from_row(row: &Row) -> Result<HoldOrders, StoreError> {
    Ok(HoldOrders {
        extended_ms: count_column(row, "extended_ms")?,
        end: row.try_get::<Option<String>>("end_by")?.is_some(),
    })
}

/// Adds time to the hold of a task that can be reached, as far as the most allows.
pub(crate) async fn extend(
    tx: &mut WriteTx,
    task: &TaskId,
    by_ms: u64,
    most_ms: u64,
) -> Result<(), StoreError> {
    query(
        "UPDATE task_ssh SET extended_ms = CASE WHEN extended_ms + $1 > $2 THEN $2 \
         ELSE extended_ms + $1 END, ends_ms = ends_ms + CASE WHEN extended_ms + $1 > $2 \
         THEN $2 - extended_ms ELSE $1 END WHERE task = $3",
    )
    .bind(int_value(by_ms))
    .bind(int_value(most_ms))
    .bind(task.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes that somebody asked to end the hold of a task that can be reached.
pub(crate) async fn end(tx: &mut WriteTx, task: &TaskId, by: &str) -> Result<(), StoreError> {
    query("UPDATE task_ssh SET end_by = coalesce(end_by, $1) WHERE task = $2")
        .bind(by)
        .bind(task.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Notes at which server the agent of a task waits for a connection, and where others reach that one.
/// Returns false where the agent has not said that the task can be reached.
pub(crate) async fn set_server(
    tx: &mut WriteTx,
    task: &TaskId,
    server: &str,
    peer_url: Option<&str>,
) -> Result<bool, StoreError> {
    let done = query("UPDATE task_ssh SET server = $1, peer_url = $2 WHERE task = $3")
        .bind(server)
        .bind(peer_url)
        .bind(task.as_str())
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Result of [`note_session`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It was not known.
    New,
    /// It was reported before.
    Known,
    /// The task has reported as many as it may.
    TooMany,
}

/// Notes that a session began or has ended.
pub(crate) async fn note_session(
    tx: &mut WriteTx,
    task: &TaskId,
    session: &str,
    has_ended: bool,
    most: u64,
) -> Result<Noted, StoreError> {
    let row = query(
        "SELECT count(*) AS n, max(CASE WHEN session = $1 THEN ended END) AS ended \
         FROM ssh_sessions WHERE task = $2",
    )
    .bind(session)
    .bind(task.as_str())
    .fetch_one(&mut *tx)
    .await?;
    match row.try_get::<Option<i64>>("ended")? {
        Some(ended) if ended > 0 || !has_ended => return Ok(Noted::Known),
        None if count_column(&row, "n")? >= most => return Ok(Noted::TooMany),
        _ => {}
    }
    query(
        "INSERT INTO ssh_sessions (task, session, ended) VALUES ($1, $2, $3) \
         ON CONFLICT (task, session) DO UPDATE SET ended = excluded.ended",
    )
    .bind(task.as_str())
    .bind(session)
    .bind(has_ended)
    .execute(tx)
    .await?;
    Ok(Noted::New)
}
