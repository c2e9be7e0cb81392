//! Table `runners`: who claims. A claim is the only registration there is.

use russet_protocol::admin::RunnerItem;
use russet_protocol::resource_class::ResourceClass;
use russet_protocol::runner::ClaimRequest;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::rows::{json_maybe, parse, to_json};
use super::{Conn, StoreError, WriteTx};
use crate::text::{cut, rfc3339};

/// The most that is kept of each thing that a runner says about itself, in bytes.
const ABOUT_LIMIT: usize = 255;

/// The most that is kept of how far an update is, in bytes.
const UPDATE_LIMIT: usize = 4096;

fn item(row: &SqliteRow) -> Result<RunnerItem, StoreError> {
    Ok(RunnerItem {
        resource_class: parse(row, "class")?,
        hostname: row.try_get("hostname")?,
        name: row.try_get("name")?,
        first_connected: rfc3339(row.try_get("first_ms")?),
        last_connected: rfc3339(row.try_get("last_ms")?),
        last_used: row.try_get::<Option<i64>, _>("last_used_ms")?.map(rfc3339),
        version: row.try_get("version")?,
        ip: row.try_get("ip")?,
        update: json_maybe(row, "update_state")?,
    })
}

/// All runners.
pub(crate) async fn list(conn: &mut Conn) -> Result<Vec<RunnerItem>, StoreError> {
    let rows = sqlx::query("SELECT * FROM runners ORDER BY class, name").fetch_all(conn).await?;
    rows.iter().map(item).collect()
}

/// Notes that a runner claims.
pub(crate) async fn touch(
    tx: &mut WriteTx,
    class: &ResourceClass,
    runner: &ClaimRequest,
    now_ms: i64,
) -> Result<(), StoreError> {
    // A longer one is none that our agent writes.
    let update = runner.update.as_ref().map(to_json).transpose()?;
    let update = update.filter(|text| text.len() <= UPDATE_LIMIT);
    sqlx::query(
        "INSERT INTO runners (class, name, hostname, ip, version, first_ms, last_ms, \
         update_state) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (class, name) DO UPDATE SET hostname = excluded.hostname, ip = excluded.ip, \
         version = excluded.version, last_ms = excluded.last_ms, \
         update_state = excluded.update_state",
    )
    .bind(class.as_str())
    .bind(&runner.name)
    .bind(cut(&runner.hostname, ABOUT_LIMIT))
    .bind(cut(&runner.ip, ABOUT_LIMIT))
    .bind(cut(&runner.version, ABOUT_LIMIT))
    .bind(now_ms)
    .bind(now_ms)
    .bind(update)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that a runner got a task.
pub(crate) async fn used(
    tx: &mut WriteTx,
    class: &ResourceClass,
    name: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE runners SET last_used_ms = ? WHERE class = ? AND name = ?")
        .bind(now_ms)
        .bind(class.as_str())
        .bind(name)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
