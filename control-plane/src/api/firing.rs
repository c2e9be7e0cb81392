//! Fires schedules: notes each time once, whatever is restarted and however many servers there are, then
//! submits the pipeline whose id was noted with it.

use russet_protocol::admin::{ParameterValue, SubmitRequest};
use russet_protocol::ids::PipelineId;

use super::admin::submit::submit_caused;
use super::error::ApiError;
use crate::contention;
use crate::schedules::{TRIGGER_SOURCE, Times, find_due};
use crate::state::App;
use crate::store::schedules::{OpenFiring, StoredSchedule};
use crate::store::{StoreError, branch_submissions, pipelines, schedules};
use crate::text::{MESSAGE_LIMIT, cut_text};

/// Time between two looks, in milliseconds.
const ROUND_MS: i64 = 5_000;

/// Reason why a schedule submitted nothing, for people.
fn reason_for_people(error: &ApiError) -> String {
    match error {
        ApiError::Bad(text) | ApiError::NotFound(text) | ApiError::Conflict(text) => text.clone(),
        ApiError::Unprocessable(problem) => problem.full_text(),
        ApiError::NoSpace => "the data directory is full".to_owned(),
        _ => "the server could not do it now".to_owned(),
    }
}

/// Returns true for an error that says something of the submission: trying again would not help.
fn is_final(error: &ApiError) -> bool {
    matches!(
        error,
        ApiError::Bad(_)
            | ApiError::NotFound(_)
            | ApiError::Unprocessable(_)
            | ApiError::TooLarge(_)
            | ApiError::Denied(_)
    )
}

/// Fires schedules until the server stops.
pub(crate) async fn run_schedules(app: App) {
    let rounds = async {
        loop {
            let next_ms = app.clock.steady_ms().saturating_add(ROUND_MS);
            if let Err(error) = fire_due(&app).await {
                let error = russet_text::error_chain(&error);
                tracing::error!(error, "cannot look for due schedules; trying again in a moment");
            }
            app.clock.sleep_until(next_ms).await;
        }
    };
    tokio::select! {
        () = rounds => {}
        () = app.closed() => {}
    }
}

async fn fire_due(app: &App) -> Result<(), StoreError> {
    let due = schedules::due(&mut app.store.read().await?, app.clock.wall_ms()).await?;
    for schedule in &due {
        contention::retry(|| note_firing(app, schedule)).await?;
    }
    let open = schedules::open_firings(&mut app.store.read().await?).await?;
    for firing in open {
        submit_firing(app, &firing).await?;
    }
    Ok(())
}

/// Moves a schedule on whose time has come, and notes the time that it fires for.
async fn note_firing(app: &App, schedule: &StoredSchedule) -> Result<(), StoreError> {
    let Some(next_ms) = schedule.next_ms else { return Ok(()) };
    let now_ms = app.clock.wall_ms();
    let mut tx = app.store.write().await?;
    match Times::parse(&schedule.item.cron, &schedule.item.timezone) {
        Ok(times) => {
            let due = find_due(&times, next_ms, now_ms, schedule.item.missed);
            if due.fires.is_none() {
                let (project, name) = (&schedule.project, &schedule.item.name);
                tracing::warn!(project, schedule = name, "a time was missed, and is left out");
            }
            let id = PipelineId::generate();
            let fires = due.fires.map(|at| (at, &id));
            schedules::move_on(&mut tx, schedule, due.next, fires).await?;
        }
        Err(error) => {
            // It was checked when it was added; this server's database of zones is another.
            tracing::error!(project = schedule.project, schedule = schedule.item.name, %error, "a schedule cannot fire here");
            return tx.rollback().await;
        }
    }
    tx.commit().await
}

/// Submits the pipeline of a firing, unless that has happened. What may pass is tried again in the next round.
async fn submit_firing(app: &App, firing: &OpenFiring) -> Result<(), StoreError> {
    let failure = match try_submit(app, firing).await {
        Ok(()) => None,
        Err(_) if pipelines::exists(&mut app.store.read().await?, &firing.pipeline).await? => None,
        Err(error) if !is_final(&error) => {
            let error = reason_for_people(&error);
            tracing::warn!(schedule = firing.schedule.item.name, error, "a schedule waits");
            return Ok(());
        }
        Err(error) => Some(reason_for_people(&error)),
    };
    if let Some(failure) = &failure {
        let (project, name) = (&firing.schedule.project, &firing.schedule.item.name);
        tracing::warn!(project, schedule = name, failure, "a schedule submitted nothing");
    }
    let failure = failure.as_deref().map(|text| cut_text(text, MESSAGE_LIMIT));
    let mut tx = app.store.write().await?;
    schedules::end_firing(&mut tx, firing, failure, app.clock.wall_ms()).await?;
    tx.commit().await
}

async fn try_submit(app: &App, firing: &OpenFiring) -> Result<(), ApiError> {
    let schedule = &firing.schedule;
    let (project, branch) = (&schedule.project, &schedule.item.branch);
    let last = {
        let mut conn = app.store.read().await?;
        if pipelines::exists(&mut conn, &firing.pipeline).await? {
            return Ok(());
        }
        branch_submissions::get(&mut conn, project, branch).await?
    };
    let none = || {
        let branch = branch.escape_debug();
        ApiError::NotFound(format!("nothing was submitted of the branch `{branch}` yet"))
    };
    let last = last.ok_or_else(none)?;
    let request = scheduled_request(last.submission, schedule);
    submit_caused(app, &request, (&firing.pipeline, None), &last.reach).await.map(drop)
}

/// Returns the submission of a firing: the last one of the branch, with the values of the schedule.
fn scheduled_request(last: SubmitRequest, schedule: &StoredSchedule) -> SubmitRequest {
    let text = |text: &str| ParameterValue::Text(text.to_owned());
    let mut request = SubmitRequest { parameters: schedule.item.parameters.clone(), ..last };
    request.author = Some(schedule.item.created_by.clone());
    request.pipeline_values.extend([
        ("pipeline.trigger_source".to_owned(), text(TRIGGER_SOURCE)),
        ("pipeline.schedule.name".to_owned(), text(&schedule.item.name)),
        ("pipeline.schedule.id".to_owned(), text(&schedule.item.id)),
    ]);
    request
}
