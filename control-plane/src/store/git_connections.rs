//! Table `git_connections`: projects that are connected to a Git remote.

use russet_protocol::projects::{ConnectionItem, PollItem};

use super::rows::{count_column, count_maybe, int_value, parse, reach_column, reach_value};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx, commit_statuses};
use crate::people::Reach;
use crate::text::cut_text;

/// The most that is kept of the reason why a poll failed, in bytes.
const MAX_ERROR_BYTES: usize = 1_000;

/// A connection with its sealed part.
#[derive(Clone, Debug)]
pub(crate) struct StoredConnection {
    /// Without fingerprints of host keys, which are those of `host_keys`.
    pub(crate) item: ConnectionItem,
    pub(crate) sealed: Vec<u8>,
    /// Pinned keys, as a file of known hosts.
    pub(crate) host_keys: String,
    /// Namespaces whose classes its pipelines may use.
    pub(crate) reach: Reach,
    /// Calls to its host that are paced together; `None`: it has no API, or no credential for it.
    pub(crate) call_group: Option<String>,
    /// Polls that failed one after the other.
    pub(crate) failures: u32,
    /// Number of changes that were heard of by webhooks.
    pub(crate) heard: u64,
}

fn last_poll(row: &Row) -> Result<Option<PollItem>, StoreError> {
    let Some(at_ms) = count_maybe(row, "polled_ms")? else { return Ok(None) };
    Ok(Some(PollItem {
        at_ms,
        took_ms: count_maybe(row, "poll_took_ms")?.unwrap_or(0),
        error: row.try_get("poll_error")?,
        hint: row.try_get("poll_hint")?,
    }))
}

fn connection_from_row(row: &Row) -> Result<StoredConnection, StoreError> {
    let item = ConnectionItem {
        project: row.try_get("project")?,
        url: row.try_get("url")?,
        host_kind: parse(row, "host_kind")?,
        api_url: row.try_get("api_url")?,
        notes: Vec::new(),
        credential: parse(row, "credential")?,
        public_key: row.try_get("public_key")?,
        host_keys: Vec::new(),
        config_path: row.try_get("config_path")?,
        added_by: row.try_get("added_by")?,
        created_ms: count_column(row, "created_ms")?,
        poll_ms: count_column(row, "poll_ms")?,
        next_poll_ms: count_column(row, "next_poll_ms")?,
        last_poll: last_poll(row)?,
        has_baseline: row.try_get("has_baseline")?,
        default_branch: row.try_get("default_branch")?,
        webhook_ms: count_maybe(row, "webhook_ms")?,
    };
    Ok(StoredConnection {
        item,
        sealed: row.try_get("sealed")?,
        host_keys: row.try_get("host_keys")?,
        reach: reach_column(row)?,
        call_group: row.try_get("call_group")?,
        failures: u32::try_from(count_column(row, "failures")?).unwrap_or(u32::MAX),
        heard: count_column(row, "heard")?,
    })
}

/// Returns all connections, by project.
pub(crate) async fn list(conn: &mut Conn) -> Result<Vec<StoredConnection>, StoreError> {
    let rows = query("SELECT * FROM git_connections ORDER BY project").fetch_all(conn).await?;
    rows.iter().map(connection_from_row).collect()
}

/// Returns the connection of a project.
pub(crate) async fn get(
    conn: &mut Conn,
    project: &str,
) -> Result<Option<StoredConnection>, StoreError> {
    let row = query("SELECT * FROM git_connections WHERE project = $1")
        .bind(project)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(connection_from_row).transpose()
}

/// Connects a project, or says anew how: a baseline is made again.
pub(crate) async fn put(tx: &mut WriteTx, new: &StoredConnection) -> Result<(), StoreError> {
    query("DELETE FROM git_connections WHERE project = $1")
        .bind(&new.item.project)
        .execute(tx)
        .await?;
    query(
        "INSERT INTO git_connections (project, url, host_kind, credential, sealed, public_key, \
         host_keys, config_path, namespaces, added_by, created_ms, poll_ms, next_poll_ms, \
         api_url, call_group, webhook_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(&new.item.project)
    .bind(&new.item.url)
    .bind(new.item.host_kind.as_str())
    .bind(new.item.credential.as_str())
    .bind(&new.sealed)
    .bind(&new.item.public_key)
    .bind(&new.host_keys)
    .bind(&new.item.config_path)
    .bind(reach_value(&new.reach)?)
    .bind(&new.item.added_by)
    .bind(int_value(new.item.created_ms))
    .bind(int_value(new.item.poll_ms))
    .bind(int_value(new.item.next_poll_ms))
    .bind(&new.item.api_url)
    .bind(&new.call_group)
    .bind(new.item.webhook_ms.map(int_value))
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes the connection of a project, with what is known of its remote. Returns whether there was one.
pub(crate) async fn remove(tx: &mut WriteTx, project: &str) -> Result<bool, StoreError> {
    query("DELETE FROM git_refs WHERE project = $1").bind(project).execute(tx).await?;
    commit_statuses::delete_before(tx, project, i64::MAX).await?;
    query("DELETE FROM trigger_events WHERE project = $1 AND state IN ('waiting', 'held')")
        .bind(project)
        .execute(tx)
        .await?;
    let done =
        query("DELETE FROM git_connections WHERE project = $1").bind(project).execute(tx).await?;
    Ok(done.rows_affected() > 0)
}

/// Takes a poll that is due: nobody else takes it before `next_ms`.
pub(crate) async fn take_due(
    tx: &mut WriteTx,
    now_ms: i64,
    next_ms: i64,
) -> Result<Option<StoredConnection>, StoreError> {
    // The condition stands twice: on PostgreSQL a row that another server has just taken is looked at
    // again by the outer one.
    let row = query(
        "UPDATE git_connections SET next_poll_ms = $2 WHERE next_poll_ms <= $1 AND project = \
         (SELECT project FROM git_connections WHERE next_poll_ms <= $1 \
         ORDER BY next_poll_ms LIMIT 1) RETURNING *",
    )
    .bind(now_ms)
    .bind(next_ms)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(connection_from_row).transpose()
}

/// Makes a poll due now. Returns false where the project is not connected.
pub(crate) async fn poll_now(
    tx: &mut WriteTx,
    project: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let done = query("UPDATE git_connections SET next_poll_ms = $1 WHERE project = $2")
        .bind(now_ms)
        .bind(project)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Returns the time of the next poll.
pub(crate) async fn next_poll(conn: &mut Conn) -> Result<Option<i64>, StoreError> {
    let row =
        query("SELECT min(next_poll_ms) AS next FROM git_connections").fetch_one(conn).await?;
    Ok(row.try_get("next")?)
}

/// End of a poll.
#[derive(Clone, Debug)]
pub(crate) struct Polled<'a> {
    pub(crate) project: &'a str,
    pub(crate) at_ms: i64,
    pub(crate) took_ms: i64,
    pub(crate) next_ms: i64,
    /// Reason and next step.
    pub(crate) failure: Option<(String, Option<String>)>,
    pub(crate) default_branch: Option<&'a str>,
    /// Keys of the host that are pinned from now on, if it has none yet.
    pub(crate) host_keys: Option<&'a str>,
}

/// Notes the end of a poll. Returns false where the connection went meanwhile.
pub(crate) async fn note_poll(tx: &mut WriteTx, poll: &Polled<'_>) -> Result<bool, StoreError> {
    let (error, hint) = poll.failure.clone().unzip();
    let is_good = error.is_none();
    let done = query(
        "UPDATE git_connections SET polled_ms = $1, poll_took_ms = $2, next_poll_ms = $3, \
         poll_error = $4, poll_hint = $5, failures = CASE CAST($6 AS BIGINT) WHEN 1 THEN 0 ELSE failures + 1 END, \
         has_baseline = CASE CAST($6 AS BIGINT) WHEN 1 THEN 1 ELSE has_baseline END, \
         default_branch = coalesce(CAST($7 AS TEXT), default_branch), \
         host_keys = CASE host_keys WHEN '' THEN coalesce(CAST($8 AS TEXT), '') ELSE host_keys END \
         WHERE project = $9",
    )
    .bind(poll.at_ms)
    .bind(poll.took_ms)
    .bind(poll.next_ms)
    .bind(error.map(|error| cut_text(&error, MAX_ERROR_BYTES).to_owned()))
    .bind(hint.flatten())
    .bind(is_good)
    .bind(poll.default_branch)
    .bind(poll.host_keys)
    .bind(poll.project)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Locks the row of a connection until the end of the transaction, so that what its remote has is compared
/// by one at a time. `None`: it is not connected any more.
pub(crate) async fn lock(
    tx: &mut WriteTx,
    project: &str,
) -> Result<Option<StoredConnection>, StoreError> {
    let row = query("SELECT * FROM git_connections WHERE project = $1")
        .bind(project)
        .lock(super::sql::Lock::Of("git_connections"))
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(connection_from_row).transpose()
}

/// Returns the connections that take webhooks.
pub(crate) async fn with_webhook(conn: &mut Conn) -> Result<Vec<StoredConnection>, StoreError> {
    let rows = query("SELECT * FROM git_connections WHERE webhook_ms IS NOT NULL ORDER BY project")
        .fetch_all(conn)
        .await?;
    rows.iter().map(connection_from_row).collect()
}

/// Sets what is sealed of a connection, and the time since when it takes webhooks.
pub(crate) async fn set_webhook(
    tx: &mut WriteTx,
    project: &str,
    sealed: &[u8],
    webhook_ms: Option<i64>,
) -> Result<(), StoreError> {
    query("UPDATE git_connections SET sealed = $1, webhook_ms = $2 WHERE project = $3")
        .bind(sealed)
        .bind(webhook_ms)
        .bind(project)
        .execute(tx)
        .await?;
    Ok(())
}

/// Counts a change that was heard of by a webhook. Returns its number.
pub(crate) async fn count_heard(tx: &mut WriteTx, project: &str) -> Result<u64, StoreError> {
    let row =
        query("UPDATE git_connections SET heard = heard + 1 WHERE project = $1 RETURNING heard")
            .bind(project)
            .fetch_one(tx)
            .await?;
    count_column(&row, "heard")
}
