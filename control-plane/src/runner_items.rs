//! Runners as they are told: rows of the store, what this server heard last, and the state that
//! follows.

use russet_protocol::admin::{RunnerItem, RunnerStatus};
use russet_protocol::resource_class::ResourceClass;

use crate::machines::{Facts, decide_state};
use crate::people::Reach;
use crate::state::App;
use crate::store::pauses::Pauses;
use crate::store::runners::RunnerRow;
use crate::store::{Conn, StoreError, loads, pauses, runners};
use crate::text::rfc3339;

/// A runner with its state, and the last time at which any server heard of it, in milliseconds since
/// 1970.
#[derive(Clone, Debug)]
pub(crate) struct JudgedRunner {
    pub(crate) item: RunnerItem,
    pub(crate) last_ms: i64,
}

/// Returns all runners that are listed, with their states.
pub(crate) async fn list_runners(
    app: &App,
    conn: &mut Conn,
) -> Result<Vec<RunnerItem>, StoreError> {
    let judged = judge_runners(app, conn).await?;
    Ok(judged.into_iter().map(|runner| runner.item).collect())
}

/// Returns the runners of classes within sight: those of others are as if they were not there.
pub(crate) async fn visible_runners(
    app: &App,
    conn: &mut Conn,
    sight: &Reach,
) -> Result<Vec<RunnerItem>, StoreError> {
    let mut all = list_runners(app, conn).await?;
    all.retain(|item| sight.covers(Some(item.resource_class.namespace())));
    Ok(all)
}

/// Returns all runners that are listed, with their states and when they were heard of: three
/// statements, however many there are, and one where there are none.
pub(crate) async fn judge_runners(
    app: &App,
    conn: &mut Conn,
) -> Result<Vec<JudgedRunner>, StoreError> {
    let now_ms = app.clock.wall_ms();
    let rows = runners::list(conn, now_ms).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let (mut held, pauses) = (loads::held_tasks(conn).await?, pauses::all(conn, now_ms).await?);
    Ok(rows.into_iter().map(|row| judge_row(app, now_ms, row, &mut held, &pauses)).collect())
}

/// Returns the runners of a class that are listed, with their states.
pub(crate) async fn list_of_class(
    app: &App,
    conn: &mut Conn,
    class: &ResourceClass,
) -> Result<Vec<RunnerItem>, StoreError> {
    let now_ms = app.clock.wall_ms();
    let rows = runners::of_class(conn, class, now_ms).await?;
    let mut held = loads::held_tasks(conn).await?;
    let pauses = pauses::of_class(conn, class, now_ms).await?;
    let judge = |row| judge_row(app, now_ms, row, &mut held, &pauses).item;
    Ok(rows.into_iter().map(judge).collect())
}

fn judge_row(
    app: &App,
    now_ms: i64,
    row: RunnerRow,
    held: &mut loads::Held,
    pauses: &Pauses,
) -> JudgedRunner {
    let RunnerRow { mut item, last_ms, left_ms } = row;
    let class = item.resource_class.as_str();
    let last_ms = app.presence.last_ms(class, &item.name).map_or(last_ms, |at| at.max(last_ms));
    item.tasks = held.remove(&(class.to_owned(), item.name.clone())).unwrap_or_default();
    item.pause = pauses.of_runner(class, &item.name).cloned();
    (item.state, item.reason) = decide_state(&Facts {
        now_ms,
        last_ms,
        left_ms,
        served_since_ms: app.attendance.since_ms(),
        silence_ms: app.silence.lost_ms,
        pause: item.pause.as_ref(),
        report: item.machine.as_ref(),
        holds: &item.holds,
        tasks: &item.tasks,
    });
    item.last_connected = rfc3339(last_ms);
    if !item.tasks.is_empty() {
        item.status = RunnerStatus::Busy;
    }
    JudgedRunner { item, last_ms }
}
