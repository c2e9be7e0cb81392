//! What `circleci` v1 asks for in a checkout: runs, workflows and jobs in the form of CircleCI's API v3.
//!
//! Some of its paths are ours too, in another form. It says who it is, so [`lead_to_forms`] leads its
//! calls to `/api/v3/circleci/…`, and nobody else's.

mod artifacts;
mod filter;
mod forms;
mod jobs;
mod runs;
mod workflows;

use axum::extract::Request;
use axum::http::Uri;
use axum::http::header::USER_AGENT;
use axum::http::uri::PathAndQuery;
use russet_protocol::admin::Pipeline;
use russet_protocol::people::Permission::Read;

use crate::api::error::ApiError;
use crate::api::reach::Access;
use crate::api::routes::Routes;
use crate::people::Place;

/// Name with which CircleCI's command line says who it is.
const COMMAND_LINE: &str = "circleci-cli";

/// Beginning of paths that its calls are led to.
const FORMS: &str = "/api/v3/circleci";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v3/runs", (Read, Place::List), runs::own)
        .post("/api/v3/runs/search", (Read, Place::List), runs::search)
        .only_reads()
        .get("/api/v3/runs/{id}", (Read, Place::Pipeline), runs::get)
        .get("/api/v3/circleci/workflows", (Read, Place::List), workflows::of_run)
        .get("/api/v3/circleci/workflows/{id}", (Read, Place::Workflow), workflows::get)
        .get("/api/v3/circleci/jobs", (Read, Place::List), jobs::of_workflow)
        .get("/api/v3/circleci/jobs/{id}", (Read, Place::Job), jobs::get)
        .get("/api/v3/circleci/jobs/{id}/artifacts", (Read, Place::Job), artifacts::list)
        .get("/api/v3/circleci/jobs/{id}/tests", (Read, Place::Job), jobs::tests)
}

/// Leads a call of CircleCI's command line to the form that it reads.
pub(crate) fn lead_to_forms(request: &mut Request) {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    if agent.is_some_and(|agent| agent.starts_with(COMMAND_LINE))
        && let Some(uri) = form_of(request.uri())
    {
        *request.uri_mut() = uri;
    }
}

/// Returns what was found of a pipeline, if the caller may see that. One that is hidden cannot be told from
/// one that is not there.
fn visible<T>(
    found: Result<(Pipeline, T), ApiError>,
    access: &Access,
) -> Result<(Pipeline, T), ApiError> {
    let reach = access.reach();
    match found {
        Ok((pipeline, other)) if reach.covers_name(&pipeline.project) => Ok((pipeline, other)),
        Ok(_) | Err(ApiError::NotFound(_)) => Err(access.hidden()),
        Err(error) => Err(error),
    }
}

fn form_of(uri: &Uri) -> Option<Uri> {
    let rest = uri.path().strip_prefix("/api/v3")?;
    let parts: Vec<&str> = rest.split('/').collect();
    let has_form = match parts.as_slice() {
        ["", "workflows" | "jobs"] | ["", "workflows" | "jobs", _] => true,
        ["", "jobs", _, last] => ["artifacts", "tests"].contains(last),
        _ => false,
    };
    if !has_form {
        return None;
    }
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{FORMS}{rest}{query}")).ok()?);
    Uri::from_parts(parts).ok()
}

/// Requests and answers of these calls.
#[cfg(test)]
#[derive(Debug, utoipa::OpenApi)]
#[openapi(paths(
    runs::own,
    runs::search,
    runs::get,
    workflows::of_run,
    workflows::get,
    jobs::of_workflow,
    jobs::get,
    jobs::tests,
    artifacts::list
))]
pub(super) struct Docs;

#[cfg(test)]
mod tests {
    use super::form_of;

    #[test]
    fn what_has_another_form_is_led_to_it_and_nothing_else() {
        let form = |path: &str| form_of(&path.parse().unwrap()).map(|uri| uri.to_string());
        let list = "/api/v3/jobs?filter%5Bworkflow_id%5D=x";
        assert_eq!(form(list).unwrap(), "/api/v3/circleci/jobs?filter%5Bworkflow_id%5D=x");
        assert_eq!(form("/api/v3/jobs/1/tests").unwrap(), "/api/v3/circleci/jobs/1/tests");
        assert_eq!(form("/api/v3/workflows/1").unwrap(), "/api/v3/circleci/workflows/1");
        for path in ["/api/v3/jobs/1/stdout", "/api/v3/runner", "/api/v3/jobs/1/artifacts/a"] {
            assert_eq!(form(path), None, "{path}");
        }
    }
}
