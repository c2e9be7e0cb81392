//! `/api/v3/projects/{project}/schedules`.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::admin::Items;
use russet_protocol::ids::MessageId;
use russet_protocol::schedules::{NewSchedule, ScheduleItem};

use super::alerts::check_name;
use super::keeping::require_project;
use super::people::By;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::audit;
use crate::schedules::{InvalidTimes, Times};
use crate::state::App;
use crate::store::schedules::StoredSchedule;
use crate::store::{Conn, WriteTx, schedules};

/// Most schedules of a project.
const MAX_SCHEDULES: u64 = 100;

/// Times that are told of a single schedule.
const MAX_NEXT: usize = 5;

/// Longest cron, time zone or branch, in bytes.
const MAX_BYTES: usize = 255;

/// Returns the next times of a schedule.
fn next_times(schedule: &StoredSchedule, count: usize) -> Vec<u64> {
    let Ok(times) = Times::parse(&schedule.item.cron, &schedule.item.timezone) else {
        return Vec::new();
    };
    let first = schedule.next_ms.filter(|_| !schedule.item.paused);
    let all = std::iter::successors(first, |at| times.next_after(*at)).take(count);
    all.map(|at| u64::try_from(at).unwrap_or_default()).collect()
}

fn with_next(schedule: StoredSchedule, count: usize) -> ScheduleItem {
    let next_ms = next_times(&schedule, count);
    ScheduleItem { next_ms, ..schedule.item }
}

async fn find(conn: &mut Conn, project: &str, name: &str) -> Result<StoredSchedule, ApiError> {
    schedules::get(conn, project, name).await?.ok_or_else(|| {
        let (project, name) = (project.escape_debug(), name.escape_debug());
        ApiError::NotFound(format!("the project `{project}` has no schedule `{name}`"))
    })
}

/// Lists the schedules of a project.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/projects/{project}/schedules", tag = "admin", operation_id = "list_schedules",
    params(("project" = String, Path, description = "The project; its slash is written %2F")),
    responses((status = 200, description = "The schedules, by name", body = russet_protocol::admin::Items<russet_protocol::schedules::ScheduleItem>), (status = 404, description = "The caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<JsonAnswer<Items<ScheduleItem>>, ApiError> {
    let all = schedules::of_project(&mut app.store.read().await?, &project).await?;
    let items = all.into_iter().map(|schedule| with_next(schedule, 1)).collect();
    Ok(JsonAnswer(Items { items }))
}

/// A schedule with its next times.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/projects/{project}/schedules/{name}", tag = "admin", operation_id = "get_schedule",
    params(("project" = String, Path, description = "The project; its slash is written %2F"), ("name" = String, Path, description = "The schedule")),
    responses((status = 200, description = "The schedule", body = russet_protocol::schedules::ScheduleItem), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    Path((project, name)): Path<(String, String)>,
) -> Result<JsonAnswer<ScheduleItem>, ApiError> {
    let schedule = find(&mut app.store.read().await?, &project, &name).await?;
    Ok(JsonAnswer(with_next(schedule, MAX_NEXT)))
}

/// Adds a schedule.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/projects/{project}/schedules", tag = "admin", operation_id = "add_schedule",
    params(("project" = String, Path, description = "The project; its slash is written %2F"), ("as" = Option<String>, Query, description = "The one who adds it")),
    request_body = russet_protocol::schedules::NewSchedule,
    responses((status = 201, description = "The schedule, with its next times", body = russet_protocol::schedules::ScheduleItem), (status = 400, description = "The name, the times or the branch is refused", body = russet_protocol::problem::Problem), (status = 404, description = "There is no such project", body = russet_protocol::problem::Problem), (status = 409, description = "The project has a schedule of this name, or too many", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn add(
    State(app): State<App>,
    By(by): By,
    Path(project): Path<String>,
    Json(new): Json<NewSchedule, SMALL>,
) -> Result<(StatusCode, JsonAnswer<ScheduleItem>), ApiError> {
    check_name(&new.name)?;
    check_texts(&new)?;
    let refused = |error: InvalidTimes| ApiError::Bad(error.to_string());
    let times = Times::parse(&new.cron, &new.timezone).map_err(refused)?;
    let next_ms = times.next_after(app.clock.wall_ms());
    let next_ms = Some(next_ms.ok_or_else(|| refused(InvalidTimes::Never))?);
    let item = ScheduleItem {
        id: MessageId::generate().to_string(),
        name: new.name,
        cron: new.cron,
        timezone: new.timezone,
        branch: new.branch,
        parameters: new.parameters,
        missed: new.missed,
        paused: false,
        created_by: by,
        created_ms: app.now_ms(),
        next_ms: Vec::new(),
        last: None,
    };
    let stored = StoredSchedule { project, item, next_ms };
    let mut tx = app.store.write().await?;
    insert_schedule(&mut tx, &stored).await?;
    audit::note_after(&stored.item);
    tx.commit().await?;
    tracing::info!(project = stored.project, schedule = stored.item.name, "audit: schedule added");
    Ok((StatusCode::CREATED, JsonAnswer(with_next(stored, MAX_NEXT))))
}

fn check_texts(new: &NewSchedule) -> Result<(), ApiError> {
    for (what, text) in [("cron", &new.cron), ("timezone", &new.timezone), ("branch", &new.branch)]
    {
        if text.trim().is_empty() || text.len() > MAX_BYTES || text.chars().any(char::is_control) {
            return Err(ApiError::Bad(format!("{what}: 1 to {MAX_BYTES} characters are needed")));
        }
    }
    Ok(())
}

async fn insert_schedule(tx: &mut WriteTx, stored: &StoredSchedule) -> Result<(), ApiError> {
    let project = &stored.project;
    require_project(tx, project).await?;
    if schedules::count_of_project(tx, project).await? >= MAX_SCHEDULES {
        let message = format!("the project has {MAX_SCHEDULES} schedules; remove one first");
        return Err(ApiError::Conflict(message));
    }
    if !schedules::insert(tx, stored).await? {
        let name = &stored.item.name;
        let message = format!("the project has a schedule `{name}` already; remove it first");
        return Err(ApiError::Conflict(message));
    }
    Ok(())
}

/// Removes a schedule.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/projects/{project}/schedules/{name}", tag = "admin", operation_id = "remove_schedule",
    params(("project" = String, Path, description = "The project; its slash is written %2F"), ("name" = String, Path, description = "The schedule")),
    responses((status = 204, description = "Removed"), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove(
    State(app): State<App>,
    Path((project, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let schedule = find(&mut tx, &project, &name).await?;
    audit::note_before(&schedule.item);
    schedules::remove(&mut tx, &schedule.item.id).await?;
    tx.commit().await?;
    tracing::info!(project, schedule = name, "audit: schedule removed");
    Ok(StatusCode::NO_CONTENT)
}

/// Pauses a schedule: it does not fire until it is resumed, and makes up for nothing.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/projects/{project}/schedules/{name}/pause", tag = "admin", operation_id = "pause_schedule",
    params(("project" = String, Path, description = "The project; its slash is written %2F"), ("name" = String, Path, description = "The schedule")),
    responses((status = 200, description = "The schedule", body = russet_protocol::schedules::ScheduleItem), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn pause(
    State(app): State<App>,
    Path((project, name)): Path<(String, String)>,
) -> Result<JsonAnswer<ScheduleItem>, ApiError> {
    set_paused(&app, &project, &name, true).await
}

/// Lets a schedule fire again, from its next time on.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/projects/{project}/schedules/{name}/resume", tag = "admin", operation_id = "resume_schedule",
    params(("project" = String, Path, description = "The project; its slash is written %2F"), ("name" = String, Path, description = "The schedule")),
    responses((status = 200, description = "The schedule", body = russet_protocol::schedules::ScheduleItem), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn resume(
    State(app): State<App>,
    Path((project, name)): Path<(String, String)>,
) -> Result<JsonAnswer<ScheduleItem>, ApiError> {
    set_paused(&app, &project, &name, false).await
}

async fn set_paused(
    app: &App,
    project: &str,
    name: &str,
    is_paused: bool,
) -> Result<JsonAnswer<ScheduleItem>, ApiError> {
    let mut tx = app.store.write().await?;
    let mut schedule = find(&mut tx, project, name).await?;
    audit::note_before(&serde_json::json!({"schedule": name, "paused": schedule.item.paused}));
    audit::note_after(&serde_json::json!({"schedule": name, "paused": is_paused}));
    if schedule.item.paused != is_paused {
        let times = Times::parse(&schedule.item.cron, &schedule.item.timezone);
        let times = times.map_err(ApiError::internal)?;
        schedule.item.paused = is_paused;
        schedule.next_ms = times.next_after(app.clock.wall_ms());
        schedules::set_paused(&mut tx, &schedule.item.id, is_paused, schedule.next_ms).await?;
    }
    tx.commit().await?;
    Ok(JsonAnswer(with_next(schedule, MAX_NEXT)))
}
