//! Organizations and projects as CircleCI's command line looks them up by their slugs, before it
//! lists runners.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::uuid_of;
use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::api::reach::Access;
use crate::name_ids::ORGANIZATION;
use crate::state::App;
use crate::store::projects;

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    #[serde(rename = "filter[slug]")]
    slug: Option<String>,
    #[serde(rename = "filter[name]")]
    name: Option<String>,
}

/// Lists organizations: the one, under the slug that is asked for.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/orgs", tag = "clients", operation_id = "list_orgs",
    params(("filter[slug]" = Option<String>, Query, description = "The slug, such as `gh/acme`; any is the one organization's")),
    responses((status = 200, description = "The organization", body = serde_json::Value), (status = 404, description = "The caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn list_orgs(Query(filter): Query<Filter>) -> Json<Value> {
    let slug = filter.slug.unwrap_or_else(|| "russet".to_owned());
    let name = slug.rsplit('/').next().unwrap_or_default();
    let attributes = json!({"name": name, "slug": slug});
    Json(
        json!({"data": [{"id": ORGANIZATION, "type": "org", "attributes": attributes}], "page": {}}),
    )
}

/// Lists projects of a slug. A project comes into being with its first pipeline, so one that has
/// none yet is answered all the same.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/projects", tag = "clients", operation_id = "list_projects",
    params(("filter[slug]" = Option<String>, Query, description = "The slug, such as `gh/acme/app`; it is the project `acme/app`"), ("filter[name]" = Option<String>, Query, description = "The name of a project here")),
    responses((status = 200, description = "The project that is asked for, else all", body = serde_json::Value), (status = 404, description = "The caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn list_projects(
    State(app): State<App>,
    access: Access,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, ApiError> {
    let mut names = match filter.slug.as_deref().map(project_of).or(filter.name.as_deref()) {
        Some(name) => vec![name.to_owned()],
        None => projects::names(&mut app.store.read().await?).await?,
    };
    let reach = access.reach();
    names.retain(|name| reach.covers_name(name));
    let data: Vec<Value> = names
        .iter()
        .map(|name| {
            json!({
                "id": uuid_of("project", name),
                "type": "project",
                "attributes": {"name": name},
                "references": {"org": {"id": ORGANIZATION}},
            })
        })
        .collect();
    Ok(Json(json!({"data": data, "page": {}})))
}

/// Returns the project of a slug: CircleCI's begin with the host of the repository.
fn project_of(slug: &str) -> &str {
    match slug.split_once('/') {
        Some(("gh" | "github" | "bb" | "bitbucket" | "gl" | "gitlab" | "circleci", project)) => {
            project
        }
        _ => slug,
    }
}

/// Names the paths of the second version. CircleCI's older command line looks here whether there
/// are contexts before it asks for them.
pub(super) async fn describe_v2() -> Json<Value> {
    let paths = ["/context", "/context/{id}", "/context/{id}/environment-variable"];
    let paths: serde_json::Map<_, _> =
        paths.into_iter().map(|path| (path.to_owned(), json!({"get": {}}))).collect();
    Json(json!({
        "openapi": "3.0.3",
        "info": {"title": "Russet control plane", "version": "v2"},
        "paths": paths,
    }))
}

#[cfg(test)]
mod tests {
    use super::project_of;

    #[test]
    fn the_project_of_a_slug_is_what_stands_behind_the_host() {
        assert_eq!(project_of("gh/acme/app"), "acme/app");
        assert_eq!(project_of("acme/app"), "acme/app");
        assert_eq!(project_of("app"), "app");
    }
}
