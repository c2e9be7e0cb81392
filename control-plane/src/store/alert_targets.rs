//! Table `alert_targets`: who hears of alerts, and of the workflows and jobs of a project
//! (`notify_targets.rs`).

use russet_protocol::alerts::{AlertTargetItem, TargetKind};

use super::rows::{count_column, count_maybe, int_value, parse};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

/// A target of alerts with its sealed part.
#[derive(Debug)]
pub(crate) struct StoredTarget {
    pub(crate) item: AlertTargetItem,
    pub(crate) sealed: Vec<u8>,
}

fn target_from_row(row: &Row) -> Result<StoredTarget, StoreError> {
    Ok(StoredTarget {
        item: AlertTargetItem {
            name: row.try_get("name")?,
            kind: parse(row, "kind")?,
            address: row.try_get("shown")?,
            created_ms: count_column(row, "created_ms")?,
            waiting: count_column(row, "waiting")?,
            delivered_ms: count_maybe(row, "delivered_ms")?,
            failure: row.try_get("failure")?,
        },
        sealed: row.try_get("sealed")?,
    })
}

macro_rules! select_targets {
    ($rest:literal) => {
        concat!(
            "SELECT alert_targets.*, (SELECT count(*) FROM outbox WHERE target = alert_targets.name \
             AND done_ms IS NULL AND failed_ms IS NULL) AS waiting, \
             (SELECT max(done_ms) FROM outbox WHERE target = alert_targets.name) AS delivered_ms, \
             (SELECT error FROM outbox WHERE target = alert_targets.name \
             ORDER BY outbox.created_ms DESC, id DESC LIMIT 1) AS failure FROM alert_targets ",
            $rest
        )
    };
}
pub(super) use select_targets;

/// Address of a target, as a message needs it.
#[derive(Debug)]
pub(crate) struct Addressee {
    pub(crate) kind: TargetKind,
    /// Project that it hears of. `None`: alerts.
    pub(crate) project: Option<String>,
    pub(crate) sealed: Vec<u8>,
}

/// Returns the address of a target of alerts, or of one of a project by its id.
pub(crate) async fn addressee(
    conn: &mut Conn,
    name: &str,
) -> Result<Option<Addressee>, StoreError> {
    let row = query("SELECT kind, project, sealed FROM alert_targets WHERE name = $1")
        .bind(name)
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Addressee {
        kind: parse(&row, "kind")?,
        project: row.try_get("project")?,
        sealed: row.try_get("sealed")?,
    }))
}

/// Returns all targets of alerts, by name.
pub(crate) async fn list(conn: &mut Conn) -> Result<Vec<StoredTarget>, StoreError> {
    let rows =
        query(select_targets!("WHERE alert_targets.project IS NULL ORDER BY alert_targets.name"))
            .fetch_all(conn)
            .await?;
    rows.iter().map(target_from_row).collect()
}

/// Returns a target of alerts.
pub(crate) async fn get(conn: &mut Conn, name: &str) -> Result<Option<StoredTarget>, StoreError> {
    let row =
        query(select_targets!("WHERE alert_targets.name = $1 AND alert_targets.project IS NULL"))
            .bind(name)
            .fetch_optional(conn)
            .await?;
    row.as_ref().map(target_from_row).transpose()
}

/// Adds a target of alerts. Returns false where there is one of this name.
pub(crate) async fn insert(tx: &mut WriteTx, new: &StoredTarget) -> Result<bool, StoreError> {
    let done = query(
        "INSERT INTO alert_targets (name, kind, shown, sealed, created_ms) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING",
    )
    .bind(&new.item.name)
    .bind(new.item.kind.as_str())
    .bind(&new.item.address)
    .bind(&new.sealed)
    .bind(int_value(new.item.created_ms))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Removes a target with its messages. Returns whether there was one.
pub(crate) async fn remove(tx: &mut WriteTx, name: &str) -> Result<bool, StoreError> {
    query("DELETE FROM outbox WHERE target = $1").bind(name).execute(tx).await?;
    let done = query("DELETE FROM alert_targets WHERE name = $1").bind(name).execute(tx).await?;
    Ok(done.rows_affected() > 0)
}
