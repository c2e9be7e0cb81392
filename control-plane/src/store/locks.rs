//! Locks of a write transaction on PostgreSQL, where several run side by side. SQLite has one
//! writer at a time, so there they do nothing.
//!
//! A transaction takes what it needs in this order, so that no two wait for each other: a pipeline,
//! its tasks, jobs and workflows, serial groups, limits of tasks, runners. A claim takes its task alone, without
//! waiting. Where two do wait for each other all the same, the database takes one back and it is
//! done again (`crate::contention`).
//!
//! - What follows from the end of a job goes by all jobs of its pipeline, so it holds the pipeline.
//! - What a task's holder writes holds the task.
//! - A serial group spans pipelines: whoever asks for a turn in it holds the group.
//! - So do limits of tasks: whoever gives room in any holds all.

use russet_protocol::ids::{PipelineId, TaskId};

use super::conn::Driver;
use super::sql::{Lock, query};
use super::{StoreError, WriteTx, jobs};

/// Lets no other transaction move a pipeline on until the end of this one.
pub(crate) async fn pipeline(tx: &mut WriteTx, id: &PipelineId) -> Result<(), StoreError> {
    if !is_needed(tx) {
        return Ok(());
    }
    query("SELECT id FROM pipelines WHERE id = $1")
        .bind(id.as_str())
        .lock(Lock::Of("pipelines"))
        .fetch_optional(tx)
        .await?;
    Ok(())
}

/// Lets no other transaction write for a task until the end of this one.
pub(crate) async fn task(tx: &mut WriteTx, id: &TaskId) -> Result<(), StoreError> {
    if !is_needed(tx) {
        return Ok(());
    }
    query("SELECT id FROM tasks WHERE id = $1")
        .bind(id.as_str())
        .lock(Lock::Of("tasks"))
        .fetch_optional(tx)
        .await?;
    Ok(())
}

/// Lets no other transaction take a turn in a serial group until the end of this one.
pub(crate) async fn serial_group(tx: &mut WriteTx, group: &str) -> Result<(), StoreError> {
    if let Driver::Postgres(conn) = tx.driver() {
        // Two names with one hash only wait for each other.
        sqlx::query(super::postgres::LOCK_GROUP).bind(group).execute(conn).await?;
    }
    Ok(())
}

/// Lets no other transaction give room in limits of tasks until the end of this one.
pub(crate) async fn limits(tx: &mut WriteTx) -> Result<(), StoreError> {
    if let Driver::Postgres(conn) = tx.driver() {
        // No name of a group begins so.
        sqlx::query(super::postgres::LOCK_GROUP).bind("\u{1}limits").execute(conn).await?;
    }
    Ok(())
}

/// The same for all groups that jobs of a pipeline belong to, as the end of any of them lets the next
/// one in.
pub(crate) async fn groups_of_pipeline(
    tx: &mut WriteTx,
    id: &PipelineId,
) -> Result<(), StoreError> {
    if !is_needed(tx) {
        return Ok(());
    }
    let mut groups = jobs::serial_groups(tx, id).await?;
    groups.sort_unstable();
    for group in groups {
        serial_group(tx, &group).await?;
    }
    Ok(())
}

fn is_needed(tx: &mut WriteTx) -> bool {
    matches!(tx.driver(), Driver::Postgres(_))
}
