//! `/api/v2/me`.

use axum::{Extension, Json};
use serde_json::{Value, json};

use super::forms::person_id;
use crate::api::Caller;
use crate::name_ids::ORGANIZATION;

/// Says who calls. The admin token is `admin`.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/me", tag = "clients", operation_id = "get_me_v2",
    responses((status = 200, description = "The caller", body = serde_json::Value)),
    security(("admin_token" = []))
))]
pub(super) async fn get(Extension(caller): Extension<Caller>) -> Json<Value> {
    let name = caller.proved_name().unwrap_or("admin");
    Json(json!({"id": person_id(name), "login": name, "name": name}))
}

/// Lists the organizations of the caller: the one that there is.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/me/collaborations", tag = "clients", operation_id = "list_collaborations_v2",
    responses((status = 200, description = "The organization", body = serde_json::Value)),
    security(("admin_token" = []))
))]
pub(super) async fn collaborations() -> Json<Value> {
    Json(json!([{
        "id": ORGANIZATION,
        "vcs-type": "circleci",
        "name": "russet",
        "avatar_url": "",
        "slug": format!("circleci/{ORGANIZATION}"),
    }]))
}
