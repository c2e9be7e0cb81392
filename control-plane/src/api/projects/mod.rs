//! Projects that are connected to a Git remote, for people, and the builds that their triggers cause.

mod build;
mod connections;

use russet_protocol::people::Permission::{Operate, Read, Submit};

use super::routes::Routes;
use crate::people::Place;

pub(crate) use build::Builds;

/// The routes of connected projects.
pub(super) fn routes() -> Routes {
    const CONNECTION: &str = "/api/v3/projects/{project}/connection";
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
    connections::build
))]
pub(super) struct Docs;
