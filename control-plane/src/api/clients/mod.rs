//! Calls that CircleCI's own clients and other public ones make besides those of [`super::admin`]:
//! what they ask before they list runners, what they check configurations with, and the paths of
//! the API's second version. docs/clients.md lists which client works with which of them.
//!
//! There is one organization here, whatever a client calls it.

mod cli;
mod compile;
mod contexts;
mod download;
mod orgs;
mod v2;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use russet_protocol::ids::JobId;
use russet_protocol::people::Permission::{Operate, Read, Submit};

use russet_text::encode_segment;
use serde_json::Value;

use super::admin::{resources, runners, tokens};
use super::error::ApiError;
use super::routes::Routes;
use crate::name_ids::uuid_of;
use crate::people::{Needs, Place};
use crate::state::App;
use crate::store::pipeline_pages::Place as PagePlace;
use crate::text::rfc3339_of;

/// Routes of people's tools, then those that carry another token or none.
pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v2/runner", (Read, Place::List), runners::list)
        .get("/api/v2/tasks", (Read, Place::QueriedClass), runners::count_unclaimed)
        .get("/api/v2/tasks/running", (Read, Place::QueriedClass), runners::count_running)
        .get("/api/v2/runner/tasks", (Read, Place::QueriedClass), runners::count_unclaimed)
        .get("/api/v2/runner/tasks/running", (Read, Place::QueriedClass), runners::count_running)
        .get("/api/v2/runner/resource", (Read, Place::List), resources::list)
        .post("/api/v2/runner/resource", (Operate, Place::Body), resources::create)
        .delete("/api/v2/runner/resource/{id}", (Operate, Place::Class), resources::remove)
        .delete(
            "/api/v2/runner/resource/{id}/force",
            (Operate, Place::Class),
            resources::remove_with_tokens,
        )
        .get("/api/v2/runner/token", (Operate, Place::QueriedClass), tokens::list)
        .post("/api/v2/runner/token", (Operate, Place::Body), tokens::create)
        .delete("/api/v2/runner/token/{id}", (Operate, Place::ClassToken), tokens::revoke)
        .get("/api/v2/context", (Read, Place::List), contexts::list)
        .get("/api/v2/context/{id}", (Read, Place::List), contexts::get)
        .get("/api/v2/context/{id}/environment-variable", (Read, Place::List), contexts::variables)
        .post("/api/v2/compile-config-with-defaults", Needs::Anywhere(Submit), compile::compile_v2)
        .only_reads()
        .post("/api/v3/configs/compile", Needs::Anywhere(Submit), compile::compile_v3)
        .only_reads()
        .get("/api/v3/orgs", Needs::Anywhere(Read), orgs::list_orgs)
        .get("/api/v3/projects", (Read, Place::List), orgs::list_projects)
        .get("/api/v2/openapi.json", Needs::Nothing, orgs::describe_v2)
        .get("/api/v2/launch-agent/download", Needs::ClassToken, download::find)
        .post("/api/v2/launch-agent/download", Needs::ClassToken, download::find)
        .get("/api/v2/launch-agent/releases/{version}/{file}", Needs::Nothing, download::get)
        .with(v2::routes())
        .with(cli::routes())
}

/// Changes what public clients write in another way: see [`v2`] and [`cli`].
pub(super) async fn adapt_call(mut request: Request) -> Request {
    v2::take_slug_apart(&mut request);
    cli::lead_to_forms(&mut request);
    request
}

/// Returns a time as CircleCI writes it; null for none.
fn maybe_time(ms: Option<u64>) -> Value {
    ms.map_or(Value::Null, |ms| Value::String(rfc3339_of(ms)))
}

/// Returns the place of a token that a page gave.
fn page_place(name: &str, token: Option<&str>) -> Result<Option<PagePlace>, ApiError> {
    let bad = || ApiError::Bad(format!("{name}: it is not one of a page"));
    token.map(|token| PagePlace::parse(token).ok_or_else(bad)).transpose()
}

/// Returns the URL of an artifact, which is fetched with the token of the caller.
fn artifact_url(origin: &str, job: &JobId, path: &str) -> String {
    let path: Vec<String> = path.split('/').map(encode_segment).collect();
    format!("{origin}/api/v3/jobs/{job}/artifacts/{}", path.join("/"))
}

/// Returns the origin of this server, as the caller reaches it.
fn origin_of(app: &App, headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    app.public_url.as_ref().map_or_else(|| format!("http://{host}"), |url| url.to_string())
}

/// Description of these calls.
#[cfg(test)]
pub(super) fn description() -> utoipa::openapi::OpenApi {
    use utoipa::OpenApi as _;
    let mut all = Docs::openapi();
    all.merge(v2::Docs::openapi());
    all.merge(cli::Docs::openapi());
    all
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
struct Docs;
