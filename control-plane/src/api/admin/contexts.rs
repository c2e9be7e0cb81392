//! Contexts, and the variables of contexts and projects. Values go in and never come out again.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::admin::{ContextItem, Items, SetContext, SetVariable, VariableItem};

use super::claims::claim_on_first_use;
use super::people::By;
use crate::api::body::{Json, LARGE};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::api::reach::Access;
use crate::audit;
use crate::people::namespace_of;
use crate::secrets::{Owner, Scope};
use crate::state::App;
use crate::store::variables;

/// The longest name of a context, in bytes.
const NAME_LIMIT: usize = 255;

/// The longest value, in bytes.
const VALUE_LIMIT: usize = 128 * 1024;

fn no_such_context(name: &str) -> ApiError {
    ApiError::NotFound(format!("there is no context `{name}`"))
}

#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/contexts", tag = "admin", operation_id = "list_contexts",
    responses((status = 200, description = "The contexts", body = russet_protocol::admin::Items<russet_protocol::admin::ContextItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    access: Access,
) -> Result<JsonAnswer<Items<ContextItem>>, ApiError> {
    let mut conn = app.store.read().await?;
    let reach = access.reach();
    let mut items = variables::list_contexts(&mut conn).await?;
    items.retain(|item| reach.covers_name(&item.name));
    Ok(JsonAnswer(Items { items }))
}

/// Makes a context, or says anew which projects may use it.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/contexts/{name}", tag = "admin", operation_id = "put_contexts",
    params(("name" = String, Path, description = "The context")),
    request_body = russet_protocol::admin::SetContext,
    responses((status = 200, description = "The context", body = russet_protocol::admin::ContextItem), (status = 400, description = "The name is none", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn put(
    State(app): State<App>,
    Path(name): Path<String>,
    By(by): By,
    Json(wish): Json<SetContext, LARGE>,
) -> Result<JsonAnswer<ContextItem>, ApiError> {
    if name.trim().is_empty() || name.len() > NAME_LIMIT || name.chars().any(char::is_control) {
        return Err(ApiError::Bad(format!("name: 1 to {NAME_LIMIT} characters are needed")));
    }
    let mut tx = app.store.write().await?;
    let before = variables::find_context(&mut tx, &name).await?;
    if before.is_none() {
        check_spelling(&name)?;
        claim_on_first_use(&app, &mut tx, &name, &by).await?;
    }
    let now_ms = app.now_ms();
    before.iter().for_each(audit::note_before);
    let created_ms = before.map_or(now_ms, |context| context.created_ms);
    let item = ContextItem { name, projects: wish.projects, created_ms };
    audit::note_after(&item);
    variables::put_context(&mut tx, &item).await?;
    tx.commit().await?;
    Ok(JsonAnswer(item))
}

/// Refuses the name of a new context whose namespace is not spelled as namespaces are: no project would
/// find it.
fn check_spelling(name: &str) -> Result<(), ApiError> {
    match namespace_of(name).filter(|namespace| !name.starts_with(namespace)) {
        None => Ok(()),
        Some(namespace) => {
            Err(ApiError::Bad(format!("name: write its namespace as `{namespace}`")))
        }
    }
}

/// Removes a context with its variables.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/contexts/{name}", tag = "admin", operation_id = "remove_contexts",
    params(("name" = String, Path, description = "The context")),
    responses((status = 204, description = "Removed"), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    variables::find_context(&mut tx, &name).await?.iter().for_each(audit::note_before);
    if !variables::remove_context(&mut tx, &name).await? {
        return Err(no_such_context(&name));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/contexts/{name}/env", tag = "admin", operation_id = "list_context_env",
    params(("name" = String, Path, description = "The context")),
    responses((status = 200, description = "Its variables, without their values", body = russet_protocol::admin::Items<russet_protocol::admin::VariableItem>), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn list_of_context(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<JsonAnswer<Items<VariableItem>>, ApiError> {
    let mut conn = app.store.read().await?;
    variables::find_context(&mut conn, &name).await?.ok_or_else(|| no_such_context(&name))?;
    let of = Owner { scope: Scope::Context, owner: &name };
    Ok(JsonAnswer(Items { items: variables::list(&mut conn, of).await? }))
}

#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/contexts/{name}/env/{variable}", tag = "admin", operation_id = "set_context_env",
    params(("name" = String, Path, description = "The context"), ("variable" = String, Path, description = "The variable")),
    request_body = russet_protocol::admin::SetVariable,
    responses((status = 204, description = "Set"), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem), (status = 400, description = "The name or value is none", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn set_of_context(
    State(app): State<App>,
    Path((name, variable)): Path<(String, String)>,
    Json(wish): Json<SetVariable, LARGE>,
) -> Result<StatusCode, ApiError> {
    let of = Owner { scope: Scope::Context, owner: &name };
    set_variable(&app, of, &variable, &wish).await
}

#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/contexts/{name}/env/{variable}", tag = "admin", operation_id = "unset_context_env",
    params(("name" = String, Path, description = "The context"), ("variable" = String, Path, description = "The variable")),
    responses((status = 204, description = "Removed"), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn unset_of_context(
    State(app): State<App>,
    Path((name, variable)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    unset_variable(&app, Owner { scope: Scope::Context, owner: &name }, &variable).await
}

#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/projects/{project}/env", tag = "admin", operation_id = "list_project_env",
    params(("project" = String, Path, description = "The project; its slash is written %2F")),
    responses((status = 200, description = "Its variables, without their values", body = russet_protocol::admin::Items<russet_protocol::admin::VariableItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list_of_project(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<JsonAnswer<Items<VariableItem>>, ApiError> {
    let mut conn = app.store.read().await?;
    let of = Owner { scope: Scope::Project, owner: &project };
    Ok(JsonAnswer(Items { items: variables::list(&mut conn, of).await? }))
}

#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/projects/{project}/env/{variable}", tag = "admin", operation_id = "set_project_env",
    params(("project" = String, Path, description = "The project; its slash is written %2F"), ("variable" = String, Path, description = "The variable")),
    request_body = russet_protocol::admin::SetVariable,
    responses((status = 204, description = "Set"), (status = 400, description = "The name or value is none", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn set_of_project(
    State(app): State<App>,
    Path((project, variable)): Path<(String, String)>,
    Json(wish): Json<SetVariable, LARGE>,
) -> Result<StatusCode, ApiError> {
    set_variable(&app, Owner { scope: Scope::Project, owner: &project }, &variable, &wish).await
}

#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/projects/{project}/env/{variable}", tag = "admin", operation_id = "unset_project_env",
    params(("project" = String, Path, description = "The project; its slash is written %2F"), ("variable" = String, Path, description = "The variable")),
    responses((status = 204, description = "Removed"), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn unset_of_project(
    State(app): State<App>,
    Path((project, variable)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    unset_variable(&app, Owner { scope: Scope::Project, owner: &project }, &variable).await
}

async fn set_variable(
    app: &App,
    of: Owner<'_>,
    variable: &str,
    wish: &SetVariable,
) -> Result<StatusCode, ApiError> {
    let mut chars = variable.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !first || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let message = "name: letters, digits and `_` are needed, and no digit first";
        return Err(ApiError::Bad(message.to_owned()));
    }
    let value = wish.value.expose();
    if value.len() > VALUE_LIMIT {
        let length = value.len();
        let message = format!("value: it has {length} bytes, and at most {VALUE_LIMIT} are taken");
        return Err(ApiError::Bad(message));
    }
    if value.contains('\0') {
        return Err(ApiError::Bad("value: it must not contain NUL".to_owned()));
    }
    let sealed = app
        .sealer
        .seal(of, variable, &wish.value)
        .map_err(|error| ApiError::Internal(error.into()))?;
    let mut tx = app.store.write().await?;
    if of.scope == Scope::Context && variables::find_context(&mut tx, of.owner).await?.is_none() {
        return Err(no_such_context(of.owner));
    }
    let shown = serde_json::json!({"variable": variable, "value": "set, not shown"});
    if variables::list(&mut tx, of).await?.iter().any(|known| known.name == variable) {
        audit::note_before(&shown);
    }
    audit::note_after(&shown);
    variables::set(&mut tx, of, variable, &sealed, app.clock.wall_ms()).await?;
    tx.commit().await?;
    tracing::info!(scope = of.scope.as_str(), owner = of.owner, variable, "audit: set");
    Ok(StatusCode::NO_CONTENT)
}

async fn unset_variable(app: &App, of: Owner<'_>, variable: &str) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    audit::note_before(&serde_json::json!({"variable": variable}));
    if !variables::unset(&mut tx, of, variable).await? {
        let (scope, owner) = (of.scope.as_str(), of.owner);
        let message = format!("the {scope} `{owner}` has no variable `{variable}`");
        return Err(ApiError::NotFound(message));
    }
    tx.commit().await?;
    tracing::info!(scope = of.scope.as_str(), owner = of.owner, variable, "audit: removed");
    Ok(StatusCode::NO_CONTENT)
}
