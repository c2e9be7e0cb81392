//! Calls of people and their tools. All need the admin token.

mod alerts;
mod artifacts;
mod cancel;
mod contexts;
mod jobs;
mod keeping;
mod machines;
mod metrics;
mod orbs;
mod people;
mod pins;
mod pipelines;
mod reruns;
pub(in crate::api) mod resources;
pub(in crate::api) mod runners;
mod sources;
mod ssh_keys;
mod stdout;
mod stream;
pub(in crate::api) mod submit;
mod timestamps;
pub(in crate::api) mod tokens;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{delete, get, post, put};

use super::bearer::admin_only;
use crate::state::App;

/// The routes of people. Resource classes, tokens and runners have CircleCI's paths.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/v3/runner", get(runners::list))
        .route("/api/v3/runner/pause", post(machines::pause))
        .route("/api/v3/runner/resume", post(machines::resume))
        .route("/api/v3/runner/rename", post(machines::rename))
        .route("/api/v3/runner/remove", post(machines::remove))
        .route("/api/v3/runner/tasks", get(runners::count_unclaimed))
        .route("/api/v3/runner/tasks/running", get(runners::count_running))
        .route("/api/v3/runner/resource", get(resources::list).post(resources::create))
        .route("/api/v3/runner/resource/{id}", delete(resources::remove))
        .route("/api/v3/runner/resource/{id}/force", delete(resources::remove_with_tokens))
        .route("/api/v3/runner/resource/{id}/pin", put(pins::put).delete(pins::remove))
        .route("/api/v3/class-aliases", get(resources::aliases))
        .route("/api/v3/runner/token", get(tokens::list).post(tokens::create))
        .route("/api/v3/runner/token/{id}", delete(tokens::revoke))
        .route("/api/v3/contexts", get(contexts::list))
        .route("/api/v3/contexts/{name}", put(contexts::put).delete(contexts::remove))
        .route("/api/v3/contexts/{name}/env", get(contexts::list_of_context))
        .route(
            "/api/v3/contexts/{name}/env/{variable}",
            put(contexts::set_of_context).delete(contexts::unset_of_context),
        )
        .route("/api/v3/projects/{project}/env", get(contexts::list_of_project))
        .route(
            "/api/v3/projects/{project}/env/{variable}",
            put(contexts::set_of_project).delete(contexts::unset_of_project),
        )
        .route("/api/v3/orbs", get(orbs::list))
        .route(
            "/api/v3/orbs/{namespace}/{name}/{version}",
            get(orbs::get).put(orbs::put).delete(orbs::remove),
        )
        .route("/api/v3/projects/{project}/ssh-keys", get(ssh_keys::list).post(ssh_keys::add))
        .route("/api/v3/projects/{project}/ssh-keys/{fingerprint}", delete(ssh_keys::remove))
        .route("/api/v3/metrics", get(metrics::get))
        .route("/api/v3/alerts", get(alerts::list))
        .route("/api/v3/alert-targets", get(alerts::list_targets).post(alerts::add_target))
        .route("/api/v3/alert-targets/{name}", delete(alerts::remove_target))
        .route("/api/v3/alert-targets/{name}/test", post(alerts::test_target))
        .route("/api/v3/sources/{id}", put(sources::put))
        .route("/api/v3/sources/{id}/chunks", post(sources::put_source_chunks))
        .route("/api/v3/chunks", put(sources::put_chunks))
        .route("/api/v3/usage", get(keeping::get_usage))
        .route("/api/v3/retention", get(keeping::get_retention).put(keeping::put_retention))
        .route("/api/v3/projects/{project}", delete(keeping::remove_project))
        .route("/api/v3/projects/{project}/retention", put(keeping::put_project_retention))
        .route(
            "/api/v3/pipelines/{id}/pin",
            put(keeping::pin_pipeline).delete(keeping::unpin_pipeline),
        )
        .route("/api/v3/pipelines", get(pipelines::list).post(submit::submit))
        .route("/api/v3/pipelines/{id}", get(pipelines::get).delete(keeping::remove_pipeline))
        .route("/api/v3/pipelines/{id}/cancel", post(cancel::cancel_pipeline_call))
        .route("/api/v3/pipelines/{id}/rerun", post(reruns::pipeline))
        .route("/api/v3/workflows/{id}", get(reruns::get))
        .route("/api/v3/workflows/{id}/rerun", post(reruns::workflow))
        .route("/api/v3/jobs/{id}/rerun", post(reruns::job))
        .route("/api/v3/pipelines/{id}/stream", get(stream::stream))
        .route("/api/v3/jobs/{id}", get(jobs::get))
        .route("/api/v3/jobs/{id}/cancel", post(cancel::cancel_job_call))
        .route("/api/v3/jobs/{id}/approve", post(cancel::approve_job))
        .route("/api/v3/jobs/{id}/deny", post(cancel::deny_job))
        .route("/api/v3/jobs/{id}/tests", get(jobs::list_tests))
        .route("/api/v3/jobs/{id}/stdout", get(stdout::stdout))
        .route("/api/v3/jobs/{id}/artifacts", get(artifacts::list))
        .route(
            "/api/v3/jobs/{id}/artifacts/{*path}",
            get(artifacts::download).delete(artifacts::remove),
        )
        .route_layer(from_fn(admin_only))
}

/// Types that these calls take and answer.
#[cfg(test)]
#[derive(Debug, utoipa::OpenApi)]
#[openapi(paths(
    runners::list,
    runners::count_unclaimed,
    runners::count_running,
    machines::pause,
    machines::resume,
    machines::rename,
    machines::remove,
    resources::list,
    resources::create,
    resources::remove,
    resources::remove_with_tokens,
    resources::aliases,
    pins::put,
    pins::remove,
    tokens::list,
    tokens::create,
    tokens::revoke,
    contexts::list,
    contexts::put,
    contexts::remove,
    contexts::list_of_context,
    contexts::set_of_context,
    contexts::unset_of_context,
    contexts::list_of_project,
    contexts::set_of_project,
    contexts::unset_of_project,
    ssh_keys::list,
    ssh_keys::add,
    ssh_keys::remove,
    metrics::get,
    alerts::list,
    alerts::list_targets,
    alerts::add_target,
    alerts::remove_target,
    alerts::test_target,
    orbs::list,
    orbs::get,
    orbs::put,
    orbs::remove,
    sources::put,
    sources::put_source_chunks,
    sources::put_chunks,
    keeping::get_usage,
    keeping::get_retention,
    keeping::put_retention,
    keeping::put_project_retention,
    keeping::pin_pipeline,
    keeping::unpin_pipeline,
    keeping::remove_pipeline,
    keeping::remove_project,
    pipelines::list,
    submit::submit,
    pipelines::get,
    cancel::cancel_pipeline_call,
    reruns::pipeline,
    reruns::get,
    reruns::workflow,
    reruns::job,
    stream::stream,
    jobs::get,
    cancel::cancel_job_call,
    cancel::approve_job,
    cancel::deny_job,
    jobs::list_tests,
    stdout::stdout,
    artifacts::list,
    artifacts::download,
    artifacts::remove
))]
pub(super) struct Docs;
