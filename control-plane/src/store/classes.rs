//! Table `resource_classes`.

use russet_protocol::admin::{ClassSsh, Pin, ResourceClassItem};
use russet_protocol::ids::ResourceClassId;
use russet_protocol::resource_class::ResourceClass;

use super::rows::{json_maybe, parse, to_json};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

fn ssh_from_row(row: &Row) -> Result<ClassSsh, StoreError> {
    Ok(ClassSsh {
        allow_ssh: row.try_get("allow_ssh")?,
        allow_ssh_forks: row.try_get("allow_ssh_forks")?,
    })
}

fn item_from_row(row: &Row) -> Result<ResourceClassItem, StoreError> {
    Ok(ResourceClassItem {
        id: row.try_get::<String>("id")?.into(),
        resource_class: parse(row, "name")?,
        description: row.try_get("description")?,
        allow_forks: row.try_get("allow_forks")?,
        ssh: ssh_from_row(row)?,
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
    let rows = query("SELECT * FROM resource_classes ORDER BY name").fetch_all(conn).await?;
    let items: Result<Vec<_>, _> = rows.iter().map(item_from_row).collect();
    let wanted = |class: &ResourceClass| namespace.is_none_or(|name| class.namespace() == name);
    Ok(items?.into_iter().filter(|item| wanted(&item.resource_class)).collect())
}

/// The class of an id.
pub(crate) async fn get(
    conn: &mut Conn,
    id: &ResourceClassId,
) -> Result<Option<ResourceClassItem>, StoreError> {
    let row = query("SELECT * FROM resource_classes WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(item_from_row).transpose()
}

/// Returns true if there is a class of this name.
pub(crate) async fn exists(conn: &mut Conn, name: &ResourceClass) -> Result<bool, StoreError> {
    let row = query("SELECT 1 FROM resource_classes WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// Adds a class whose name is free.
pub(crate) async fn insert(tx: &mut WriteTx, item: &ResourceClassItem) -> Result<(), StoreError> {
    query(
        "INSERT INTO resource_classes (id, name, description, allow_forks, allow_ssh, \
         allow_ssh_forks) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(item.id.as_str())
    .bind(item.resource_class.as_str())
    .bind(&item.description)
    .bind(item.allow_forks)
    .bind(item.ssh.allow_ssh)
    .bind(item.ssh.allow_ssh_forks)
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns whether people reach the tasks of a class by SSH; `None`: there is no such class.
pub(crate) async fn ssh_of(
    conn: &mut Conn,
    name: &ResourceClass,
) -> Result<Option<ClassSsh>, StoreError> {
    let row = query("SELECT allow_ssh, allow_ssh_forks FROM resource_classes WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(ssh_from_row).transpose()
}

/// Says whether people reach the tasks of a class by SSH.
pub(crate) async fn set_ssh(
    tx: &mut WriteTx,
    id: &ResourceClassId,
    ssh: ClassSsh,
) -> Result<(), StoreError> {
    query("UPDATE resource_classes SET allow_ssh = $1, allow_ssh_forks = $2 WHERE id = $3")
        .bind(ssh.allow_ssh)
        .bind(ssh.allow_ssh_forks)
        .bind(id.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Says what the runners of a class are to run; `None`: as those of any other.
pub(crate) async fn set_pin(
    tx: &mut WriteTx,
    id: &ResourceClassId,
    pin: Option<&Pin>,
) -> Result<(), StoreError> {
    query("UPDATE resource_classes SET pin = $1 WHERE id = $2")
        .bind(pin.map(to_json).transpose()?)
        .bind(id.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns the pins of the classes that a runner serves, one for each class. None: there is no such
/// runner.
pub(crate) async fn pins_of_runner(
    conn: &mut Conn,
    runner: &str,
) -> Result<Vec<Option<Pin>>, StoreError> {
    let rows = query(
        "SELECT pin FROM resource_classes WHERE name IN (SELECT class FROM runners WHERE name = $1) \
         OR name IN (SELECT class FROM runner_names WHERE claimed = $1)",
    )
    .bind(runner)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| json_maybe(row, "pin")).collect()
}

/// Deletes a class that has no tokens any more, and what is known of its runners.
pub(crate) async fn delete(tx: &mut WriteTx, item: &ResourceClassItem) -> Result<(), StoreError> {
    let all = [
        "DELETE FROM runners WHERE class = $1",
        "DELETE FROM runner_names WHERE class = $1",
        "DELETE FROM runner_pauses WHERE class = $1",
        "DELETE FROM runner_pauses_lifted WHERE class = $1",
    ];
    for text in all {
        query(text).bind(item.resource_class.as_str()).execute(&mut *tx).await?;
    }
    query("DELETE FROM resource_classes WHERE id = $1").bind(item.id.as_str()).execute(tx).await?;
    Ok(())
}
