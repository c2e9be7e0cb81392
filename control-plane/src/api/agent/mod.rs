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
mod git;
mod heartbeat;
mod output;
mod report;
mod source;
mod ssh;
mod ssh_tunnel;
mod test_results;
mod timings;
mod unclaim;
pub(in crate::api) mod updates;
mod workspace;

use russet_protocol::runner::REPORT_PATH;
use russet_protocol::ssh::{TASK_HOLD_PATH, TASK_READY_PATH, TASK_SESSIONS_PATH, TASK_TUNNEL_PATH};
use russet_protocol::storage;
use russet_protocol::task::{CONTINUE_PATH, TASK_GIT_PATH};

use super::routes::Routes;
use crate::people::Needs;

/// The routes of agents. Each call carries its own token: that of a class for claims and reports, that of
/// the task for all others; updates, which are no secret, need none.
pub(super) fn routes() -> Routes {
    Routes::new()
        .post("/api/v3/runner/claim", Needs::ClassToken, claim::claim)
        .post(REPORT_PATH, Needs::ClassToken, report::report)
        .post("/api/v3/runner/unclaim", Needs::Nothing, unclaim::unclaim)
        .get("/api/v2/task/config", Needs::TaskToken, config::config)
        .post(CONTINUE_PATH, Needs::Nothing, continuation::go_on)
        .post("/api/v2/task/event/fail", Needs::TaskToken, fail::fail)
        .post("/api/v3/task/heartbeat", Needs::TaskToken, heartbeat::heartbeat)
        .post("/api/v3/task/events", Needs::TaskToken, events::events)
        .patch("/api/v3/task/steps/{step}/output", Needs::TaskToken, output::append)
        .put("/api/v3/task/artifacts/{*path}", Needs::TaskToken, artifacts::put)
        .post("/api/v3/task/test-results", Needs::TaskToken, test_results::store)
        .put(storage::ARCHIVES_PATH, Needs::TaskToken, archives::put)
        .post(storage::CACHES_PATH, Needs::TaskToken, caches::save)
        .post(storage::CACHE_LOOKUP_PATH, Needs::TaskToken, caches::lookup)
        .get("/api/v3/task/caches/{id}/archive", Needs::TaskToken, caches::archive)
        .post(storage::WORKSPACE_PATH, Needs::TaskToken, workspace::persist)
        .get(storage::WORKSPACE_PATH, Needs::TaskToken, workspace::layers)
        .get("/api/v3/task/workspace/{id}/archive", Needs::TaskToken, workspace::download_layer)
        .get(storage::TIMINGS_PATH, Needs::TaskToken, timings::timings)
        .post(TASK_READY_PATH, Needs::TaskToken, ssh::ready)
        .post(TASK_HOLD_PATH, Needs::TaskToken, ssh::hold)
        .post(TASK_SESSIONS_PATH, Needs::TaskToken, ssh::session)
        .get(TASK_TUNNEL_PATH, Needs::TaskToken, ssh_tunnel::wait)
        .get("/api/v3/task/source", Needs::TaskToken, source::source)
        .get(TASK_GIT_PATH, Needs::TaskToken, git::read)
        .post("/api/v3/task/finish", Needs::TaskToken, finish::finish)
        .get("/api/v3/updates/{runner}/{file}", Needs::Nothing, updates::get)
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
    ssh::ready,
    ssh::hold,
    ssh::session,
    ssh_tunnel::wait,
    source::source,
    git::read,
    finish::finish,
    updates::get
))]
pub(super) struct Docs;
