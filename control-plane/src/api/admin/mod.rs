//! Calls of people and their tools. All need the admin token, or the token or session of somebody
//! whose role has the permission that stands beside the route.

mod alerts;
mod artifacts;
mod audit;
mod cancel;
pub(in crate::api) mod claims;
mod contexts;
mod device_logins;
mod jobs;
mod keeping;
mod limits;
mod links;
mod lists;
mod machines;
mod namespaces;
mod notifications;
mod orbs;
pub(in crate::api) mod people;
mod personal_keys;
mod personal_tokens;
mod pins;
mod pipelines;
mod project_settings;
mod reruns;
pub(in crate::api) mod resources;
pub(in crate::api) mod runners;
mod schedules;
mod sessions;
mod sources;
mod ssh;
mod ssh_keys;
mod ssh_tunnel;
mod stdout;
mod stream;
pub(in crate::api) mod submit;
mod timestamps;
pub(in crate::api) mod tokens;
mod users;

use russet_protocol::people::Permission::{Admin, Operate, Read, Submit};

use super::routes::Routes;
use crate::people::{Needs, Place};

/// The routes of people. Resource classes, tokens and runners have CircleCI's paths.
pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v3/runner", (Read, Place::List), runners::list)
        .post("/api/v3/runner/pause", (Operate, Place::Body), machines::pause)
        .post("/api/v3/runner/resume", (Operate, Place::Body), machines::resume)
        .post("/api/v3/runner/rename", (Operate, Place::Body), machines::rename)
        .post("/api/v3/runner/remove", (Operate, Place::Body), machines::remove)
        .get("/api/v3/runner/tasks", (Read, Place::QueriedClass), runners::count_unclaimed)
        .get("/api/v3/runner/tasks/running", (Read, Place::QueriedClass), runners::count_running)
        .get("/api/v3/runner/resource", (Read, Place::List), resources::list)
        .post("/api/v3/runner/resource", (Operate, Place::Body), resources::create)
        .delete("/api/v3/runner/resource/{id}", (Operate, Place::Class), resources::remove)
        .delete(
            "/api/v3/runner/resource/{id}/force",
            (Operate, Place::Class),
            resources::remove_with_tokens,
        )
        .put("/api/v3/runner/resource/{id}/pin", (Operate, Place::Class), pins::put)
        .delete("/api/v3/runner/resource/{id}/pin", (Operate, Place::Class), pins::remove)
        .put("/api/v3/runner/resource/{id}/ssh", (Operate, Place::Class), resources::put_ssh)
        .get("/api/v3/class-aliases", (Read, Place::List), resources::aliases)
        .get("/api/v3/runner/token", (Operate, Place::QueriedClass), tokens::list)
        .post("/api/v3/runner/token", (Operate, Place::Body), tokens::create)
        .delete("/api/v3/runner/token/{id}", (Operate, Place::ClassToken), tokens::revoke)
        .get("/api/v3/contexts", (Read, Place::List), contexts::list)
        .put("/api/v3/contexts/{name}", (Operate, Place::Context), contexts::put)
        .delete("/api/v3/contexts/{name}", (Operate, Place::Context), contexts::remove)
        .get("/api/v3/contexts/{name}/env", (Read, Place::Context), contexts::list_of_context)
        .put(
            "/api/v3/contexts/{name}/env/{variable}",
            (Operate, Place::Context),
            contexts::set_of_context,
        )
        .delete(
            "/api/v3/contexts/{name}/env/{variable}",
            (Operate, Place::Context),
            contexts::unset_of_context,
        )
        .get("/api/v3/projects/{project}/env", (Read, Place::Project), contexts::list_of_project)
        .put(
            "/api/v3/projects/{project}/env/{variable}",
            (Operate, Place::Project),
            contexts::set_of_project,
        )
        .delete(
            "/api/v3/projects/{project}/env/{variable}",
            (Operate, Place::Project),
            contexts::unset_of_project,
        )
        .get("/api/v3/orbs", Needs::Anywhere(Read), orbs::list)
        .get("/api/v3/orbs/{namespace}/{name}/{version}", Needs::Anywhere(Read), orbs::get)
        .put("/api/v3/orbs/{namespace}/{name}/{version}", (Operate, Place::Namespace), orbs::put)
        .delete(
            "/api/v3/orbs/{namespace}/{name}/{version}",
            (Operate, Place::Namespace),
            orbs::remove,
        )
        .get("/api/v3/projects/{project}/ssh-keys", (Read, Place::Project), ssh_keys::list)
        .post("/api/v3/projects/{project}/ssh-keys", (Operate, Place::Project), ssh_keys::add)
        .delete(
            "/api/v3/projects/{project}/ssh-keys/{fingerprint}",
            (Operate, Place::Project),
            ssh_keys::remove,
        )
        .get("/api/v3/alerts", Read, alerts::list)
        .get("/api/v3/alert-targets", Operate, alerts::list_targets)
        .post("/api/v3/alert-targets", Operate, alerts::add_target)
        .delete("/api/v3/alert-targets/{name}", Operate, alerts::remove_target)
        .post("/api/v3/alert-targets/{name}/test", Operate, alerts::test_target)
        .get(
            "/api/v3/projects/{project}/notifications",
            (Operate, Place::Project),
            notifications::list,
        )
        .post(
            "/api/v3/projects/{project}/notifications",
            (Operate, Place::Project),
            notifications::add,
        )
        .delete(
            "/api/v3/projects/{project}/notifications/{name}",
            (Operate, Place::Project),
            notifications::remove,
        )
        .post(
            "/api/v3/projects/{project}/notifications/{name}/test",
            (Operate, Place::Project),
            notifications::test,
        )
        .get("/api/v3/projects/{project}/settings", (Read, Place::Project), project_settings::get)
        .put(
            "/api/v3/projects/{project}/settings",
            (Operate, Place::Project),
            project_settings::put,
        )
        .get("/api/v3/projects/{project}/schedules", (Read, Place::Project), schedules::list)
        .post("/api/v3/projects/{project}/schedules", (Operate, Place::Project), schedules::add)
        .get("/api/v3/projects/{project}/schedules/{name}", (Read, Place::Project), schedules::get)
        .delete(
            "/api/v3/projects/{project}/schedules/{name}",
            (Operate, Place::Project),
            schedules::remove,
        )
        .post(
            "/api/v3/projects/{project}/schedules/{name}/pause",
            (Operate, Place::Project),
            schedules::pause,
        )
        .post(
            "/api/v3/projects/{project}/schedules/{name}/resume",
            (Operate, Place::Project),
            schedules::resume,
        )
        .get("/api/v3/limits", (Read, Place::List), limits::list)
        .put("/api/v3/limits/{scope}/{name}", Operate, limits::put)
        .delete("/api/v3/limits/{scope}/{name}", Operate, limits::remove)
        .put("/api/v3/sources/{id}", Needs::Anywhere(Submit), sources::put)
        .post("/api/v3/sources/{id}/chunks", Needs::Anywhere(Submit), sources::put_source_chunks)
        .put("/api/v3/chunks", Needs::Anywhere(Submit), sources::put_chunks)
        .get("/api/v3/usage", Read, keeping::get_usage)
        .get("/api/v3/retention", Read, keeping::get_retention)
        .put("/api/v3/retention", Admin, keeping::put_retention)
        .delete("/api/v3/projects/{project}", (Admin, Place::Project), keeping::remove_project)
        .put(
            "/api/v3/projects/{project}/retention",
            (Admin, Place::Project),
            keeping::put_project_retention,
        )
        .put("/api/v3/pipelines/{id}/pin", (Submit, Place::Pipeline), keeping::pin_pipeline)
        .delete("/api/v3/pipelines/{id}/pin", (Submit, Place::Pipeline), keeping::unpin_pipeline)
        .get("/api/v3/pipelines", (Read, Place::List), pipelines::list)
        .post("/api/v3/pipelines", (Submit, Place::Body), submit::submit)
        .get("/api/v3/pipelines/{id}", (Read, Place::Pipeline), pipelines::get)
        .delete("/api/v3/pipelines/{id}", (Operate, Place::Pipeline), keeping::remove_pipeline)
        .post(
            "/api/v3/pipelines/{id}/cancel",
            (Submit, Place::Pipeline),
            cancel::cancel_pipeline_call,
        )
        .post("/api/v3/pipelines/{id}/rerun", (Submit, Place::Pipeline), reruns::pipeline)
        .get("/api/v3/workflows", (Read, Place::List), lists::workflows)
        .get("/api/v3/workflows/{id}", (Read, Place::Workflow), reruns::get)
        .post("/api/v3/workflows/{id}/rerun", (Submit, Place::Workflow), reruns::workflow)
        .post("/api/v3/jobs/{id}/rerun", (Submit, Place::Job), reruns::job)
        .get("/api/v3/pipelines/{id}/stream", (Read, Place::Pipeline), stream::stream)
        .get("/api/v3/jobs", (Read, Place::List), lists::jobs)
        .get("/api/v3/jobs/{id}", (Read, Place::Job), jobs::get)
        .post("/api/v3/jobs/{id}/cancel", (Submit, Place::Job), cancel::cancel_job_call)
        .post("/api/v3/jobs/{id}/approve", (Submit, Place::Job), cancel::approve_job)
        .post("/api/v3/jobs/{id}/deny", (Submit, Place::Job), cancel::deny_job)
        .get("/api/v3/jobs/{id}/ssh", (Read, Place::Job), ssh::get)
        .post("/api/v3/jobs/{id}/ssh/rerun", (Submit, Place::Job), reruns::job_with_ssh)
        .post("/api/v3/jobs/{id}/ssh/extend", (Submit, Place::Job), ssh::extend)
        .post("/api/v3/jobs/{id}/ssh/end", (Submit, Place::Job), ssh::end)
        .get("/api/v3/jobs/{id}/ssh/tunnel", (Submit, Place::Job), ssh_tunnel::open)
        .get("/api/v3/jobs/{id}/tests", (Read, Place::Job), jobs::list_tests)
        .get("/api/v3/jobs/{id}/stdout", (Read, Place::Job), stdout::stdout)
        .get("/api/v3/namespaces", (Read, Place::List), namespaces::list)
        .post("/api/v3/namespaces", Operate, namespaces::create)
        .get("/api/v3/namespaces/{namespace}", (Read, Place::Namespace), namespaces::get)
        .put(
            "/api/v3/namespaces/{namespace}/owner",
            (Admin, Place::Namespace),
            namespaces::set_owner,
        )
        .post("/api/v3/device-logins", Needs::Nothing, device_logins::begin)
        .post("/api/v3/device-logins/token", Needs::Nothing, device_logins::fetch)
        .get("/api/v3/me", Needs::Anybody, users::get_me)
        .get("/api/v3/me/ssh-keys", Needs::Account, personal_keys::list_own)
        .post("/api/v3/me/ssh-keys", Needs::Account, personal_keys::add_own)
        .delete("/api/v3/me/ssh-keys/{id}", Needs::Account, personal_keys::remove_own)
        .get("/api/v3/me/tokens", Needs::Account, personal_tokens::list_own)
        .post("/api/v3/me/tokens", Needs::Account, personal_tokens::create_own)
        .delete("/api/v3/me/tokens/{id}", Needs::Account, personal_tokens::revoke_own)
        .get("/api/v3/users", Admin, users::list)
        .post("/api/v3/users", Admin, users::add)
        .get("/api/v3/users/{name}", Admin, users::get)
        .delete("/api/v3/users/{name}", Admin, users::remove)
        .put("/api/v3/users/{name}/role", Admin, users::set_role)
        .post("/api/v3/users/{name}/link", Admin, links::create_user_link)
        .delete("/api/v3/users/{name}/sessions", Admin, users::end_sessions)
        .get("/api/v3/users/{name}/sessions", Admin, sessions::list)
        .delete("/api/v3/users/{name}/sessions/{id}", Admin, sessions::end)
        .get("/api/v3/me/sessions", Needs::Account, sessions::list_own)
        .delete("/api/v3/me/sessions", Needs::Account, sessions::end_all_own)
        .delete("/api/v3/me/sessions/{id}", Needs::Account, sessions::end_own)
        .put("/api/v3/me/password", Needs::Account, sessions::change_own_password)
        .post("/api/v3/admin-links", Needs::Owner, links::create_admin_link)
        .get("/api/v3/audit", (Admin, Place::List), audit::list)
        .get("/api/v3/users/{name}/tokens", Admin, personal_tokens::list)
        .post("/api/v3/users/{name}/tokens", Admin, personal_tokens::create)
        .delete("/api/v3/users/{name}/tokens/{id}", Admin, personal_tokens::revoke)
        .get("/api/v3/jobs/{id}/artifacts", (Read, Place::Job), artifacts::list)
        .get("/api/v3/jobs/{id}/artifacts/{*path}", (Read, Place::Job), artifacts::download)
        .delete("/api/v3/jobs/{id}/artifacts/{*path}", (Operate, Place::Job), artifacts::remove)
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
    resources::put_ssh,
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
    alerts::list,
    alerts::list_targets,
    alerts::add_target,
    alerts::remove_target,
    alerts::test_target,
    schedules::list,
    schedules::get,
    schedules::add,
    schedules::remove,
    schedules::pause,
    schedules::resume,
    project_settings::get,
    project_settings::put,
    notifications::list,
    notifications::add,
    notifications::remove,
    notifications::test,
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
    reruns::job_with_ssh,
    stream::stream,
    lists::jobs,
    lists::workflows,
    jobs::get,
    cancel::cancel_job_call,
    cancel::approve_job,
    cancel::deny_job,
    jobs::list_tests,
    stdout::stdout,
    artifacts::list,
    artifacts::download,
    artifacts::remove,
    namespaces::list,
    namespaces::create,
    namespaces::get,
    namespaces::set_owner,
    device_logins::begin,
    device_logins::fetch,
    users::get_me,
    users::list,
    users::add,
    users::get,
    users::remove,
    users::set_role,
    users::end_sessions,
    sessions::list,
    sessions::end,
    sessions::list_own,
    sessions::end_all_own,
    sessions::end_own,
    sessions::change_own_password,
    limits::list,
    limits::put,
    limits::remove,
    links::create_user_link,
    links::create_admin_link,
    audit::list,
    personal_keys::list_own,
    personal_keys::add_own,
    personal_keys::remove_own,
    ssh::get,
    ssh::extend,
    ssh::end,
    ssh_tunnel::open,
    personal_tokens::list_own,
    personal_tokens::create_own,
    personal_tokens::revoke_own,
    personal_tokens::list,
    personal_tokens::create,
    personal_tokens::revoke
))]
pub(super) struct Docs;
