//! Targets of projects in the table `alert_targets`, and the last outcomes that they go by.

use russet_protocol::notifications::{NotifyEvent, NotifyOn, NotifyTargetItem};

use super::alert_targets::select_targets;
use super::rows::{count_column, count_maybe, int_value, json, parse, to_json};
use super::sql::{Lock, Row, query};
use super::{Conn, StoreError, WriteTx};
use crate::notify::Previous;

/// A target of a project with its sealed part.
#[derive(Debug)]
pub(crate) struct StoredNotifyTarget {
    pub(crate) item: NotifyTargetItem,
    pub(crate) sealed: Vec<u8>,
}

fn target_from_row(row: &Row) -> Result<NotifyTargetItem, StoreError> {
    Ok(NotifyTargetItem {
        id: row.try_get("name")?,
        name: row.try_get("label")?,
        kind: parse(row, "kind")?,
        address: row.try_get("shown")?,
        events: json(row, "events")?,
        on: parse(row, "send_on")?,
        author: row.try_get("author")?,
        created_ms: count_column(row, "created_ms")?,
        waiting: count_column(row, "waiting")?,
        delivered_ms: count_maybe(row, "delivered_ms")?,
        failure: row.try_get("failure")?,
    })
}

/// Returns the targets of a project, by name.
pub(crate) async fn of_project(
    conn: &mut Conn,
    project: &str,
) -> Result<Vec<NotifyTargetItem>, StoreError> {
    let rows =
        query(select_targets!("WHERE alert_targets.project = $1 ORDER BY alert_targets.label"))
            .bind(project)
            .fetch_all(conn)
            .await?;
    rows.iter().map(target_from_row).collect()
}

/// Adds a target. Returns false where the project has one of this name.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    project: &str,
    new: &StoredNotifyTarget,
) -> Result<bool, StoreError> {
    let hears_jobs = new.item.events.contains(&NotifyEvent::JobCompleted);
    let done = query(
        "INSERT INTO alert_targets (name, kind, shown, sealed, created_ms, project, label, events, \
         hears_jobs, send_on, author) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT DO NOTHING",
    )
    .bind(&new.item.id)
    .bind(new.item.kind.as_str())
    .bind(&new.item.address)
    .bind(&new.sealed)
    .bind(int_value(new.item.created_ms))
    .bind(project)
    .bind(&new.item.name)
    .bind(to_json(&new.item.events)?)
    .bind(hears_jobs)
    .bind(new.item.on.as_str())
    .bind(&new.item.author)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Removes a target with its messages. Returns the target as it was.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    project: &str,
    name: &str,
) -> Result<Option<NotifyTargetItem>, StoreError> {
    let found = of_project(tx, project).await?.into_iter().find(|target| target.name == name);
    let Some(target) = found else { return Ok(None) };
    query("DELETE FROM outbox WHERE target = $1").bind(&target.id).execute(tx).await?;
    query("DELETE FROM alert_targets WHERE name = $1").bind(&target.id).execute(tx).await?;
    Ok(Some(target))
}

/// Removes all of a project that is deleted.
pub(super) async fn remove_of_project(tx: &mut WriteTx, project: &str) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM outbox WHERE target IN (SELECT name FROM alert_targets WHERE project = $1)",
        "DELETE FROM alert_targets WHERE project = $1",
        "DELETE FROM last_outcomes WHERE project = $1",
    ] {
        query(statement).bind(project).execute(tx).await?;
    }
    Ok(())
}

/// Target of an event.
#[derive(Debug)]
pub(crate) struct Hearer {
    /// Its id.
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) events: Vec<NotifyEvent>,
    pub(crate) on: NotifyOn,
    pub(crate) author: Option<String>,
}

/// Returns the targets of a project, without how their deliveries went.
pub(super) async fn hearers(conn: &mut Conn, project: &str) -> Result<Vec<Hearer>, StoreError> {
    let rows = query(
        "SELECT name, label, events, send_on, author FROM alert_targets WHERE project = $1 \
         ORDER BY name",
    )
    .bind(project)
    .fetch_all(conn)
    .await?;
    let hearer = |row: &Row| {
        Ok(Hearer {
            id: row.try_get("name")?,
            label: row.try_get("label")?,
            events: json(row, "events")?,
            on: parse(row, "send_on")?,
            author: row.try_get("author")?,
        })
    };
    rows.iter().map(hearer).collect()
}

/// Key of the last outcome of a workflow or job.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutcomeKey<'a> {
    pub(super) project: &'a str,
    /// Branch or tag.
    pub(super) reference: &'a str,
    pub(super) workflow: &'a str,
    /// Empty for the workflow itself.
    pub(super) job: &'a str,
}

/// Notes an outcome. Returns the one before. Of two that end at the same time, one waits for the row of
/// the other.
pub(super) async fn note_outcome(
    tx: &mut WriteTx,
    key: OutcomeKey<'_>,
    number: u64,
    outcome: &str,
    now_ms: i64,
) -> Result<Previous, StoreError> {
    let of_key = |text: &'static str| {
        query(text).bind(key.project).bind(key.reference).bind(key.workflow).bind(key.job)
    };
    // There first, so that there is something to lock.
    of_key(
        "INSERT INTO last_outcomes (project, ref, workflow_name, job_name, number, outcome, ended_ms) \
         VALUES ($1, $2, $3, $4, 0, '', $5) ON CONFLICT (project, ref, workflow_name, job_name) DO NOTHING",
    )
    .bind(now_ms)
    .execute(tx)
    .await?;
    let row = of_key(
        "SELECT number, outcome FROM last_outcomes \
         WHERE project = $1 AND ref = $2 AND workflow_name = $3 AND job_name = $4",
    )
    .lock(Lock::Of("last_outcomes"))
    .fetch_one(tx)
    .await?;
    if count_column(&row, "number")? > number {
        return Ok(Previous::Later);
    }
    of_key(
        "UPDATE last_outcomes SET number = $5, outcome = $6, ended_ms = $7 \
         WHERE project = $1 AND ref = $2 AND workflow_name = $3 AND job_name = $4",
    )
    .bind(int_value(number))
    .bind(outcome)
    .bind(now_ms)
    .execute(tx)
    .await?;
    let before: String = row.try_get("outcome")?;
    Ok(if before.is_empty() { Previous::None } else { Previous::Outcome(before) })
}

/// Forgets outcomes of branches on which nothing has ended since a moment.
pub(crate) async fn forget_outcomes(tx: &mut WriteTx, before_ms: i64) -> Result<(), StoreError> {
    query("DELETE FROM last_outcomes WHERE ended_ms < $1").bind(before_ms).execute(tx).await?;
    Ok(())
}
