//! `POST /api/v3/task/events`.

use axum::Json as JsonAnswer;
use axum::extract::State;
use russet_protocol::runner::{Event, EventKind, EventsRequest, EventsResponse};

use crate::api::bearer::TaskCaller;
use crate::api::body::Json;
use crate::api::error::ApiError;
use crate::state::App;
use crate::store::{Held, WriteTx, steps, tasks};
use crate::task_steps::{ensure_step, mark_started};

/// Stores what happened. Events that are here already are ignored; after a gap nothing is stored.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/task/events", tag = "agent", operation_id = "events_events",
    request_body = russet_protocol::runner::EventsRequest,
    responses((status = 200, description = "Everything up to here is stored", body = russet_protocol::runner::EventsResponse), (status = 409, description = "Events are missing before these, or the allocation is stale", body = russet_protocol::runner::EventsResponse), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn events(
    State(app): State<App>,
    caller: TaskCaller,
    Json(request): Json<EventsRequest>,
) -> Result<JsonAnswer<EventsResponse>, ApiError> {
    let mut tx = app.store.write().await?;
    let held = caller.lock(&mut tx, Some(&request.allocation)).await?;
    let Some(last_seq) = store_events(&app, &mut tx, &held, &request.events).await? else {
        return Err(ApiError::Gap(EventsResponse { last_seq: held.last_seq }));
    };
    if last_seq == held.last_seq {
        tx.rollback().await?;
    } else {
        tx.commit().await?;
    }
    Ok(JsonAnswer(EventsResponse { last_seq }))
}

/// Stores the events that are new and answers the number of the last. `None`: some are missing
/// before them, and the transaction is not to be committed.
pub(super) async fn store_events(
    app: &App,
    tx: &mut WriteTx,
    held: &Held,
    events: &[Event],
) -> Result<Option<u64>, ApiError> {
    let mut last_seq = held.last_seq;
    for event in events.iter().filter(|event| event.seq > held.last_seq) {
        if event.seq != last_seq + 1 {
            return Ok(None);
        }
        last_seq = event.seq;
        apply_event(app, tx, held, event).await?;
    }
    if last_seq > held.last_seq {
        tasks::set_last_seq(tx, &held.task, last_seq).await?;
        tx.tally().took_events(last_seq - held.last_seq);
        tx.wake_pipeline(held.pipeline.as_str());
    }
    Ok(Some(last_seq))
}

/// Highest number of a step: those that the agent itself has come after all of a configuration.
pub(super) const MAX_STEP: u32 = 20_000;

/// Latest time that an event may have, in milliseconds since 1970: the end of the year 9999.
const MAX_TIME_MS: u64 = 253_402_300_799_999;

/// Most bytes that one step may have said: more than any disk holds.
const MAX_OUTPUT_BYTES: u64 = 1 << 50;

/// Refuses numbers that mean nothing.
fn check_numbers(event: &Event) -> Result<(), ApiError> {
    let (step, bytes) = match &event.kind {
        EventKind::StepStarted { step, .. } => (*step, 0),
        EventKind::StepFinished { step, output_bytes, .. } => (*step, *output_bytes),
    };
    let checks = [
        ("step", u64::from(step), u64::from(MAX_STEP)),
        ("at_ms", event.at_ms, MAX_TIME_MS),
        ("output_bytes", bytes, MAX_OUTPUT_BYTES),
    ];
    match checks.into_iter().find(|(_, value, most)| value > most) {
        Some((name, value, most)) => {
            Err(ApiError::Bad(format!("event {}: {name}: {value} is above {most}", event.seq)))
        }
        None => Ok(()),
    }
}

async fn apply_event(
    app: &App,
    tx: &mut WriteTx,
    held: &Held,
    event: &Event,
) -> Result<(), ApiError> {
    check_numbers(event)?;
    match &event.kind {
        EventKind::StepStarted { step, name, background, detail } => {
            let start = steps::Start {
                number: *step,
                name,
                background: *background,
                detail: detail.as_deref(),
                at_ms: event.at_ms,
            };
            steps::start(tx, held, &start).await?;
            mark_started(app, tx, held, *step).await?;
        }
        EventKind::StepFinished { step, outcome, exit_code, message, output_bytes } => {
            let end = steps::End {
                number: *step,
                outcome: *outcome,
                exit_code: *exit_code,
                message: message.as_deref(),
                at_ms: event.at_ms,
                output_bytes: *output_bytes,
            };
            // A step that was left out is never announced.
            if !steps::end(tx, &held.task, &end).await? {
                ensure_step(tx, held, *step, event.at_ms).await?;
                steps::end(tx, &held.task, &end).await?;
            }
        }
    }
    Ok(())
}
