//! Table `webhook_deliveries`: what hosts of repositories sent, and what became of it.

use russet_protocol::webhooks::{DeliveryItem, DeliveryOutcome};

use super::rows::{count_column, parse};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};
use crate::text::cut_text;

/// The most that is kept of an event's name, an action and a message, in bytes.
const MAX_TEXT_BYTES: usize = 500;

/// Delivery to note.
#[derive(Clone, Debug)]
pub(crate) struct NewDelivery<'a> {
    pub(crate) id: &'a str,
    pub(crate) event: &'a str,
    pub(crate) action: Option<&'a str>,
    pub(crate) outcome: DeliveryOutcome,
    pub(crate) message: &'a str,
    /// Compressed.
    pub(crate) payload: &'a Option<Vec<u8>>,
}

/// Notes a delivery, in the place of one with the same id.
pub(crate) async fn put(
    tx: &mut WriteTx,
    project: &str,
    new: &NewDelivery<'_>,
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO webhook_deliveries (project, delivery, event, action, received_ms, outcome, \
         message, payload) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (project, delivery) DO UPDATE SET received_ms = excluded.received_ms, \
         outcome = excluded.outcome, message = excluded.message, payload = excluded.payload",
    )
    .bind(project)
    .bind(new.id)
    .bind(cut_text(new.event, MAX_TEXT_BYTES))
    .bind(new.action.map(|action| cut_text(action, MAX_TEXT_BYTES)))
    .bind(now_ms)
    .bind(new.outcome.as_str())
    .bind(cut_text(new.message, MAX_TEXT_BYTES))
    .bind(new.payload)
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns a delivery.
pub(crate) async fn get(
    conn: &mut Conn,
    project: &str,
    delivery: &str,
) -> Result<Option<DeliveryItem>, StoreError> {
    let row = query(
        "SELECT delivery, event, action, received_ms, outcome, message, \
         CASE WHEN payload IS NULL THEN 0 ELSE 1 END AS has_payload \
         FROM webhook_deliveries WHERE project = $1 AND delivery = $2",
    )
    .bind(project)
    .bind(delivery)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(item_from_row).transpose()
}

/// Returns the compressed payload of a delivery.
pub(crate) async fn payload(
    conn: &mut Conn,
    project: &str,
    delivery: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    let row = query("SELECT payload FROM webhook_deliveries WHERE project = $1 AND delivery = $2")
        .bind(project)
        .bind(delivery)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| row.try_get("payload")).transpose()?.flatten())
}

/// Returns the newest deliveries of a project.
pub(crate) async fn newest(
    conn: &mut Conn,
    project: &str,
) -> Result<Vec<DeliveryItem>, StoreError> {
    let rows = query(
        "SELECT delivery, event, action, received_ms, outcome, message, \
         CASE WHEN payload IS NULL THEN 0 ELSE 1 END AS has_payload FROM webhook_deliveries \
         WHERE project = $1 ORDER BY received_ms DESC, delivery DESC LIMIT 50",
    )
    .bind(project)
    .fetch_all(conn)
    .await?;
    rows.iter().map(item_from_row).collect()
}

fn item_from_row(row: &Row) -> Result<DeliveryItem, StoreError> {
    Ok(DeliveryItem {
        id: row.try_get("delivery")?,
        event: row.try_get("event")?,
        action: row.try_get("action")?,
        received_ms: count_column(row, "received_ms")?,
        outcome: parse(row, "outcome")?,
        message: row.try_get("message")?,
        has_payload: row.try_get("has_payload")?,
    })
}

/// Removes payloads that came before a moment, and rows before another one.
pub(crate) async fn remove_old(
    tx: &mut WriteTx,
    payloads_before_ms: i64,
    rows_before_ms: i64,
) -> Result<(), StoreError> {
    query(
        "UPDATE webhook_deliveries SET payload = NULL \
         WHERE received_ms < $1 AND payload IS NOT NULL",
    )
    .bind(payloads_before_ms)
    .execute(tx)
    .await?;
    query("DELETE FROM webhook_deliveries WHERE received_ms < $1")
        .bind(rows_before_ms)
        .execute(tx)
        .await?;
    Ok(())
}

/// Forgets all of a project that is deleted.
pub(super) async fn remove_of_project(tx: &mut WriteTx, project: &str) -> Result<(), StoreError> {
    query("DELETE FROM webhook_deliveries WHERE project = $1").bind(project).execute(tx).await?;
    Ok(())
}
