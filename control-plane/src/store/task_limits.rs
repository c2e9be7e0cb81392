//! Table `task_limits`, and the room in them that jobs take and wait for.
//!
//! A job that has room counts with all its tasks until it ends. What has room in a limit is no more than
//! the limit allows, so counting it is bounded by that.

use russet_protocol::ids::{JobId, PipelineId};
use russet_protocol::limits::LimitScope;
use russet_protocol::resource_class::ResourceClass;

use super::rows::{count_column, int_value, parse};
use super::sql::{Query, Row, query};
use super::{Conn, StoreError, WriteTx};
use crate::people::namespace_of;

/// A limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) scope: LimitScope,
    pub(crate) name: String,
    pub(crate) most: u32,
    pub(crate) set_by: String,
    pub(crate) set_ms: u64,
}

impl Limit {
    /// Returns true if it is for jobs of a project in a class.
    pub(crate) fn is_for(&self, project: &str, class: &str) -> bool {
        match self.scope {
            LimitScope::Project => self.name == project,
            LimitScope::Namespace => namespace_of(project).as_deref() == Some(self.name.as_str()),
            LimitScope::Class => self.name == class,
        }
    }
}

/// Returns all limits, by kind and name.
pub(crate) async fn list(conn: &mut Conn) -> Result<Vec<Limit>, StoreError> {
    let rows = query("SELECT * FROM task_limits ORDER BY scope, name").fetch_all(conn).await?;
    let limit = |row: &Row| {
        Ok(Limit {
            scope: parse(row, "scope")?,
            name: row.try_get("name")?,
            most: row.try_get("most")?,
            set_by: row.try_get("set_by")?,
            set_ms: count_column(row, "set_ms")?,
        })
    };
    rows.iter().map(limit).collect()
}

/// Sets a limit. What is in line already counts in it, however much that is.
pub(crate) async fn put(tx: &mut WriteTx, limit: &Limit) -> Result<(), StoreError> {
    query(
        "INSERT INTO task_limits (scope, name, most, set_by, set_ms) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (scope, name) DO UPDATE SET most = excluded.most, set_by = excluded.set_by, \
         set_ms = excluded.set_ms",
    )
    .bind(limit.scope.as_str())
    .bind(&limit.name)
    .bind(limit.most)
    .bind(&limit.set_by)
    .bind(int_value(limit.set_ms))
    .execute(&mut *tx)
    .await?;
    query(
        "UPDATE jobs SET room = parallelism WHERE room = 0 AND phase IN ('queued', 'running') \
         AND id IN (SELECT job FROM tasks WHERE phase = 'queued' \
         UNION SELECT job FROM tasks WHERE phase = 'running')",
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a limit. Returns false where there is none.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    scope: LimitScope,
    name: &str,
) -> Result<bool, StoreError> {
    let done = query("DELETE FROM task_limits WHERE scope = $1 AND name = $2")
        .bind(scope.as_str())
        .bind(name)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Returns the number of tasks that count in a limit.
pub(crate) async fn used(
    conn: &mut Conn,
    scope: LimitScope,
    name: &str,
) -> Result<u64, StoreError> {
    let statement = match scope {
        LimitScope::Project => query(
            "SELECT CAST(coalesce(sum(room), 0) AS BIGINT) AS number FROM jobs \
             WHERE project = $1 AND room > 0 AND phase != 'ended'",
        ),
        LimitScope::Namespace => query(
            "SELECT CAST(coalesce(sum(room), 0) AS BIGINT) AS number FROM jobs \
             WHERE project >= $1 AND project < $2 AND room > 0 AND phase != 'ended'",
        ),
        LimitScope::Class => query(
            "SELECT CAST(coalesce(sum(room), 0) AS BIGINT) AS number FROM jobs \
             WHERE class = $1 AND room > 0 AND phase != 'ended' AND class != ''",
        ),
    };
    let row = bind_scope(statement, scope, name).fetch_one(conn).await?;
    count_column(&row, "number")
}

/// Returns the number of jobs that wait for room, of those that a limit is for.
pub(crate) async fn waiting(
    conn: &mut Conn,
    scope: LimitScope,
    name: &str,
) -> Result<u64, StoreError> {
    let statement = match scope {
        LimitScope::Project => {
            query("SELECT count(*) AS number FROM jobs WHERE project = $1 AND awaits_room = 1")
        }
        LimitScope::Namespace => query(
            "SELECT count(*) AS number FROM jobs \
             WHERE project >= $1 AND project < $2 AND awaits_room = 1",
        ),
        LimitScope::Class => {
            query("SELECT count(*) AS number FROM jobs WHERE class = $1 AND awaits_room = 1")
        }
    };
    let row = bind_scope(statement, scope, name).fetch_one(conn).await?;
    count_column(&row, "number")
}

fn bind_scope<'a>(statement: Query<'a>, scope: LimitScope, name: &'a str) -> Query<'a> {
    match scope {
        // Names of projects in a namespace lie between it with a slash and with what follows that.
        LimitScope::Namespace => statement.bind(format!("{name}/")).bind(format!("{name}0")),
        LimitScope::Project | LimitScope::Class => statement.bind(name),
    }
}

/// Notes that a job waits for room.
pub(crate) async fn await_room(
    tx: &mut WriteTx,
    job: &JobId,
    message: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "UPDATE jobs SET phase = 'queued', queued_ms = coalesce(queued_ms, $1), started_ms = NULL, \
         runner = NULL, message = $2, awaits_room = 1, rev = $3 WHERE id = $4",
    )
    .bind(now_ms)
    .bind(message)
    .bind(tx.rev())
    .bind(job.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives a job room for all its tasks.
pub(crate) async fn give_room(tx: &mut WriteTx, job: &JobId) -> Result<(), StoreError> {
    query("UPDATE jobs SET room = parallelism, awaits_room = 0 WHERE id = $1")
        .bind(job.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// The first of the jobs of a project in a class that wait for room.
#[derive(Clone, Debug)]
pub(crate) struct FirstWaiting {
    pub(crate) id: JobId,
    pub(crate) pipeline: PipelineId,
    pub(crate) project: String,
    pub(crate) class: ResourceClass,
    pub(crate) parallelism: u32,
    pub(crate) queued_ms: i64,
}

/// Returns the first waiting job of the next project and class behind a pair; none: there is no further
/// pair.
pub(crate) async fn next_pair(
    conn: &mut Conn,
    (project, class): (&str, &str),
) -> Result<Option<FirstWaiting>, StoreError> {
    let row = query(
        "SELECT id, pipeline, project, class, parallelism, queued_ms FROM jobs \
         WHERE awaits_room = 1 AND (project, class) > ($1, $2) \
         ORDER BY project, class, queued_ms, number LIMIT 1",
    )
    .bind(project)
    .bind(class)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(waiting_from_row).transpose()
}

/// Returns the first waiting job of a project and class.
pub(crate) async fn first_of_pair(
    conn: &mut Conn,
    (project, class): (&str, &str),
) -> Result<Option<FirstWaiting>, StoreError> {
    let row = query(
        "SELECT id, pipeline, project, class, parallelism, queued_ms FROM jobs \
         WHERE awaits_room = 1 AND project = $1 AND class = $2 \
         ORDER BY project, class, queued_ms, number LIMIT 1",
    )
    .bind(project)
    .bind(class)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(waiting_from_row).transpose()
}

fn waiting_from_row(row: &Row) -> Result<FirstWaiting, StoreError> {
    Ok(FirstWaiting {
        id: row.try_get::<String>("id")?.into(),
        pipeline: row.try_get::<String>("pipeline")?.into(),
        project: row.try_get("project")?,
        class: parse(row, "class")?,
        parallelism: row.try_get("parallelism")?,
        queued_ms: row.try_get("queued_ms")?,
    })
}
