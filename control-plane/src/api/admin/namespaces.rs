//! `/api/v3/namespaces`: which are claimed, and by whom.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::admin::Items;
use russet_protocol::namespaces::{NamespaceItem, NamespaceOwner, NewNamespace, SetNamespaceOwner};
use russet_protocol::people::Role;

use super::claims::check_namespace;
use super::people::{By, check_person};
use super::users::find_user;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::api::reach::Access;
use crate::audit;
use crate::state::App;
use crate::store::{WriteTx, namespaces, users};

fn no_such_namespace(name: &str) -> ApiError {
    ApiError::NotFound(format!("there is no namespace `{name}`"))
}

/// Lists the namespaces that the caller may see, by name.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/namespaces", tag = "people", operation_id = "list_namespaces",
    responses((status = 200, description = "The namespaces", body = russet_protocol::admin::Items<russet_protocol::namespaces::NamespaceItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    access: Access,
) -> Result<JsonAnswer<Items<NamespaceItem>>, ApiError> {
    let reach = access.reach();
    let mut items = namespaces::list(&mut app.store.read().await?).await?;
    items.retain(|item| reach.covers(Some(&item.name)));
    Ok(JsonAnswer(Items { items }))
}

/// Claims a namespace. Its name is unique and never changes.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/namespaces", tag = "people", operation_id = "create_namespace",
    request_body = russet_protocol::namespaces::NewNamespace,
    responses((status = 201, description = "The namespace", body = russet_protocol::namespaces::NamespaceItem), (status = 400, description = "The name or the owner is refused", body = russet_protocol::problem::Problem), (status = 409, description = "It is claimed already", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn create(
    State(app): State<App>,
    By(by): By,
    Json(new): Json<NewNamespace, SMALL>,
) -> Result<(StatusCode, JsonAnswer<NamespaceItem>), ApiError> {
    check_namespace(&new.name)?;
    let owner = new.owner.unwrap_or_else(|| NamespaceOwner::Organization(new.name.clone()));
    let item = NamespaceItem { name: new.name, owner, created_by: by, created_ms: app.now_ms() };
    let mut tx = app.store.write().await?;
    audit::note_namespace(Some(&item.name));
    audit::note_after(&item);
    if !namespaces::claim(&mut tx, &item).await? {
        let message = format!("the namespace `{}` is claimed already", item.name);
        return Err(ApiError::Conflict(message));
    }
    make_admin(&mut tx, &item.name, &item.owner).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, JsonAnswer(item)))
}

/// Makes an owner with an account administrator of a namespace.
async fn make_admin(
    tx: &mut WriteTx,
    namespace: &str,
    owner: &NamespaceOwner,
) -> Result<(), ApiError> {
    match owner {
        NamespaceOwner::Organization(name) => check_person(name).map(|_| ()),
        NamespaceOwner::User(name) => {
            let user = find_user(tx, name).await.map_err(|error| match error {
                ApiError::NotFound(message) => ApiError::Bad(message),
                error => error,
            })?;
            let role = Some(Role::Admin);
            Ok(users::set_namespace_role(tx, &user.id, namespace, role).await?)
        }
    }
}

/// Returns a namespace.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/namespaces/{namespace}", tag = "people", operation_id = "get_namespace",
    params(("namespace" = String, Path, description = "Its name")),
    responses((status = 200, description = "The namespace", body = russet_protocol::namespaces::NamespaceItem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<JsonAnswer<NamespaceItem>, ApiError> {
    let found = namespaces::get(&mut app.store.read().await?, &name).await?;
    found.map(JsonAnswer).ok_or_else(|| no_such_namespace(&name))
}

/// Gives a namespace to another owner. An account becomes administrator of it; roles of others stay.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/namespaces/{namespace}/owner", tag = "people", operation_id = "set_namespace_owner",
    params(("namespace" = String, Path, description = "Its name")),
    request_body = russet_protocol::namespaces::SetNamespaceOwner,
    responses((status = 200, description = "The namespace", body = russet_protocol::namespaces::NamespaceItem), (status = 400, description = "There is no such owner", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn set_owner(
    State(app): State<App>,
    Path(name): Path<String>,
    Json(new): Json<SetNamespaceOwner, SMALL>,
) -> Result<JsonAnswer<NamespaceItem>, ApiError> {
    let mut tx = app.store.write().await?;
    let found = namespaces::get(&mut tx, &name).await?;
    let before = found.ok_or_else(|| no_such_namespace(&name))?;
    audit::note_before(&before);
    make_admin(&mut tx, &name, &new.owner).await?;
    namespaces::set_owner(&mut tx, &name, &new.owner).await?;
    let item = NamespaceItem { owner: new.owner, ..before };
    audit::note_after(&item);
    tx.commit().await?;
    Ok(JsonAnswer(item))
}
