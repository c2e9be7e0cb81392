//! Calls with which people pause, rename and forget runners.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::admin::{Items, RunnerItem};
use russet_protocol::machine::{PauseRunners, RenameRunner, RunnerChoice, ServerPause};
use russet_protocol::resource_class::ResourceClass;

use super::people::ProvedName;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::reach::Access;
use crate::api::runner_name::check_name;
use crate::audit;
use crate::runner_items::visible_runners;
use crate::state::App;
use crate::store::{Conn, classes, pauses, runner_names};

/// The most characters of a reason, and of the name of who gives it.
const MAX_REASON_CHARS: usize = 400;
const MAX_BY_CHARS: usize = 100;

/// The longest pause that ends by itself, in seconds: ten years.
const MAX_PAUSE_S: u64 = 10 * 366 * 24 * 3600;

/// Name of who pauses where nobody says it.
const ADMINISTRATOR: &str = "the administrator";

/// Gives runners no more tasks: one by its name, or all of a class, also those that come later. What
/// runs goes on.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/runner/pause", tag = "admin", operation_id = "pause_runners",
    request_body = russet_protocol::machine::PauseRunners,
    responses((status = 200, description = "The runners, as they are now", body = russet_protocol::admin::Items<russet_protocol::admin::RunnerItem>), (status = 400, description = "Neither a runner nor a class is named", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn pause(
    State(app): State<App>,
    access: Access,
    ProvedName(proved): ProvedName,
    Json(request): Json<PauseRunners, SMALL>,
) -> Result<JsonAnswer<Items<RunnerItem>>, ApiError> {
    let now_ms = app.now_ms();
    let line = |text: &String, max| russet_text::one_line_within(text, max);
    let by = request.by.as_ref().map(|by| line(by, MAX_BY_CHARS)).filter(|by| !by.is_empty());
    let until = |seconds: u64| now_ms.saturating_add(seconds.min(MAX_PAUSE_S) * 1000);
    let pause = ServerPause {
        id: russet_protocol::ids::AllocationId::generate().to_string(),
        kind: request.kind,
        reason: request.reason.as_ref().map(|reason| line(reason, MAX_REASON_CHARS)),
        by: proved.or(by).unwrap_or_else(|| ADMINISTRATOR.to_owned()),
        since_ms: now_ms,
        until_ms: request.for_s.map(until),
        is_of_class: request.of.runner.is_none(),
    };
    audit::note_after(&serde_json::json!({"of": request.of, "pause": pause}));
    let mut tx = app.store.write().await?;
    let all = visible_runners(&app, &mut tx, &access.sight()).await?;
    note_pauses(&all, &request.of);
    match chosen_runners(&mut tx, &all, &request.of, &access).await? {
        Chosen::Class(class) => pauses::set(&mut tx, &class, None, &pause).await?,
        Chosen::Runners(runners) => {
            for (class, runner) in &runners {
                pauses::set(&mut tx, class, Some(runner), &pause).await?;
            }
        }
    }
    tx.commit().await?;
    tracing::info!(of = ?request.of, pause = pause.words(), "runners are paused");
    list_chosen(&app, &request.of, &access).await
}

/// Lifts the pauses of runners that were made here. Holds of the machines themselves stay.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/runner/resume", tag = "admin", operation_id = "resume_runners",
    request_body = russet_protocol::machine::RunnerChoice,
    responses((status = 200, description = "The runners, as they are now", body = russet_protocol::admin::Items<russet_protocol::admin::RunnerItem>), (status = 400, description = "Neither a runner nor a class is named", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn resume(
    State(app): State<App>,
    access: Access,
    Json(of): Json<RunnerChoice, SMALL>,
) -> Result<JsonAnswer<Items<RunnerItem>>, ApiError> {
    audit::note_after(&serde_json::json!({"of": of, "pause": null}));
    let mut tx = app.store.write().await?;
    let all = visible_runners(&app, &mut tx, &access.sight()).await?;
    note_pauses(&all, &of);
    match chosen_runners(&mut tx, &all, &of, &access).await? {
        Chosen::Class(class) => pauses::lift_class(&mut tx, &class).await?,
        Chosen::Runners(runners) => {
            for (class, runner) in &runners {
                pauses::lift_runner(&mut tx, class, runner).await?;
            }
        }
    }
    tx.commit().await?;
    tracing::info!(?of, "runners are resumed");
    list_chosen(&app, &of, &access).await
}

/// Calls a runner by another name, in all its classes. Its agent goes on to claim as it is
/// configured; jobs that ran keep the name that it had then.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/runner/rename", tag = "admin", operation_id = "rename_runners",
    request_body = russet_protocol::machine::RenameRunner,
    responses((status = 200, description = "The runner, as it is now", body = russet_protocol::admin::Items<russet_protocol::admin::RunnerItem>), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "There is a runner of that name", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn rename(
    State(app): State<App>,
    access: Access,
    Json(request): Json<RenameRunner, SMALL>,
) -> Result<JsonAnswer<Items<RunnerItem>>, ApiError> {
    let RenameRunner { runner, to } = request;
    check_name(&to)?;
    let mut tx = app.store.write().await?;
    let all = visible_runners(&app, &mut tx, &access.sight()).await?;
    let classes = classes_of(&all, &runner, None)?;
    check_classes(&classes, &access)?;
    if let Some(other) = all.iter().find(|item| item.name == to) {
        return Err(ApiError::Conflict(format!(
            "there is a runner `{to}` of {} already",
            other.resource_class
        )));
    }
    audit::note_before(&serde_json::json!({"runner": runner}));
    audit::note_after(&serde_json::json!({"runner": to}));
    for class in &classes {
        runner_names::rename(&mut tx, class, &runner, &to).await?;
    }
    tx.commit().await?;
    for class in &classes {
        if let Some(at) = app.presence.last_ms(class.as_str(), &runner) {
            app.presence.note(class.as_str(), &to, at);
        }
        app.presence.forget(class.as_str(), &runner);
    }
    list_chosen(&app, &RunnerChoice { runner: Some(to), resource_class: None }, &access).await
}

/// Forgets runners that are away: what they said, their pauses and names. Of a class those that are,
/// and the others stay. One that claims again is a new one.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/runner/remove", tag = "admin", operation_id = "remove_runners",
    request_body = russet_protocol::machine::RunnerChoice,
    responses((status = 204, description = "They are forgotten"), (status = 400, description = "Neither a runner nor a class is named", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "It is online, or holds a task; of a class, all do", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove(
    State(app): State<App>,
    access: Access,
    Json(of): Json<RunnerChoice, SMALL>,
) -> Result<StatusCode, ApiError> {
    audit::note_before(&of);
    let mut tx = app.store.write().await?;
    let all = visible_runners(&app, &mut tx, &access.sight()).await?;
    chosen_runners(&mut tx, &all, &of, &access).await?;
    let (chosen, here): (Vec<&RunnerItem>, Vec<&RunnerItem>) = all
        .iter()
        .filter(|item| is_chosen(item, &of))
        .partition(|item| item.state.is_away() && !item.is_busy());
    if let Some(here) = here.first()
        && (of.runner.is_some() || chosen.is_empty())
    {
        return Err(ApiError::Conflict(format!(
            "`{}` is {} and would be back with its next claim; stop its agent first",
            here.name, here.state
        )));
    }
    for item in &chosen {
        runner_names::forget_runner(&mut tx, &item.resource_class, &item.name).await?;
    }
    tx.commit().await?;
    for item in &chosen {
        app.presence.forget(item.resource_class.as_str(), &item.name);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Notes for the audit log which pauses the chosen runners had.
fn note_pauses(all: &[RunnerItem], of: &RunnerChoice) {
    let chosen = all.iter().filter(|item| is_chosen(item, of));
    let pauses: Vec<_> = chosen
        .map(|item| {
            serde_json::json!({
                "runner": item.name, "resource_class": item.resource_class, "pause": item.pause,
            })
        })
        .collect();
    audit::note_before(&pauses);
}

/// Runners that a call is about.
enum Chosen {
    /// All of a class.
    Class(ResourceClass),
    /// These, each with its class.
    Runners(Vec<(ResourceClass, String)>),
}

async fn chosen_runners(
    conn: &mut Conn,
    all: &[RunnerItem],
    of: &RunnerChoice,
    access: &Access,
) -> Result<Chosen, ApiError> {
    let class = of.resource_class.as_ref();
    if let Some(class) = class {
        let unknown = || ApiError::NotFound(format!("resource class not found: `{class}`"));
        access.check_name(class.as_str(), |_| unknown())?;
        if !classes::exists(conn, class).await? {
            return Err(unknown());
        }
    }
    let Some(runner) = &of.runner else {
        let message = "the call needs one of `runner` and `resource_class`";
        return class.cloned().map(Chosen::Class).ok_or_else(|| ApiError::Bad(message.to_owned()));
    };
    let classes = classes_of(all, runner, class)?;
    check_classes(&classes, access)?;
    Ok(Chosen::Runners(classes.into_iter().map(|class| (class, runner.clone())).collect()))
}

/// Decides the call for all classes that it is about.
fn check_classes(classes: &[ResourceClass], access: &Access) -> Result<(), ApiError> {
    classes.iter().try_for_each(|class| access.check_name(class.as_str(), ApiError::Denied))
}

/// Returns the classes that a runner is of.
fn classes_of(
    all: &[RunnerItem],
    runner: &str,
    only: Option<&ResourceClass>,
) -> Result<Vec<ResourceClass>, ApiError> {
    let of = all.iter().filter(|item| item.name == runner).map(|item| &item.resource_class);
    let classes: Vec<ResourceClass> =
        of.filter(|class| only.is_none_or(|only| only == *class)).cloned().collect();
    if classes.is_empty() {
        let of = only.map(|class| format!(" of {class}")).unwrap_or_default();
        return Err(ApiError::NotFound(format!(
            "there is no runner `{}`{of}",
            russet_text::one_line_within(runner, 255)
        )));
    }
    Ok(classes)
}

fn is_chosen(item: &RunnerItem, of: &RunnerChoice) -> bool {
    of.runner.as_ref().is_none_or(|name| *name == item.name)
        && of.resource_class.as_ref().is_none_or(|class| *class == item.resource_class)
}

async fn list_chosen(
    app: &App,
    of: &RunnerChoice,
    access: &Access,
) -> Result<JsonAnswer<Items<RunnerItem>>, ApiError> {
    let mut conn = app.store.read().await?;
    let mut items = visible_runners(app, &mut conn, &access.sight()).await?;
    items.retain(|item| is_chosen(item, of));
    Ok(JsonAnswer(Items { items }))
}
