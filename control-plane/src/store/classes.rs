//! Table `resource_classes`.

use russet_protocol::admin::{Pin, ResourceClassItem};
use russet_protocol::ids::ResourceClassId;
use russet_protocol::resource_class::ResourceClass;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::rows::{json_maybe, parse, to_json};
use super::{Conn, StoreError, WriteTx};

fn item_from_row(row: &SqliteRow) -> Result<ResourceClassItem, StoreError> {
    Ok(ResourceClassItem {
        id: row.try_get::<String, _>("id")?.into(),
        resource_class: parse(row, "name")?,
        description: row.try_get("description")?,
        allow_forks: row.try_get("allow_forks")?,
        pin: json_maybe(row, "pin")?,
        active_tasks: None,
        runners: None,
    })
}

/// All classes, or those of a namespace.
pub(crate) async fn list(
    conn: &mut Conn,
    namespace: Option<&str>,
) -> Result<Vec<ResourceClassItem>, StoreError> {
    let rows = sqlx::query("SELECT * FROM resource_classes ORDER BY name").fetch_all(conn).await?;
    let items: Result<Vec<_>, _> = rows.iter().map(item_from_row).collect();
    let wanted = |class: &ResourceClass| namespace.is_none_or(|name| class.namespace() == name);
    Ok(items?.into_iter().filter(|item| wanted(&item.resource_class)).collect())
}

/// The class of an id.
pub(crate) async fn get(
    conn: &mut Conn,
    id: &ResourceClassId,
) -> Result<Option<ResourceClassItem>, StoreError> {
    let row = sqlx::query("SELECT * FROM resource_classes WHERE id = ?")
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(item_from_row).transpose()
}

/// Returns true if there is a class of this name.
pub(crate) async fn exists(conn: &mut Conn, name: &ResourceClass) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM resource_classes WHERE name = ?")
        .bind(name.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// Adds a class whose name is free.
pub(crate) async fn insert(tx: &mut WriteTx, item: &ResourceClassItem) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO resource_classes (id, name, description, allow_forks) VALUES (?, ?, ?, ?)",
    )
    .bind(item.id.as_str())
    .bind(item.resource_class.as_str())
    .bind(&item.description)
    .bind(item.allow_forks)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Says what the runners of a class are to run; `None`: as those of any other.
pub(crate) async fn set_pin(
    tx: &mut WriteTx,
    id: &ResourceClassId,
    pin: Option<&Pin>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE resource_classes SET pin = ? WHERE id = ?")
        .bind(pin.map(to_json).transpose()?)
        .bind(id.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Returns the pins of the classes that a runner serves, one for each class. None: there is no such
/// runner.
pub(crate) async fn pins_of_runner(
    conn: &mut Conn,
    runner: &str,
) -> Result<Vec<Option<Pin>>, StoreError> {
    let rows = sqlx::query(
        "SELECT pin FROM resource_classes WHERE name IN (SELECT class FROM runners WHERE name = ?)",
    )
    .bind(runner)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| json_maybe(row, "pin")).collect()
}

/// Deletes a class that has no tokens any more, and what is known of its runners.
pub(crate) async fn delete(tx: &mut WriteTx, item: &ResourceClassItem) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM runners WHERE class = ?")
        .bind(item.resource_class.as_str())
        .execute(&mut **tx)
        .await?;
    sqlx::query("DELETE FROM resource_classes WHERE id = ?")
        .bind(item.id.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
