//! The line in which the tasks of a class wait: which one a runner gets next.
//!
//! A runner that says which Xcodes it has gets no task of a job that names another one; the tasks
//! behind it do not wait for that.

use russet_protocol::resource_class::ResourceClass;
use russet_protocol::xcode::{Xcode, has_xcode};
use sqlx::Row;

use super::tasks::{Claimed, claimed_from_row};
use super::{Conn, StoreError};

/// The most Xcodes that the waiting tasks of a class may name for all of them to be looked at.
const MAX_NAMED: usize = 64;

/// The task that a runner with these Xcodes gets next; `None`: the runner does not say what it has.
pub(crate) async fn next_in_line(
    conn: &mut Conn,
    class: &ResourceClass,
    xcodes: Option<&[Xcode]>,
) -> Result<Option<Claimed>, StoreError> {
    let place = match xcodes {
        None => first_place(conn, class).await?,
        Some(xcodes) => first_place_for(conn, class, xcodes).await?,
    };
    let Some(place) = place else { return Ok(None) };
    let row = sqlx::query(
        "SELECT tasks.id, tasks.job, jobs.name AS job_name, jobs.workflow, tasks.pipeline, \
         tasks.ordinal, jobs.parallelism, pipelines.project, pipelines.branch, pipelines.tag, pipelines.from_fork \
         FROM tasks JOIN jobs ON jobs.id = tasks.job JOIN pipelines ON pipelines.id = tasks.pipeline \
         WHERE tasks.class = ? AND tasks.phase = 'queued' AND tasks.queue = ?",
    )
    .bind(class.as_str())
    .bind(place)
    .fetch_optional(conn)
    .await?;
    row.map(|row| claimed_from_row(&row)).transpose()
}

/// The place of the first task of a class.
async fn first_place(conn: &mut Conn, class: &ResourceClass) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query(
        "SELECT min(queue) AS place FROM tasks INDEXED BY tasks_queued \
         WHERE class = ? AND phase = 'queued'",
    )
    .bind(class.as_str())
    .fetch_one(conn)
    .await?;
    Ok(row.try_get("place")?)
}

/// The place of the first task of a class that these Xcodes are enough for.
async fn first_place_for(
    conn: &mut Conn,
    class: &ResourceClass,
    xcodes: &[Xcode],
) -> Result<Option<i64>, StoreError> {
    let mut first = place_of(conn, class, None).await?;
    for named in named_xcodes(conn, class).await? {
        if has_xcode(&named, xcodes) {
            let place = place_of(conn, class, Some(&named)).await?;
            first = first.into_iter().chain(place).min();
        }
    }
    Ok(first)
}

/// The place of the first task of a class that names this Xcode, or none.
async fn place_of(
    conn: &mut Conn,
    class: &ResourceClass,
    xcode: Option<&str>,
) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query(
        "SELECT min(queue) AS place FROM tasks INDEXED BY tasks_queued_by_xcode \
         WHERE class = ? AND phase = 'queued' AND xcode IS ?",
    )
    .bind(class.as_str())
    .bind(xcode)
    .fetch_one(conn)
    .await?;
    Ok(row.try_get("place")?)
}

/// The Xcodes that the waiting tasks of a class name, each once. One look for each: the index leads
/// from one to the next.
async fn named_xcodes(conn: &mut Conn, class: &ResourceClass) -> Result<Vec<String>, StoreError> {
    let mut named: Vec<String> = Vec::new();
    while named.len() < MAX_NAMED {
        let row = sqlx::query(
            "SELECT min(xcode) AS next FROM tasks INDEXED BY tasks_queued_by_xcode \
             WHERE class = ? AND phase = 'queued' AND xcode > ?",
        )
        .bind(class.as_str())
        .bind(named.last().map_or("", String::as_str))
        .fetch_one(&mut *conn)
        .await?;
        match row.try_get("next")? {
            Some(next) => named.push(next),
            None => break,
        }
    }
    Ok(named)
}
