//! Table `alerts`.

use std::collections::BTreeSet;

use russet_protocol::alerts::{AlertItem, AlertKind};

use super::rows::{count_column, count_maybe, int_value};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

/// Most alerts that ended which are listed.
const MAX_LISTED: i64 = 100;

/// Returns the kind of an alert; `None` for one that only a newer server knows, which looks after it.
fn kind_from_row(row: &Row) -> Result<Option<AlertKind>, StoreError> {
    let name: String = row.try_get("kind")?;
    Ok(AlertKind::ALL.into_iter().find(|kind| kind.as_str() == name))
}

fn alert_from_row(row: &Row) -> Result<Option<AlertItem>, StoreError> {
    let Some(kind) = kind_from_row(row)? else { return Ok(None) };
    Ok(Some(AlertItem {
        id: row.try_get("id")?,
        kind,
        subject: row.try_get("subject")?,
        detail: row.try_get("detail")?,
        opened_ms: count_column(row, "opened_ms")?,
        closed_ms: count_maybe(row, "closed_ms")?,
    }))
}

/// Returns the alerts that are open, the newest first.
pub(crate) async fn list_open(conn: &mut Conn) -> Result<Vec<AlertItem>, StoreError> {
    let rows = query("SELECT * FROM alerts WHERE closed_ms IS NULL ORDER BY opened_ms DESC, id")
        .fetch_all(conn)
        .await?;
    rows.iter().filter_map(|row| alert_from_row(row).transpose()).collect()
}

/// Returns the alerts that are open and the newest that ended: the open ones first, the newest of
/// each first.
pub(crate) async fn list(conn: &mut Conn) -> Result<Vec<AlertItem>, StoreError> {
    let mut items = list_open(conn).await?;
    let closed = query(
        "SELECT * FROM alerts WHERE closed_ms IS NOT NULL ORDER BY opened_ms DESC, id LIMIT $1",
    )
    .bind(MAX_LISTED)
    .fetch_all(conn)
    .await?;
    for row in &closed {
        items.extend(alert_from_row(row)?);
    }
    Ok(items)
}

/// Returns kind and subject of the alerts that are open.
pub(crate) async fn open_keys(
    conn: &mut Conn,
) -> Result<BTreeSet<(AlertKind, String)>, StoreError> {
    let rows =
        query("SELECT kind, subject FROM alerts WHERE closed_ms IS NULL").fetch_all(conn).await?;
    let mut keys = BTreeSet::new();
    for row in &rows {
        let subject = row.try_get("subject")?;
        keys.extend(kind_from_row(row)?.map(|kind| (kind, subject)));
    }
    Ok(keys)
}

/// Opens an alert. Returns false where another server has just opened the same.
pub(crate) async fn open(tx: &mut WriteTx, item: &AlertItem) -> Result<bool, StoreError> {
    let done = query(
        "INSERT INTO alerts (id, kind, subject, detail, opened_ms) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (kind, subject) WHERE closed_ms IS NULL DO NOTHING",
    )
    .bind(&item.id)
    .bind(item.kind.as_str())
    .bind(&item.subject)
    .bind(&item.detail)
    .bind(int_value(item.opened_ms))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Closes an alert. Returns it; `None` where another server has just closed it.
pub(crate) async fn close(
    tx: &mut WriteTx,
    kind: AlertKind,
    subject: &str,
    now_ms: i64,
) -> Result<Option<AlertItem>, StoreError> {
    let row = query(
        "UPDATE alerts SET closed_ms = $1 WHERE kind = $2 AND subject = $3 AND closed_ms IS NULL \
         RETURNING *",
    )
    .bind(now_ms)
    .bind(kind.as_str())
    .bind(subject)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map_or(Ok(None), alert_from_row)
}

/// Forgets alerts that ended before a moment.
pub(crate) async fn delete_old(tx: &mut WriteTx, before_ms: i64) -> Result<(), StoreError> {
    query("DELETE FROM alerts WHERE closed_ms < $1").bind(before_ms).execute(tx).await?;
    Ok(())
}
