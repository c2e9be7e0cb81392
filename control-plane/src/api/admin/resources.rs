//! `/api/v3/runner/resource`: resource classes.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::admin::{ClassAlias, ClassSsh, Items, NewResourceClass, ResourceClassItem};
use russet_protocol::ids::ResourceClassId;
use russet_protocol::resource_class::ResourceClass;
use serde::Deserialize;

use super::claims::claim_on_first_use;
use super::people::By;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::{Path, Query};
use crate::api::reach::Access;
use crate::audit;
use crate::state::App;
use crate::store::runners::expired_ms;
use crate::store::{WriteTx, classes, loads, tokens};

#[derive(Debug, Deserialize)]
pub(in crate::api) struct Filter {
    namespace: Option<String>,
    /// CircleCI's other filter. There is one organization here.
    #[serde(rename = "org-id")]
    org_id: Option<String>,
}

/// Lists resource classes, with their running tasks and their runners.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/runner/resource", tag = "admin", operation_id = "list_resources",
    params(("namespace" = Option<String>, Query, description = "Of this namespace"), ("org-id" = Option<String>, Query, description = "Of this organization; there is one")),
    responses((status = 200, description = "The classes", body = russet_protocol::admin::Items<russet_protocol::admin::ResourceClassItem>), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(in crate::api) async fn list(
    State(app): State<App>,
    access: Access,
    Query(filter): Query<Filter>,
) -> Result<JsonAnswer<Items<ResourceClassItem>>, ApiError> {
    if filter.namespace.is_none() && filter.org_id.is_none() {
        let message = "the query needs one of `namespace` and `org-id`; there is one organization";
        return Err(ApiError::Bad(message.to_owned()));
    }
    // As on CircleCI, the organization wins over its namespace.
    let namespace = filter.namespace.filter(|_| filter.org_id.is_none());
    let mut conn = app.store.read().await?;
    let mut items = classes::list(&mut conn, namespace.as_deref()).await?;
    let reach = access.reach();
    items.retain(|item| reach.covers(Some(item.resource_class.namespace())));
    let loads = loads::of_classes(&mut conn, expired_ms(app.clock.wall_ms())).await?;
    for item in &mut items {
        let load = loads.get(item.resource_class.as_str()).copied().unwrap_or_default();
        (item.active_tasks, item.runners) = (Some(load.active_tasks), Some(load.runners));
    }
    Ok(JsonAnswer(Items { items }))
}

/// Makes a resource class.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/runner/resource", tag = "admin", operation_id = "create_resources",
    request_body = russet_protocol::admin::NewResourceClass,
    responses((status = 201, description = "The class", body = russet_protocol::admin::ResourceClassItem), (status = 409, description = "There is one already", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(in crate::api) async fn create(
    State(app): State<App>,
    access: Access,
    By(by): By,
    Json(new): Json<NewResourceClass, SMALL>,
) -> Result<(StatusCode, JsonAnswer<ResourceClassItem>), ApiError> {
    access.check_name(new.resource_class.as_str(), |_| access.hidden())?;
    let mut tx = app.store.write().await?;
    claim_on_first_use(&app, &mut tx, new.resource_class.as_str(), &by).await?;
    if classes::exists(&mut tx, &new.resource_class).await? {
        return Err(ApiError::Conflict(format!(
            "there is a resource class `{}` already",
            new.resource_class
        )));
    }
    let item = ResourceClassItem {
        id: ResourceClassId::generate(),
        resource_class: new.resource_class,
        description: new.description,
        allow_forks: new.allow_forks,
        ssh: new.ssh,
        pin: None,
        active_tasks: None,
        runners: None,
    };
    audit::note_after(&item);
    classes::insert(&mut tx, &item).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, JsonAnswer(item)))
}

pub(in crate::api) async fn find(
    tx: &mut WriteTx,
    id: &ResourceClassId,
) -> Result<ResourceClassItem, ApiError> {
    classes::get(tx, id)
        .await?
        .ok_or_else(|| ApiError::NotFound("there is no such resource class".to_owned()))
}

/// Says whether people reach the tasks of a class by SSH. What is held already is held further.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/runner/resource/{id}/ssh", tag = "admin", operation_id = "put_class_ssh",
    params(("id" = String, Path, description = "The class")),
    request_body = russet_protocol::admin::ClassSsh,
    responses((status = 200, description = "The class", body = russet_protocol::admin::ResourceClassItem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(in crate::api) async fn put_ssh(
    State(app): State<App>,
    Path(id): Path<ResourceClassId>,
    Json(ssh): Json<ClassSsh, SMALL>,
) -> Result<JsonAnswer<ResourceClassItem>, ApiError> {
    let mut tx = app.store.write().await?;
    let before = find(&mut tx, &id).await?;
    audit::note_before(&before);
    let item = ResourceClassItem { ssh, ..before };
    audit::note_after(&item);
    classes::set_ssh(&mut tx, &id, ssh).await?;
    tx.commit().await?;
    Ok(JsonAnswer(item))
}

/// Deletes a class that has no tokens.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/runner/resource/{id}", tag = "admin", operation_id = "remove_resources",
    params(("id" = String, Path, description = "The class")),
    responses((status = 204, description = "Deleted"), (status = 409, description = "It has tokens", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(in crate::api) async fn remove(
    State(app): State<App>,
    Path(id): Path<ResourceClassId>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let item = find(&mut tx, &id).await?;
    if !tokens::list(&mut tx, &item.resource_class).await?.is_empty() {
        return Err(ApiError::Conflict(format!(
            "`{}` has tokens; revoke them first, or delete it with /force",
            item.resource_class
        )));
    }
    audit::note_before(&item);
    classes::delete(&mut tx, &item).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a class after its tokens. What is queued for it waits until there is one of this name.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/runner/resource/{id}/force", tag = "admin", operation_id = "remove_with_tokens_resources",
    params(("id" = String, Path, description = "The class")),
    responses((status = 204, description = "Deleted, with its tokens"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(in crate::api) async fn remove_with_tokens(
    State(app): State<App>,
    Path(id): Path<ResourceClassId>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let item = find(&mut tx, &id).await?;
    audit::note_before(&item);
    tokens::delete_of(&mut tx, &item.resource_class).await?;
    classes::delete(&mut tx, &item).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Other names of machines that stand for resource classes.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/class-aliases", tag = "admin", operation_id = "list_class_aliases",
    responses((status = 200, description = "All of them by name", body = russet_protocol::admin::Items<russet_protocol::admin::ClassAlias>)),
    security(("admin_token" = []))
))]
pub(super) async fn aliases(
    State(app): State<App>,
    access: Access,
) -> JsonAnswer<Items<ClassAlias>> {
    let reach = access.reach();
    let is_within = |(_, class): &(&String, &ResourceClass)| reach.covers(Some(class.namespace()));
    let alias = |(name, class): (&String, &ResourceClass)| ClassAlias {
        name: name.clone(),
        resource_class: class.clone(),
    };
    JsonAnswer(Items { items: app.class_aliases.iter().filter(is_within).map(alias).collect() })
}
