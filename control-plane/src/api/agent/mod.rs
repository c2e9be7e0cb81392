//! Calls of launch agents and task agents.

mod archives;
mod artifacts;
mod caches;
mod claim;
mod config;
mod continuation;
mod events;
mod fail;
mod finish;
mod heartbeat;
mod output;
mod report;
mod source;
mod test_results;
mod timings;
mod unclaim;
pub(in crate::api) mod updates;
mod workspace;

use axum::Router;
use axum::routing::{get, patch, post, put};
use russet_protocol::runner::REPORT_PATH;
use russet_protocol::storage;
use russet_protocol::task::CONTINUE_PATH;

use crate::state::App;

/// The routes of agents. Each call carries its own token: that of a class for claims and reports, that of
/// the task for all others; updates, which are no secret, need none.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/v3/runner/claim", post(claim::claim))
        .route(REPORT_PATH, post(report::report))
        .route("/api/v3/runner/unclaim", post(unclaim::unclaim))
        .route("/api/v2/task/config", get(config::config))
        .route(CONTINUE_PATH, post(continuation::go_on))
        .route("/api/v2/task/event/fail", post(fail::fail))
        .route("/api/v3/task/heartbeat", post(heartbeat::heartbeat))
        .route("/api/v3/task/events", post(events::events))
        .route("/api/v3/task/steps/{step}/output", patch(output::append))
        .route("/api/v3/task/artifacts/{*path}", put(artifacts::put))
        .route("/api/v3/task/test-results", post(test_results::store))
        .route(storage::ARCHIVES_PATH, put(archives::put))
        .route(storage::CACHES_PATH, post(caches::save))
        .route(storage::CACHE_LOOKUP_PATH, post(caches::lookup))
        .route("/api/v3/task/caches/{id}/archive", get(caches::archive))
        .route(storage::WORKSPACE_PATH, post(workspace::persist).get(workspace::layers))
        .route("/api/v3/task/workspace/{id}/archive", get(workspace::download_layer))
        .route(storage::TIMINGS_PATH, get(timings::timings))
        .route("/api/v3/task/source", get(source::source))
        .route("/api/v3/task/finish", post(finish::finish))
        .route("/api/v3/updates/{runner}/{file}", get(updates::get))
}

/// Types that these calls take and answer.
#[cfg(test)]
#[derive(Debug, utoipa::OpenApi)]
#[openapi(paths(
    claim::claim,
    report::report,
    unclaim::unclaim,
    config::config,
    continuation::go_on,
    fail::fail,
    heartbeat::heartbeat,
    events::events,
    output::append,
    artifacts::put,
    test_results::store,
    archives::put,
    caches::save,
    caches::lookup,
    caches::archive,
    workspace::persist,
    workspace::layers,
    workspace::download_layer,
    timings::timings,
    source::source,
    finish::finish,
    updates::get
))]
pub(super) struct Docs;
