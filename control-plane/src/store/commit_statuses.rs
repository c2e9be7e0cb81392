//! Tables `commit_statuses` and `host_calls`: states that hosts are to have at commits, and when they are told.
//!
//! A state is noted in the transaction that changes its workflow or job (`reports.rs`), so none is lost. Of a
//! name at a commit the newest state alone is sent, by one server at a time, so none comes after a later one.

use russet_protocol::projects::{CommitState, CommitStatusItem};

use super::rows::{count_column, count_maybe, int_value, parse};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};
use crate::text::cut_text;

/// The most that is kept of the reason why a state was not sent, in bytes.
const MAX_ERROR_BYTES: usize = 1_000;

/// Statuses that are shown of a project.
const MAX_SHOWN: i64 = 20;

/// Key of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusKey {
    pub(crate) project: String,
    pub(crate) revision: String,
    pub(crate) context: String,
}

/// State that a host is to have.
#[derive(Clone, Debug)]
pub(crate) struct NewStatus {
    pub(crate) key: StatusKey,
    /// Number of the job in its project; that of a lower number changes nothing any more.
    pub(crate) number: u64,
    pub(crate) state: CommitState,
    pub(crate) description: String,
    /// Path of its page on this server.
    pub(crate) path: String,
}

/// Notes a state. The same one again changes nothing.
pub(crate) async fn put(tx: &mut WriteTx, new: &NewStatus, now_ms: i64) -> Result<(), StoreError> {
    let done = query(
        "INSERT INTO commit_statuses (project, revision, context, number, version, state, \
         description, path, changed_ms, due_ms) VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $8) \
         ON CONFLICT (project, revision, context) DO UPDATE SET number = excluded.number, \
         version = commit_statuses.version + 1, state = excluded.state, \
         description = excluded.description, path = excluded.path, changed_ms = excluded.changed_ms, \
         due_ms = coalesce(commit_statuses.due_ms, excluded.due_ms) \
         WHERE excluded.number >= commit_statuses.number AND (excluded.state <> commit_statuses.state \
         OR excluded.description <> commit_statuses.description OR excluded.path <> commit_statuses.path)",
    )
    .bind(&new.key.project)
    .bind(&new.key.revision)
    .bind(&new.key.context)
    .bind(int_value(new.number))
    .bind(new.state.as_str())
    .bind(&new.description)
    .bind(&new.path)
    .bind(now_ms)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() > 0 {
        tx.wake_statuses();
    }
    Ok(())
}

/// Returns true where a host was to have a state of this name.
pub(super) async fn exists(conn: &mut Conn, key: &StatusKey) -> Result<bool, StoreError> {
    let row = query(
        "SELECT 1 FROM commit_statuses WHERE project = $1 AND revision = $2 AND context = $3",
    )
    .bind(&key.project)
    .bind(&key.revision)
    .bind(&key.context)
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// A state that is to be sent now.
#[derive(Clone, Debug)]
pub(crate) struct DueStatus {
    pub(crate) key: StatusKey,
    pub(crate) version: i64,
    pub(crate) state: CommitState,
    pub(crate) description: String,
    pub(crate) path: String,
    pub(crate) changed_ms: i64,
    /// Number of attempts at sending it, this one included.
    pub(crate) attempts: u32,
    /// Id of this attempt.
    pub(crate) attempt: String,
    /// Set where an earlier attempt may have reached the host.
    pub(crate) is_uncertain: bool,
    /// Calls with the same credential, whose pace is kept.
    pub(crate) call_group: String,
}

/// Returns the time at which the next state is due.
pub(crate) async fn next_due(conn: &mut Conn) -> Result<Option<i64>, StoreError> {
    let row = query(
        "SELECT min(CASE WHEN n.from_ms > n.due_ms THEN n.from_ms ELSE n.due_ms END) AS next \
         FROM (SELECT s.due_ms, (SELECT coalesce(h.next_ms, 0) FROM git_connections AS c \
         LEFT JOIN host_calls AS h ON h.call_group = c.call_group \
         WHERE c.project = s.project AND c.call_group IS NOT NULL) AS from_ms \
         FROM commit_statuses AS s WHERE s.due_ms IS NOT NULL) AS n WHERE n.from_ms IS NOT NULL",
    )
    .fetch_one(conn)
    .await?;
    Ok(row.try_get("next")?)
}

/// Takes a state that is due, those of things that have ended first: nobody else takes it before
/// `until_ms`, nor anything of its group before `group_until_ms`.
pub(crate) async fn take_due(
    tx: &mut WriteTx,
    (now_ms, until_ms, group_until_ms): (i64, i64, i64),
    attempt: &str,
) -> Result<Option<DueStatus>, StoreError> {
    let row = query(
        "SELECT n.project, n.revision, n.context, n.attempt, n.call_group FROM (SELECT s.project, \
         s.revision, s.context, s.attempt, s.state, s.due_ms, (SELECT c.call_group \
         FROM git_connections AS c WHERE c.project = s.project) AS call_group \
         FROM commit_statuses AS s WHERE s.due_ms <= $1) AS n WHERE n.call_group IS NOT NULL \
         AND coalesce((SELECT h.next_ms FROM host_calls AS h WHERE h.call_group = n.call_group), 0) <= $1 \
         ORDER BY CASE n.state WHEN 'pending' THEN 1 ELSE 0 END, n.due_ms LIMIT 1",
    )
    .bind(now_ms)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let call_group: String = row.try_get("call_group")?;
    if !take_turn(tx, &call_group, now_ms, group_until_ms).await? {
        return Ok(None);
    }
    let earlier: Option<String> = row.try_get("attempt")?;
    let key = key_from_row(&row)?;
    let row = query(
        "UPDATE commit_statuses SET due_ms = $1, attempt = $2, attempts = attempts + 1 \
         WHERE project = $3 AND revision = $4 AND context = $5 AND due_ms <= $6 \
         RETURNING project, revision, context, version, state, description, path, changed_ms, attempts",
    )
    .bind(until_ms)
    .bind(attempt)
    .bind(&key.project)
    .bind(&key.revision)
    .bind(&key.context)
    .bind(now_ms)
    .fetch_optional(tx)
    .await?;
    // Another server was quicker.
    let Some(row) = row else { return Ok(None) };
    Ok(Some(DueStatus {
        key,
        version: row.try_get("version")?,
        state: parse(&row, "state")?,
        description: row.try_get("description")?,
        path: row.try_get("path")?,
        changed_ms: row.try_get("changed_ms")?,
        attempts: u32::try_from(count_column(&row, "attempts")?).unwrap_or(u32::MAX),
        attempt: attempt.to_owned(),
        is_uncertain: earlier.is_some(),
        call_group,
    }))
}

fn key_from_row(row: &Row) -> Result<StatusKey, StoreError> {
    Ok(StatusKey {
        project: row.try_get("project")?,
        revision: row.try_get("revision")?,
        context: row.try_get("context")?,
    })
}

/// Takes the turn of a group. Returns false where another server has it.
async fn take_turn(
    tx: &mut WriteTx,
    group: &str,
    now_ms: i64,
    until_ms: i64,
) -> Result<bool, StoreError> {
    let done = query(
        "INSERT INTO host_calls (call_group, next_ms) VALUES ($1, $2) ON CONFLICT (call_group) \
         DO UPDATE SET next_ms = excluded.next_ms WHERE host_calls.next_ms <= $3",
    )
    .bind(group)
    .bind(until_ms)
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Lets a group make no call before a time.
pub(crate) async fn pause_group(
    tx: &mut WriteTx,
    group: &str,
    until_ms: i64,
) -> Result<(), StoreError> {
    query(
        "UPDATE host_calls SET next_ms = CASE WHEN next_ms < $1 THEN CAST($1 AS BIGINT) ELSE next_ms END \
         WHERE call_group = $2",
    )
    .bind(until_ms)
    .bind(group)
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes that the host has the state of an attempt. What has changed meanwhile is due at once.
pub(crate) async fn mark_sent(
    tx: &mut WriteTx,
    of: &DueStatus,
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "UPDATE commit_statuses SET sent = $1, attempt = NULL, attempts = 0, error = NULL, hint = NULL, \
         due_ms = CASE WHEN version > $1 THEN CAST($2 AS BIGINT) END \
         WHERE project = $3 AND revision = $4 AND context = $5 AND attempt = $6",
    )
    .bind(of.version)
    .bind(now_ms)
    .bind(&of.key.project)
    .bind(&of.key.revision)
    .bind(&of.key.context)
    .bind(&of.attempt)
    .execute(tx)
    .await?;
    Ok(())
}

/// Failure of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Failure<'a> {
    pub(crate) error: &'a str,
    pub(crate) hint: Option<&'a str>,
    /// Time of the next attempt; `None`: the state is given up.
    pub(crate) next_ms: Option<i64>,
    /// Set where the host may have the state all the same.
    pub(crate) is_uncertain: bool,
    /// Set where the attempt is not counted.
    pub(crate) is_uncounted: bool,
}

/// Notes that an attempt failed. A state that is given up makes room for one that has come meanwhile.
pub(crate) async fn mark_failed(
    tx: &mut WriteTx,
    of: &DueStatus,
    failure: &Failure<'_>,
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "UPDATE commit_statuses SET attempt = CASE CAST($1 AS BIGINT) WHEN 1 THEN attempt END, \
         attempts = attempts - CAST($2 AS BIGINT), error = $3, hint = $4, \
         due_ms = coalesce(CAST($5 AS BIGINT), CASE WHEN version > $6 THEN CAST($7 AS BIGINT) END) \
         WHERE project = $8 AND revision = $9 AND context = $10 AND attempt = $11",
    )
    .bind(failure.is_uncertain)
    .bind(failure.is_uncounted)
    .bind(cut_text(failure.error, MAX_ERROR_BYTES))
    .bind(failure.hint)
    .bind(failure.next_ms)
    .bind(of.version)
    .bind(now_ms)
    .bind(&of.key.project)
    .bind(&of.key.revision)
    .bind(&of.key.context)
    .bind(&of.attempt)
    .execute(tx)
    .await?;
    Ok(())
}

/// Makes the states that were given up since a time due again, for a credential that is new.
pub(crate) async fn send_again(
    tx: &mut WriteTx,
    project: &str,
    (since_ms, now_ms): (i64, i64),
) -> Result<(), StoreError> {
    query(
        "UPDATE commit_statuses SET due_ms = $1, attempts = 0 \
         WHERE project = $2 AND changed_ms >= $3 AND version > sent",
    )
    .bind(now_ms)
    .bind(project)
    .bind(since_ms)
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the newest states of a project, the last one first.
pub(crate) async fn newest(
    conn: &mut Conn,
    project: &str,
) -> Result<Vec<CommitStatusItem>, StoreError> {
    let rows =
        query("SELECT * FROM commit_statuses WHERE project = $1 ORDER BY changed_ms DESC LIMIT $2")
            .bind(project)
            .bind(MAX_SHOWN)
            .fetch_all(conn)
            .await?;
    let item = |row: &Row| {
        Ok(CommitStatusItem {
            revision: row.try_get("revision")?,
            context: row.try_get("context")?,
            state: parse(row, "state")?,
            description: row.try_get("description")?,
            is_sent: row.try_get::<i64>("version")? == row.try_get::<i64>("sent")?,
            changed_ms: count_column(row, "changed_ms")?,
            next_ms: count_maybe(row, "due_ms")?,
            error: row.try_get("error")?,
            hint: row.try_get("hint")?,
        })
    };
    rows.iter().map(item).collect()
}

/// Forgets the states of a project that changed before a time; all of them for `i64::MAX`.
pub(crate) async fn delete_before(
    tx: &mut WriteTx,
    project: &str,
    before_ms: i64,
) -> Result<(), StoreError> {
    query("DELETE FROM commit_statuses WHERE project = $1 AND changed_ms < $2")
        .bind(project)
        .bind(before_ms)
        .execute(tx)
        .await?;
    Ok(())
}

/// Connects a project of a test to a host.
#[cfg(test)]
pub(crate) async fn tests_connect(
    tx: &mut WriteTx,
    project: &str,
    group: &str,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO git_connections (project, url, host_kind, credential, sealed, config_path, added_by, \
         created_ms, poll_ms, next_poll_ms, call_group) \
         VALUES ($1, '', 'github', 'token', $2, '', '', 0, 0, 0, $3)",
    )
    .bind(project)
    .bind(&b"x"[..])
    .bind(group)
    .execute(tx)
    .await?;
    Ok(())
}
