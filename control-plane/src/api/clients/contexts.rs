//! `/api/v2/context`: contexts and the names of their variables, to read. What changes them is
//! `/api/v3/contexts`.

use axum::Json;
use axum::extract::State;
use russet_protocol::admin::{ContextItem, VariableItem};
use serde::Deserialize;
use serde_json::{Value, json};

use super::uuid_of;
use crate::api::error::ApiError;
use crate::api::params::{Path, Query};
use crate::api::reach::Access;
use crate::name_ids::ORGANIZATION;
use crate::secrets::{Owner, Scope};
use crate::state::App;
use crate::store::{Conn, variables};
use crate::text::rfc3339_of;

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    /// A part of the name.
    name: Option<String>,
}

fn head(item: &ContextItem) -> Value {
    json!({
        "id": uuid_of("context", &item.name),
        "name": item.name,
        "created_at": rfc3339_of(item.created_ms),
    })
}

fn variable(context: &ContextItem, item: &VariableItem) -> Value {
    // The time at which it was set first is not kept.
    json!({
        "variable": item.name,
        "context_id": uuid_of("context", &context.name),
        "created_at": rfc3339_of(item.updated_ms),
        "updated_at": rfc3339_of(item.updated_ms),
        // CircleCI shows the last four characters; here a value is shown to nobody.
        "truncated_value": "",
    })
}

/// Lists contexts; the owner is the one organization, whatever it is called.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/context", tag = "clients", operation_id = "list_contexts_v2",
    params(("owner-slug" = Option<String>, Query, description = "The owner; there is one"), ("owner-id" = Option<String>, Query, description = "The owner; there is one"), ("name" = Option<String>, Query, description = "Only those whose names contain this")),
    responses((status = 200, description = "The contexts, on one page", body = serde_json::Value), (status = 400, description = "The query is wrong", body = russet_protocol::problem::Problem), (status = 404, description = "The caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    access: Access,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, ApiError> {
    let mut items = variables::list_contexts(&mut app.store.read().await?).await?;
    let reach = access.reach();
    items.retain(|item| reach.covers_name(&item.name));
    items.retain(|item| filter.name.as_ref().is_none_or(|part| item.name.contains(part.as_str())));
    let items: Vec<Value> = items.iter().map(head).collect();
    Ok(Json(json!({"items": items, "next_page_token": null})))
}

/// Returns the context of an id, which is made of its name, among those that the caller may read.
async fn find(conn: &mut Conn, id: &str, access: &Access) -> Result<ContextItem, ApiError> {
    let reach = access.reach();
    let mut items = variables::list_contexts(conn).await?.into_iter();
    items
        .find(|item| {
            reach.covers_name(&item.name) && uuid_of("context", &item.name).eq_ignore_ascii_case(id)
        })
        .ok_or_else(|| ApiError::NotFound(format!("there is no context with the id `{id}`")))
}

async fn variables_of(conn: &mut Conn, item: &ContextItem) -> Result<Vec<Value>, ApiError> {
    let of = Owner { scope: Scope::Context, owner: &item.name };
    let variables = variables::list(conn, of).await?;
    Ok(variables.iter().map(|of| variable(item, of)).collect())
}

/// Shows a context with the names of its variables and the projects that it is restricted to.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/context/{id}", tag = "clients", operation_id = "get_context_v2",
    params(("id" = String, Path, description = "The context")),
    responses((status = 200, description = "The context", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    access: Access,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let mut conn = app.store.read().await?;
    let item = find(&mut conn, &id, &access).await?;
    let mut shown = head(&item);
    let restriction = |project: &String| {
        json!({
            "id": uuid_of("restriction", &format!("{}\0{project}", item.name)),
            "context_id": shown["id"],
            "name": project,
            "restriction_type": "project",
            "restriction_value": uuid_of("project", project),
        })
    };
    let restrictions: Vec<Value> = item.projects.iter().flatten().map(restriction).collect();
    shown["org_id"] = json!(ORGANIZATION);
    shown["environment_variables"] = json!(variables_of(&mut conn, &item).await?);
    shown["restrictions"] = json!(restrictions);
    Ok(Json(shown))
}

/// Lists the variables of a context, without their values.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/context/{id}/environment-variable", tag = "clients", operation_id = "list_context_variables_v2",
    params(("id" = String, Path, description = "The context")),
    responses((status = 200, description = "The variables, on one page", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn variables(
    State(app): State<App>,
    access: Access,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let mut conn = app.store.read().await?;
    let item = find(&mut conn, &id, &access).await?;
    let items = variables_of(&mut conn, &item).await?;
    Ok(Json(json!({"items": items, "next_page_token": null})))
}
