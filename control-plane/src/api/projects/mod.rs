//! Projects that are connected to a Git remote, for people, and the builds that their triggers cause.

mod build;
mod connections;
mod deliveries;
mod webhook;
mod webhook_settings;

use russet_protocol::people::Permission::{Operate, Read, Submit};
use russet_protocol::webhooks::GITHUB_WEBHOOK_PATH;

use super::routes::Routes;
use crate::people::{Needs, Place};

pub(crate) use build::Builds;

/// The routes of connected projects.
pub(super) fn routes() -> Routes {
    const CONNECTION: &str = "/api/v3/projects/{project}/connection";
    const WEBHOOK: &str = "/api/v3/projects/{project}/webhook";
    Routes::new()
        .get("/api/v3/connections", (Read, Place::List), connections::list)
        .get(CONNECTION, (Read, Place::Project), connections::get)
        .put(CONNECTION, (Operate, Place::Project), connections::connect)
        .delete(CONNECTION, (Operate, Place::Project), connections::disconnect)
        .post(
            "/api/v3/projects/{project}/connection/poll",
            (Submit, Place::Project),
            connections::poll_now,
        )
        .post(
            "/api/v3/projects/{project}/connection/build",
            (Submit, Place::Project),
            connections::build,
        )
        .put(WEBHOOK, (Operate, Place::Project), webhook_settings::put)
        .delete(WEBHOOK, (Operate, Place::Project), webhook_settings::remove)
        .get("/api/v3/projects/{project}/deliveries", (Read, Place::Project), deliveries::list)
        .post(
            "/api/v3/projects/{project}/deliveries/{delivery}/redeliver",
            (Operate, Place::Project),
            deliveries::redeliver,
        )
        .post(
            "/api/v3/projects/{project}/triggers/{trigger}/approve",
            (Operate, Place::Project),
            deliveries::approve,
        )
        // The signature of the body is the right to it.
        .post(GITHUB_WEBHOOK_PATH, Needs::Nothing, webhook::take_github)
}

/// Types that these calls take and answer.
#[cfg(test)]
#[derive(Debug, utoipa::OpenApi)]
#[openapi(paths(
    connections::list,
    connections::get,
    connections::connect,
    connections::disconnect,
    connections::poll_now,
    connections::build,
    webhook_settings::put,
    webhook_settings::remove,
    deliveries::list,
    deliveries::redeliver,
    deliveries::approve,
    webhook::take_github
))]
pub(super) struct Docs;
