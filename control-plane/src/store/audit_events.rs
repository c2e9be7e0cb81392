//! Table `audit_events`: changes that people made.

use russet_protocol::people::AuditItem;

use super::rows::{count_column, int_value, json_maybe, keys, to_json};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

/// Events that are deleted in a transaction.
const DELETED_AT_ONCE: i64 = 500;

/// Events that are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) who: Option<String>,
    /// Part of the operation, as `DELETE` or `/contexts`.
    pub(crate) operation: Option<String>,
    /// Part of the path.
    pub(crate) target: Option<String>,
    /// Namespaces whose events are listed; `None`: those of all, and of the server.
    pub(crate) within: Option<Vec<String>>,
    pub(crate) since_ms: i64,
    pub(crate) until_ms: i64,
    /// Id of the event before which the page begins.
    pub(crate) before: Option<String>,
}

fn item_from_row(row: &Row) -> Result<AuditItem, StoreError> {
    Ok(AuditItem {
        id: row.try_get("id")?,
        at_ms: count_column(row, "at_ms")?,
        who: row.try_get("who")?,
        means: row.try_get("means")?,
        address: row.try_get("address")?,
        operation: row.try_get("operation")?,
        target: row.try_get("target")?,
        namespace: row.try_get("namespace")?,
        before: json_maybe(row, "before_json")?,
        after: json_maybe(row, "after_json")?,
    })
}

/// Adds an event.
pub(crate) async fn insert(tx: &mut WriteTx, item: &AuditItem) -> Result<(), StoreError> {
    query(
        "INSERT INTO audit_events (id, at_ms, who, means, address, operation, target, before_json, \
         after_json, namespace) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(&item.id)
    .bind(int_value(item.at_ms))
    .bind(&item.who)
    .bind(&item.means)
    .bind(&item.address)
    .bind(&item.operation)
    .bind(&item.target)
    .bind(item.before.as_ref().map(to_json).transpose()?)
    .bind(item.after.as_ref().map(to_json).transpose()?)
    .bind(&item.namespace)
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns a page of events, the newest first. Ids sort by time.
pub(crate) async fn list(
    conn: &mut Conn,
    filter: &Filter,
    limit: u32,
) -> Result<Vec<AuditItem>, StoreError> {
    let leading = match &filter.within {
        None => query(
            "SELECT * FROM audit_events WHERE CAST($1 AS TEXT) IS NULL \
             AND at_ms >= $2 AND at_ms < $3 \
             AND (CAST($4 AS TEXT) IS NULL OR who = $4) \
             AND (CAST($5 AS TEXT) IS NULL OR operation LIKE $5 ESCAPE '!') \
             AND (CAST($6 AS TEXT) IS NULL OR target LIKE $6 ESCAPE '!') \
             AND (CAST($7 AS TEXT) IS NULL OR id < $7) ORDER BY at_ms DESC, id DESC LIMIT $8",
        ),
        Some(_) => query(
            "SELECT e.* FROM json_each($1) AS named CROSS JOIN audit_events AS e \
             WHERE e.namespace = named.value AND e.at_ms >= $2 AND e.at_ms < $3 \
             AND (CAST($4 AS TEXT) IS NULL OR e.who = $4) \
             AND (CAST($5 AS TEXT) IS NULL OR e.operation LIKE $5 ESCAPE '!') \
             AND (CAST($6 AS TEXT) IS NULL OR e.target LIKE $6 ESCAPE '!') \
             AND (CAST($7 AS TEXT) IS NULL OR e.id < $7) ORDER BY e.at_ms DESC, e.id DESC LIMIT $8",
        ),
    };
    let rows = leading
        .bind(filter.within.as_ref().map(keys).transpose()?)
        .bind(filter.since_ms)
        .bind(filter.until_ms)
        .bind(&filter.who)
        .bind(filter.operation.as_deref().map(anywhere))
        .bind(filter.target.as_deref().map(anywhere))
        .bind(&filter.before)
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.iter().map(item_from_row).collect()
}

/// Pattern of texts that have a part.
fn anywhere(part: &str) -> String {
    let mut pattern = String::from("%");
    for c in part.chars() {
        if "!%_".contains(c) {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// Deletes some of the events that are older. Returns true while there may be more.
pub(crate) async fn remove_some_before(tx: &mut WriteTx, at_ms: i64) -> Result<bool, StoreError> {
    let done = query(
        "DELETE FROM audit_events WHERE id IN \
         (SELECT id FROM audit_events WHERE at_ms < $1 ORDER BY at_ms, id LIMIT $2)",
    )
    .bind(at_ms)
    .bind(DELETED_AT_ONCE)
    .execute(tx)
    .await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(0) >= DELETED_AT_ONCE)
}
