//! `/api/v2`: pipelines, workflows, jobs and projects in the form that CircleCI publishes for them, to
//! read: for its command lines, for bots and for dashboards.
//!
//! Some tools write a slug as one part of a path, `gh%2Facme%2Fapp`: [`take_slug_apart`].

mod forms;
mod jobs;
mod me;
mod pipelines;
mod projects;
mod workflows;

pub(super) use forms::test as test_form;
pub(super) use pipelines::read as read_pipeline;
pub(super) use workflows::{InPipeline, read as read_workflow};

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use russet_protocol::people::Permission::Read;

use crate::api::routes::Routes;
use crate::people::{Needs, Place};

/// Beginning of paths with a slug.
const SLUG_PATHS: &str = "/api/v2/project/";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v2/me", Needs::Anybody, me::get)
        .get("/api/v2/me/collaborations", Needs::Anybody, me::collaborations)
        .get("/api/v2/pipeline", (Read, Place::List), pipelines::list)
        .get("/api/v2/pipeline/{id}", (Read, Place::Pipeline), pipelines::get)
        .get("/api/v2/pipeline/{id}/workflow", (Read, Place::Pipeline), pipelines::workflows)
        .get("/api/v2/workflow/{id}", (Read, Place::Workflow), workflows::get)
        .get("/api/v2/workflow/{id}/job", (Read, Place::Workflow), workflows::jobs)
        .get("/api/v2/project/{host}/{owner}/{name}", (Read, Place::Slug), projects::get)
        .get(
            "/api/v2/project/{host}/{owner}/{name}/pipeline",
            (Read, Place::Slug),
            pipelines::of_project,
        )
        .get(
            "/api/v2/project/{host}/{owner}/{name}/pipeline/mine",
            (Read, Place::Slug),
            pipelines::own_of_project,
        )
        .get(
            "/api/v2/project/{host}/{owner}/{name}/pipeline/{number}",
            (Read, Place::Slug),
            pipelines::by_number,
        )
        .get("/api/v2/project/{host}/{owner}/{name}/job/{number}", (Read, Place::Slug), jobs::get)
        .get(
            "/api/v2/project/{host}/{owner}/{name}/{number}/artifacts",
            (Read, Place::Slug),
            jobs::artifacts,
        )
        .get(
            "/api/v2/project/{host}/{owner}/{name}/{number}/tests",
            (Read, Place::Slug),
            jobs::tests,
        )
}

/// Takes a slug apart that is written as one part of the path.
pub(crate) fn take_slug_apart(request: &mut Request) {
    if let Some(uri) = take_apart(request.uri()) {
        *request.uri_mut() = uri;
    }
}

/// Returns the URI with the slug in three parts, where it is in one.
fn take_apart(uri: &Uri) -> Option<Uri> {
    let rest = uri.path().strip_prefix(SLUG_PATHS)?;
    let (slug, rest) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if !slug.contains('%') {
        return None;
    }
    let slug = slug.replace("%2F", "/").replace("%2f", "/");
    if slug.split('/').count() != 3 {
        return None;
    }
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let path = PathAndQuery::try_from(format!("{SLUG_PATHS}{slug}{rest}{query}")).ok()?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).ok()
}

/// Requests and answers of these calls.
#[cfg(test)]
#[derive(Debug, utoipa::OpenApi)]
#[openapi(paths(
    me::get,
    me::collaborations,
    pipelines::list,
    pipelines::get,
    pipelines::workflows,
    pipelines::of_project,
    pipelines::own_of_project,
    pipelines::by_number,
    workflows::get,
    workflows::jobs,
    projects::get,
    jobs::get,
    jobs::artifacts,
    jobs::tests
))]
pub(super) struct Docs;

#[cfg(test)]
mod tests {
    use super::take_apart;

    #[test]
    fn a_slug_in_one_part_is_taken_apart_and_nothing_else() {
        let apart = |path: &str| take_apart(&path.parse().unwrap()).map(|uri| uri.to_string());
        let whole = "/api/v2/project/gh%2Facme%2Fapp/pipeline/7?x=%2F";
        assert_eq!(apart(whole).unwrap(), "/api/v2/project/gh/acme/app/pipeline/7?x=%2F");
        assert_eq!(
            apart("/api/v2/project/gh%2facme%2Fapp").unwrap(),
            "/api/v2/project/gh/acme/app"
        );
        for path in ["/api/v2/project/gh/acme/app", "/api/v2/project/gh%2Facme", "/x/gh%2Fa%2Fb"] {
            assert_eq!(apart(path), None, "{path}");
        }
    }
}
