//! Calls that CircleCI's own clients and other public ones make besides those of [`super::admin`]:
//! what they ask before they list runners, what they check configurations with, and the paths of
//! the API's second version. docs/clients.md lists which client works with which of them.
//!
//! There is one organization here, whatever a client calls it.

mod compile;
mod contexts;
mod download;
mod orgs;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{delete, get, post};

use super::admin::{resources, runners, tokens};
use super::bearer::admin_only;
use crate::state::App;

/// Routes of people's tools, then those that carry another token or none.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/v2/runner", get(runners::list))
        .route("/api/v2/tasks", get(runners::count_unclaimed))
        .route("/api/v2/tasks/running", get(runners::count_running))
        .route("/api/v2/runner/tasks", get(runners::count_unclaimed))
        .route("/api/v2/runner/tasks/running", get(runners::count_running))
        .route("/api/v2/runner/resource", get(resources::list).post(resources::create))
        .route("/api/v2/runner/resource/{id}", delete(resources::remove))
        .route("/api/v2/runner/resource/{id}/force", delete(resources::remove_with_tokens))
        .route("/api/v2/runner/token", get(tokens::list).post(tokens::create))
        .route("/api/v2/runner/token/{id}", delete(tokens::revoke))
        .route("/api/v2/context", get(contexts::list))
        .route("/api/v2/context/{id}", get(contexts::get))
        .route("/api/v2/context/{id}/environment-variable", get(contexts::variables))
        .route("/api/v2/compile-config-with-defaults", post(compile::compile_v2))
        .route("/api/v3/configs/compile", post(compile::compile_v3))
        .route("/api/v3/orgs", get(orgs::list_orgs))
        .route("/api/v3/projects", get(orgs::list_projects))
        .route_layer(from_fn(admin_only))
        .route("/api/v2/openapi.json", get(orgs::describe_v2))
        .route("/api/v2/launch-agent/download", get(download::find).post(download::find))
        .route("/api/v2/launch-agent/releases/{version}/{file}", get(download::get))
}

/// Returns the id of something that is known by its name here: clients want a UUID, the same each
/// time.
fn uuid_of(kind: &str, name: &str) -> String {
    let mut bytes = blake3::derive_key(
        "russet 2026-11 ids of names for public clients",
        format!("{kind}\0{name}").as_bytes(),
    );
    // Version 8, which is for ids of one's own making, and the usual variant.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &hex[part]);
    parts.join("-")
}

/// Requests and answers of these calls.
#[cfg(test)]
#[derive(Debug, utoipa::OpenApi)]
#[openapi(paths(
    contexts::list,
    contexts::get,
    contexts::variables,
    compile::compile_v2,
    compile::compile_v3,
    orgs::list_orgs,
    orgs::list_projects,
    download::find,
    download::get
))]
pub(super) struct Docs;
