//! Tables `schedules` and `schedule_firings`.

use russet_protocol::ids::PipelineId;
use russet_protocol::schedules::{FiringItem, ScheduleItem};

use super::rows::{count_column, int_value, json, parse, to_json};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

/// Time for which firings are kept, in milliseconds.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// A schedule as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredSchedule {
    pub(crate) project: String,
    /// Without its next times.
    pub(crate) item: ScheduleItem,
    /// Time that it fires at next, in milliseconds since 1970.
    pub(crate) next_ms: Option<i64>,
}

/// A time that a schedule fired for, of which the pipeline is yet to be submitted.
#[derive(Debug)]
pub(crate) struct OpenFiring {
    pub(crate) schedule: StoredSchedule,
    pub(crate) at_ms: i64,
    pub(crate) pipeline: PipelineId,
}

fn schedule_from_row(row: &Row) -> Result<StoredSchedule, StoreError> {
    Ok(StoredSchedule {
        project: row.try_get("project")?,
        next_ms: row.try_get("next_ms")?,
        item: ScheduleItem {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            cron: row.try_get("cron")?,
            timezone: row.try_get("timezone")?,
            branch: row.try_get("branch")?,
            parameters: json(row, "parameters")?,
            missed: parse(row, "missed")?,
            paused: row.try_get("paused")?,
            created_by: row.try_get("created_by")?,
            created_ms: count_column(row, "created_ms")?,
            next_ms: Vec::new(),
            last: None,
        },
    })
}

/// Returns the schedules of a project by name, each with the time that it fired for last.
pub(crate) async fn of_project(
    conn: &mut Conn,
    project: &str,
) -> Result<Vec<StoredSchedule>, StoreError> {
    let rows = query("SELECT * FROM schedules WHERE project = $1 ORDER BY name")
        .bind(project)
        .fetch_all(&mut *conn)
        .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut schedule = schedule_from_row(row)?;
        schedule.item.last = last_firing(conn, &schedule.item.id).await?;
        found.push(schedule);
    }
    Ok(found)
}

/// Returns a schedule by its name, with the time that it fired for last.
pub(crate) async fn get(
    conn: &mut Conn,
    project: &str,
    name: &str,
) -> Result<Option<StoredSchedule>, StoreError> {
    let row = query("SELECT * FROM schedules WHERE project = $1 AND name = $2")
        .bind(project)
        .bind(name)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut schedule = schedule_from_row(&row)?;
    schedule.item.last = last_firing(conn, &schedule.item.id).await?;
    Ok(Some(schedule))
}

/// Returns the number of schedules of a project.
pub(crate) async fn count_of_project(conn: &mut Conn, project: &str) -> Result<u64, StoreError> {
    let row = query("SELECT count(*) AS number FROM schedules WHERE project = $1")
        .bind(project)
        .fetch_one(conn)
        .await?;
    count_column(&row, "number")
}

async fn last_firing(conn: &mut Conn, id: &str) -> Result<Option<FiringItem>, StoreError> {
    let row = query(
        "SELECT at_ms, pipeline_id, done_ms IS NOT NULL AND failure IS NULL AS is_submitted, failure \
         FROM schedule_firings WHERE schedule = $1 ORDER BY at_ms DESC LIMIT 1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let is_submitted: bool = row.try_get("is_submitted")?;
    let pipeline: String = row.try_get("pipeline_id")?;
    Ok(Some(FiringItem {
        at_ms: count_column(&row, "at_ms")?,
        pipeline: is_submitted.then_some(pipeline),
        failure: row.try_get("failure")?,
    }))
}

/// Adds a schedule. Returns false where the project has one of this name.
pub(crate) async fn insert(tx: &mut WriteTx, new: &StoredSchedule) -> Result<bool, StoreError> {
    let done = query(
        "INSERT INTO schedules (id, project, name, cron, timezone, branch, parameters, missed, \
         created_by, created_ms, next_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT DO NOTHING",
    )
    .bind(&new.item.id)
    .bind(&new.project)
    .bind(&new.item.name)
    .bind(&new.item.cron)
    .bind(&new.item.timezone)
    .bind(&new.item.branch)
    .bind(to_json(&new.item.parameters)?)
    .bind(new.item.missed.as_str())
    .bind(&new.item.created_by)
    .bind(int_value(new.item.created_ms))
    .bind(new.next_ms)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Pauses a schedule, or lets it fire again from a time on.
pub(crate) async fn set_paused(
    tx: &mut WriteTx,
    id: &str,
    is_paused: bool,
    next_ms: Option<i64>,
) -> Result<(), StoreError> {
    query("UPDATE schedules SET paused = $1, next_ms = $2 WHERE id = $3")
        .bind(is_paused)
        .bind(next_ms)
        .bind(id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Removes a schedule with the times that it fired for.
pub(crate) async fn remove(tx: &mut WriteTx, id: &str) -> Result<(), StoreError> {
    query("DELETE FROM schedule_firings WHERE schedule = $1").bind(id).execute(tx).await?;
    query("DELETE FROM schedules WHERE id = $1").bind(id).execute(tx).await?;
    Ok(())
}

/// Removes those of a project that is deleted.
pub(super) async fn remove_of_project(tx: &mut WriteTx, project: &str) -> Result<(), StoreError> {
    // By their ids: PostgreSQL would walk all firings for those of a subquery.
    let ids = query("SELECT id FROM schedules WHERE project = $1").bind(project);
    for row in ids.fetch_all(&mut *tx).await? {
        remove(tx, &row.try_get::<String>("id")?).await?;
    }
    Ok(())
}

/// Returns schedules whose time has come.
pub(crate) async fn due(conn: &mut Conn, now_ms: i64) -> Result<Vec<StoredSchedule>, StoreError> {
    let rows = query(
        "SELECT * FROM schedules WHERE next_ms IS NOT NULL AND paused = 0 AND next_ms <= $1 \
         ORDER BY next_ms LIMIT 100",
    )
    .bind(now_ms)
    .fetch_all(conn)
    .await?;
    rows.iter().map(schedule_from_row).collect()
}

/// Moves a schedule on from a time to the next, with a firing for a time where there is one. Of several
/// servers one does it; the others find that it was moved on.
pub(crate) async fn move_on(
    tx: &mut WriteTx,
    schedule: &StoredSchedule,
    next_ms: Option<i64>,
    fires: Option<(i64, &PipelineId)>,
) -> Result<(), StoreError> {
    let done =
        query("UPDATE schedules SET next_ms = $1 WHERE id = $2 AND next_ms = $3 AND paused = 0")
            .bind(next_ms)
            .bind(&schedule.item.id)
            .bind(schedule.next_ms)
            .execute(&mut *tx)
            .await?;
    let Some((at_ms, pipeline)) = fires.filter(|_| done.rows_affected() > 0) else {
        return Ok(());
    };
    query(
        "INSERT INTO schedule_firings (schedule, at_ms, pipeline_id) VALUES ($1, $2, $3) \
         ON CONFLICT (schedule, at_ms) DO NOTHING",
    )
    .bind(&schedule.item.id)
    .bind(at_ms)
    .bind(pipeline.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns firings whose pipelines are yet to be submitted.
pub(crate) async fn open_firings(conn: &mut Conn) -> Result<Vec<OpenFiring>, StoreError> {
    let rows = query(
        "SELECT s.*, f.at_ms, f.pipeline_id FROM schedule_firings AS f \
         JOIN schedules AS s ON s.id = f.schedule WHERE f.done_ms IS NULL ORDER BY f.at_ms LIMIT 100",
    )
    .fetch_all(conn)
    .await?;
    let firing = |row: &Row| {
        Ok(OpenFiring {
            schedule: schedule_from_row(row)?,
            at_ms: row.try_get("at_ms")?,
            pipeline: row.try_get::<String>("pipeline_id")?.into(),
        })
    };
    rows.iter().map(firing).collect()
}

/// Notes that the pipeline of a firing was submitted, or why it never will be.
pub(crate) async fn end_firing(
    tx: &mut WriteTx,
    firing: &OpenFiring,
    failure: Option<&str>,
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "UPDATE schedule_firings SET done_ms = $1, failure = $2 \
         WHERE schedule = $3 AND at_ms = $4 AND done_ms IS NULL",
    )
    .bind(now_ms)
    .bind(failure)
    .bind(&firing.schedule.item.id)
    .bind(firing.at_ms)
    .execute(&mut *tx)
    .await?;
    // The last ones are enough for people.
    query(
        "DELETE FROM schedule_firings WHERE schedule = $1 AND at_ms < $2 AND done_ms IS NOT NULL",
    )
    .bind(&firing.schedule.item.id)
    .bind(firing.at_ms - KEPT_MS)
    .execute(tx)
    .await?;
    Ok(())
}
