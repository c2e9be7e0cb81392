//! `/api/v3/runner`: who claims, and how much there is to claim.

use axum::Json;
use axum::extract::State;
use russet_protocol::admin::{Items, RunnerItem, RunningTasks, UnclaimedTasks};
use russet_protocol::resource_class::ResourceClass;
use serde::Deserialize;

use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::api::reach::Access;
use crate::runner_items::visible_runners;
use crate::state::App;
use crate::store::{Conn, classes, tasks};

#[derive(Debug, Deserialize)]
pub(in crate::api) struct Filter {
    #[serde(rename = "resource-class")]
    resource_class: Option<ResourceClass>,
    namespace: Option<String>,
    /// There is one organization here: whatever it is called, all runners are of it.
    #[serde(rename = "org-id")]
    org_id: Option<String>,
}

/// Lists runners, each with its state, the tasks that it holds and what its machine says of itself.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/runner", tag = "admin", operation_id = "list_runners",
    params(("resource-class" = Option<String>, Query, description = "Of this class"), ("namespace" = Option<String>, Query, description = "Of this namespace"), ("org-id" = Option<String>, Query, description = "Of this organization; there is one")),
    responses((status = 200, description = "The runners", body = russet_protocol::admin::Items<russet_protocol::admin::RunnerItem>), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(in crate::api) async fn list(
    State(app): State<App>,
    access: Access,
    Query(filter): Query<Filter>,
) -> Result<Json<Items<RunnerItem>>, ApiError> {
    if filter.resource_class.is_none() && filter.namespace.is_none() && filter.org_id.is_none() {
        return Err(ApiError::Bad(
            "the query needs one of `resource-class`, `namespace` and `org-id`".to_owned(),
        ));
    }
    let mut conn = app.store.read().await?;
    let mut items = visible_runners(&app, &mut conn, &access.reach()).await?;
    // As on CircleCI, the organization wins over its namespace.
    let namespace = filter.namespace.filter(|_| filter.org_id.is_none());
    items.retain(|item| {
        filter.resource_class.as_ref().is_none_or(|class| *class == item.resource_class)
            && namespace.as_ref().is_none_or(|name| name == item.resource_class.namespace())
    });
    Ok(Json(Items { items }))
}

/// Returns how many tasks of a class wait and run. A class that is not there has no zero: whoever
/// scales machines by it has misspelled its name.
async fn counts(conn: &mut Conn, class: &ResourceClass) -> Result<(u64, u64), ApiError> {
    if !classes::exists(conn, class).await? {
        return Err(ApiError::NotFound(format!("resource class not found: `{class}`")));
    }
    Ok(tasks::counts(conn, class).await?)
}

#[derive(Debug, Deserialize)]
pub(in crate::api) struct OfClass {
    #[serde(rename = "resource-class")]
    resource_class: ResourceClass,
}

/// Counts the tasks of a class that wait.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/runner/tasks", tag = "admin", operation_id = "unclaimed_runners",
    params(("resource-class" = String, Query, description = "The class")),
    responses((status = 200, description = "How many tasks wait", body = russet_protocol::admin::UnclaimedTasks), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(in crate::api) async fn count_unclaimed(
    State(app): State<App>,
    Query(of): Query<OfClass>,
) -> Result<Json<UnclaimedTasks>, ApiError> {
    let mut conn = app.store.read().await?;
    let (unclaimed_task_count, _) = counts(&mut conn, &of.resource_class).await?;
    Ok(Json(UnclaimedTasks { unclaimed_task_count }))
}

/// Counts the tasks of a class that run.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/runner/tasks/running", tag = "admin", operation_id = "running_runners",
    params(("resource-class" = String, Query, description = "The class")),
    responses((status = 200, description = "How many tasks run", body = russet_protocol::admin::RunningTasks), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(in crate::api) async fn count_running(
    State(app): State<App>,
    Query(of): Query<OfClass>,
) -> Result<Json<RunningTasks>, ApiError> {
    let mut conn = app.store.read().await?;
    let (_, running_runner_tasks) = counts(&mut conn, &of.resource_class).await?;
    Ok(Json(RunningTasks { running_runner_tasks }))
}
