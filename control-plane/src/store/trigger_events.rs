//! Table `trigger_events`: causes of pipelines, each of which makes one.

use std::collections::BTreeMap;

use russet_protocol::admin::ParameterValue;
use russet_protocol::ids::PipelineId;
use russet_protocol::projects::{TriggerItem, TriggerState};

use super::rows::{count_column, count_maybe, json_maybe, parse, to_json};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};
use crate::text::cut_text;

/// The most that is kept of the reason why there is no pipeline, in bytes.
const MAX_MESSAGE_BYTES: usize = 4_000;

/// A cause to note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewTrigger {
    pub(crate) id: String,
    /// The same however often the cause is heard of.
    pub(crate) key: String,
    /// `push`, `pull_request`, `rerequest` or `api`.
    pub(crate) kind: &'static str,
    /// Full name of the branch or tag, or of the head of a pull request.
    pub(crate) reference: String,
    pub(crate) revision: String,
    pub(crate) base_revision: Option<String>,
    pub(crate) author: Option<String>,
    pub(crate) from_fork: bool,
    /// Values of `pipeline.…` that a webhook gave.
    pub(crate) event: EventValues,
    /// Set where somebody has to let it through first.
    pub(crate) is_held: bool,
}

/// Values of `pipeline.…`, by their full names.
pub(crate) type EventValues = BTreeMap<String, ParameterValue>;

/// Cause of which another one may be made.
#[derive(Clone, Debug)]
pub(crate) struct PastTrigger {
    pub(crate) reference: String,
    pub(crate) base_revision: Option<String>,
    pub(crate) from_fork: bool,
    pub(crate) event: EventValues,
}

/// A cause whose pipeline is to be made.
#[derive(Clone, Debug)]
pub(crate) struct DueTrigger {
    pub(crate) id: String,
    pub(crate) project: String,
    pub(crate) kind: String,
    pub(crate) reference: String,
    pub(crate) revision: String,
    pub(crate) base_revision: Option<String>,
    pub(crate) author: Option<String>,
    pub(crate) from_fork: bool,
    pub(crate) event: EventValues,
    pub(crate) created_ms: i64,
    /// Number of attempts, this one included.
    pub(crate) attempts: u32,
}

/// Notes a cause. Returns false where it was heard of before.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    project: &str,
    new: &NewTrigger,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let done = query(
        "INSERT INTO trigger_events (id, project, event_key, kind, reference, revision, \
         base_revision, author, state, created_ms, next_ms, from_fork, event) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12) ON CONFLICT DO NOTHING",
    )
    .bind(&new.id)
    .bind(project)
    .bind(&new.key)
    .bind(new.kind)
    .bind(&new.reference)
    .bind(&new.revision)
    .bind(&new.base_revision)
    .bind(&new.author)
    .bind(if new.is_held { TriggerState::Held.as_str() } else { TriggerState::Waiting.as_str() })
    .bind(now_ms)
    .bind(new.from_fork)
    .bind(if new.event.is_empty() { None } else { Some(to_json(&new.event)?) })
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes a cause that is due: nobody else takes it before `next_ms`.
pub(crate) async fn take_due(
    tx: &mut WriteTx,
    now_ms: i64,
    next_ms: i64,
) -> Result<Option<DueTrigger>, StoreError> {
    let row = query(
        "UPDATE trigger_events SET attempts = attempts + 1, next_ms = $2 \
         WHERE state = 'waiting' AND next_ms <= $1 AND id = (SELECT id FROM trigger_events \
         WHERE state = 'waiting' AND next_ms <= $1 ORDER BY next_ms, id LIMIT 1) RETURNING *",
    )
    .bind(now_ms)
    .bind(next_ms)
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(DueTrigger {
        id: row.try_get("id")?,
        project: row.try_get("project")?,
        kind: row.try_get("kind")?,
        reference: row.try_get("reference")?,
        revision: row.try_get("revision")?,
        base_revision: row.try_get("base_revision")?,
        author: row.try_get("author")?,
        from_fork: row.try_get("from_fork")?,
        event: json_maybe(&row, "event")?.unwrap_or_default(),
        created_ms: row.try_get("created_ms")?,
        attempts: u32::try_from(count_column(&row, "attempts")?).unwrap_or(u32::MAX),
    }))
}

/// Returns the time at which the next cause is due.
pub(crate) async fn next_due(conn: &mut Conn) -> Result<Option<i64>, StoreError> {
    let row = query("SELECT min(next_ms) AS next FROM trigger_events WHERE state = 'waiting'")
        .fetch_one(conn)
        .await?;
    Ok(row.try_get("next")?)
}

/// Notes, in the transaction that makes a pipeline, that it is the one of a cause. Returns false where the
/// cause has one already, or was removed: nothing may be committed then.
pub(crate) async fn mark_built(
    tx: &mut WriteTx,
    id: &str,
    pipeline: &PipelineId,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let done = query(
        "UPDATE trigger_events SET state = 'built', pipeline = $1, done_ms = $2, message = NULL, \
         hint = NULL WHERE id = $3 AND state = 'waiting'",
    )
    .bind(pipeline.as_str())
    .bind(now_ms)
    .bind(id)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Notes that a cause makes no pipeline.
pub(crate) async fn mark_ended(
    tx: &mut WriteTx,
    id: &str,
    state: TriggerState,
    (message, hint): (&str, Option<&str>),
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "UPDATE trigger_events SET state = $1, done_ms = $2, message = $3, hint = $4 \
         WHERE id = $5 AND state = 'waiting'",
    )
    .bind(state.as_str())
    .bind(now_ms)
    .bind(cut_text(message, MAX_MESSAGE_BYTES))
    .bind(hint)
    .bind(id)
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes that an attempt failed, and when the next one is.
pub(crate) async fn mark_retry(
    tx: &mut WriteTx,
    id: &str,
    (message, hint): (&str, Option<&str>),
    next_ms: i64,
) -> Result<(), StoreError> {
    query(
        "UPDATE trigger_events SET next_ms = $1, message = $2, hint = $3 \
         WHERE id = $4 AND state = 'waiting'",
    )
    .bind(next_ms)
    .bind(cut_text(message, MAX_MESSAGE_BYTES))
    .bind(hint)
    .bind(id)
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets causes of a project that made no pipeline and are older than a moment. Others go with their
/// pipelines.
pub(crate) async fn delete_old(
    tx: &mut WriteTx,
    project: &str,
    before_ms: i64,
) -> Result<(), StoreError> {
    query(
        "DELETE FROM trigger_events WHERE project = $1 AND created_ms < $2 \
         AND state IN ('skipped', 'failed', 'held')",
    )
    .bind(project)
    .bind(before_ms)
    .execute(tx)
    .await?;
    Ok(())
}

fn item_from_row(row: &Row) -> Result<TriggerItem, StoreError> {
    let created_ms = count_column(row, "created_ms")?;
    let done_ms = count_maybe(row, "done_ms")?;
    Ok(TriggerItem {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        reference: row.try_get("reference")?,
        revision: row.try_get("revision")?,
        state: parse(row, "state")?,
        from_fork: row.try_get("from_fork")?,
        approved_by: row.try_get("approved_by")?,
        created_ms,
        took_ms: done_ms.map(|done| done.saturating_sub(created_ms)),
        pipeline: row.try_get::<Option<String>>("pipeline")?.map(Into::into),
        message: row.try_get("message")?,
        hint: row.try_get("hint")?,
    })
}

/// Returns the newest causes of a project, and after them those that are held and older: they wait for somebody
/// who has to see them.
pub(crate) async fn newest(conn: &mut Conn, project: &str) -> Result<Vec<TriggerItem>, StoreError> {
    let newest = newest_of_any_state(conn, project).await?;
    let rows = query(
        "SELECT * FROM trigger_events WHERE project = $1 AND state = 'held' \
         ORDER BY created_ms DESC LIMIT 100",
    )
    .bind(project)
    .fetch_all(conn)
    .await?;
    let held: Vec<TriggerItem> = rows.iter().map(item_from_row).collect::<Result<_, _>>()?;
    let is_older = |held: &TriggerItem| newest.iter().all(|item| item.id != held.id);
    let mut all: Vec<TriggerItem> = held.into_iter().filter(is_older).collect();
    all.splice(0..0, newest);
    Ok(all)
}

async fn newest_of_any_state(
    conn: &mut Conn,
    project: &str,
) -> Result<Vec<TriggerItem>, StoreError> {
    let rows = query(
        "SELECT * FROM trigger_events WHERE project = $1 ORDER BY created_ms DESC, id DESC LIMIT 20",
    )
    .bind(project)
    .fetch_all(conn)
    .await?;
    rows.iter().map(item_from_row).collect()
}

/// Returns a cause of a project.
pub(crate) async fn get(
    conn: &mut Conn,
    project: &str,
    id: &str,
) -> Result<Option<TriggerItem>, StoreError> {
    let row = query("SELECT * FROM trigger_events WHERE project = $1 AND id = $2")
        .bind(project)
        .bind(id)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(item_from_row).transpose()
}

/// Lets a cause through that is held. Returns false where it is not.
pub(crate) async fn approve(
    tx: &mut WriteTx,
    project: &str,
    (id, by): (&str, &str),
    now_ms: i64,
) -> Result<bool, StoreError> {
    // Tried for as long as one that came now.
    let done = query(
        "UPDATE trigger_events SET state = 'waiting', approved_by = $1, next_ms = $2, created_ms = $2 \
         WHERE project = $3 AND id = $4 AND state = 'held'",
    )
    .bind(by)
    .bind(now_ms)
    .bind(project)
    .bind(id)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends what is held of a reference, and is not wanted any more.
pub(crate) async fn drop_held(
    tx: &mut WriteTx,
    (project, reference): (&str, &str),
    (keep, why): (&str, &str),
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "UPDATE trigger_events SET state = 'skipped', done_ms = $1, message = $2 \
         WHERE project = $3 AND reference = $4 AND state = 'held' AND revision <> $5",
    )
    .bind(now_ms)
    .bind(why)
    .bind(project)
    .bind(reference)
    .bind(keep)
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the last cause with a commit that was taken up.
pub(crate) async fn last_of_revision(
    conn: &mut Conn,
    project: &str,
    revision: &str,
) -> Result<Option<PastTrigger>, StoreError> {
    let row = query(
        "SELECT reference, base_revision, from_fork, event FROM trigger_events \
         WHERE project = $1 AND revision = $2 AND state IN ('built', 'failed') \
         ORDER BY created_ms DESC, id DESC LIMIT 1",
    )
    .bind(project)
    .bind(revision)
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(PastTrigger {
        reference: row.try_get("reference")?,
        base_revision: row.try_get("base_revision")?,
        from_fork: row.try_get("from_fork")?,
        event: json_maybe(&row, "event")?.unwrap_or_default(),
    }))
}

/// Returns the values that the event of a pipeline's cause gave.
pub(crate) async fn event_of_pipeline(
    conn: &mut Conn,
    pipeline: &PipelineId,
) -> Result<EventValues, StoreError> {
    let row = query("SELECT event FROM trigger_events WHERE pipeline = $1 AND event IS NOT NULL")
        .bind(pipeline.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| json_maybe(&row, "event")).transpose()?.flatten().unwrap_or_default())
}
