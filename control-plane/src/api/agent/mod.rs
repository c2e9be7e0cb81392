//! Calls of launch agents and task agents.

mod artifacts;
mod claim;
mod config;
mod continuation;
mod events;
mod fail;
mod finish;
mod heartbeat;
mod output;
mod source;
mod test_results;
mod unclaim;
mod updates;

use axum::Router;
use axum::routing::{get, patch, post, put};
use russet_protocol::task::CONTINUE_PATH;

use crate::state::App;

/// The routes of agents. Each call carries its own token: that of a class for the claim, that of
/// the task for all others; updates, which are no secret, need none.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/v3/runner/claim", post(claim::claim))
        .route("/api/v3/runner/unclaim", post(unclaim::unclaim))
        .route("/api/v2/task/config", get(config::config))
        .route(CONTINUE_PATH, post(continuation::go_on))
        .route("/api/v2/task/event/fail", post(fail::fail))
        .route("/api/v3/task/heartbeat", post(heartbeat::heartbeat))
        .route("/api/v3/task/events", post(events::events))
        .route("/api/v3/task/steps/{step}/output", patch(output::append))
        .route("/api/v3/task/artifacts/{*path}", put(artifacts::put))
        .route("/api/v3/task/test-results", post(test_results::store))
        .route("/api/v3/task/source", get(source::source))
        .route("/api/v3/task/finish", post(finish::finish))
        .route("/api/v3/updates/{runner}/{file}", get(updates::get))
}

/// What these calls take and answer.
#[cfg(test)]
#[derive(Debug, utoipa::OpenApi)]
#[openapi(paths(
    claim::claim,
    unclaim::unclaim,
    config::config,
    continuation::go_on,
    fail::fail,
    heartbeat::heartbeat,
    events::events,
    output::append,
    artifacts::put,
    test_results::store,
    source::source,
    finish::finish,
    updates::get
))]
pub(super) struct Docs;
