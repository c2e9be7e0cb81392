//! `/api/v3/runner`: who claims, and how much there is to claim.

use axum::Json;
use axum::extract::State;
use russet_protocol::admin::{Items, RunnerItem, RunningTasks, UnclaimedTasks};
use russet_protocol::resource_class::ResourceClass;
use serde::Deserialize;

use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::state::App;
use crate::store::{runners, tasks};

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    #[serde(rename = "resource-class")]
    resource_class: Option<ResourceClass>,
    namespace: Option<String>,
    /// There is one organization here: whatever it is called, all runners are of it.
    #[serde(rename = "org-id")]
    org_id: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    Query(filter): Query<Filter>,
) -> Result<Json<Items<RunnerItem>>, ApiError> {
    if filter.resource_class.is_none() && filter.namespace.is_none() && filter.org_id.is_none() {
        return Err(ApiError::Bad(
            "one of resource-class, namespace and org-id is needed".to_owned(),
        ));
    }
    let mut conn = app.store.read().await?;
    let mut items = runners::list(&mut conn).await?;
    items.retain(|item| {
        filter.resource_class.as_ref().is_none_or(|class| *class == item.resource_class)
            && filter
                .namespace
                .as_ref()
                .is_none_or(|namespace| namespace == item.resource_class.namespace())
    });
    Ok(Json(Items { items }))
}

#[derive(Debug, Deserialize)]
pub(super) struct OfClass {
    #[serde(rename = "resource-class")]
    resource_class: ResourceClass,
}

pub(super) async fn unclaimed(
    State(app): State<App>,
    Query(of): Query<OfClass>,
) -> Result<Json<UnclaimedTasks>, ApiError> {
    let mut conn = app.store.read().await?;
    let (unclaimed_task_count, _) = tasks::counts(&mut conn, &of.resource_class).await?;
    Ok(Json(UnclaimedTasks { unclaimed_task_count }))
}

pub(super) async fn running(
    State(app): State<App>,
    Query(of): Query<OfClass>,
) -> Result<Json<RunningTasks>, ApiError> {
    let mut conn = app.store.read().await?;
    let (_, running_runner_tasks) = tasks::counts(&mut conn, &of.resource_class).await?;
    Ok(Json(RunningTasks { running_runner_tasks }))
}
