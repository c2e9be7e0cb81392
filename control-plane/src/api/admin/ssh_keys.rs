//! SSH keys of projects. Keys go in and never come out again.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::admin::{AddSshKey, Items, SshKeyItem};
use russet_protocol::task::is_fingerprint_of;

use crate::api::body::{Json, MEDIUM};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::audit;
use crate::secrets::{Owner, Scope};
use crate::ssh_key;
use crate::state::App;
use crate::store::ssh_keys::{self, StoredSshKey};

#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/projects/{project}/ssh-keys", tag = "admin", operation_id = "list_ssh_keys",
    params(("project" = String, Path, description = "The project; its slash is written %2F")),
    responses((status = 200, description = "Its keys, by their fingerprints", body = russet_protocol::admin::Items<russet_protocol::admin::SshKeyItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<JsonAnswer<Items<SshKeyItem>>, ApiError> {
    let mut conn = app.store.read().await?;
    let keys = ssh_keys::of_project(&mut conn, &project).await?;
    Ok(JsonAnswer(Items { items: keys.into_iter().map(|key| key.item).collect() }))
}

#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/projects/{project}/ssh-keys", tag = "admin", operation_id = "add_ssh_key",
    params(("project" = String, Path, description = "The project; its slash is written %2F")),
    request_body = russet_protocol::admin::AddSshKey,
    responses((status = 201, description = "The key", body = russet_protocol::admin::SshKeyItem), (status = 400, description = "It is none that steps could use", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn add(
    State(app): State<App>,
    Path(project): Path<String>,
    Json(wish): Json<AddSshKey, MEDIUM>,
) -> Result<(StatusCode, JsonAnswer<SshKeyItem>), ApiError> {
    if let Some(host) = wish.host.as_deref().filter(|host| !ssh_key::is_host(host)) {
        let host = host.escape_debug();
        return Err(ApiError::Bad(format!("host: `{host}` is no host or pattern of hosts")));
    }
    let read =
        ssh_key::read(&wish.private_key).map_err(|error| ApiError::Bad(error.to_string()))?;
    let of = Owner { scope: Scope::SshKeys, owner: &project };
    let sealed = app
        .sealer
        .seal(of, &read.sha256, &wish.private_key)
        .map_err(|error| ApiError::Internal(error.into()))?;
    let item = SshKeyItem {
        sha256: read.sha256,
        md5: read.md5,
        kind: read.kind,
        host: wish.host,
        created_ms: app.now_ms(),
    };
    audit::note_after(&item);
    let mut tx = app.store.write().await?;
    ssh_keys::put(&mut tx, &project, &StoredSshKey { item: item.clone(), sealed }).await?;
    tx.commit().await?;
    tracing::info!(project, fingerprint = item.sha256, "audit: SSH key added");
    Ok((StatusCode::CREATED, JsonAnswer(item)))
}

#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/projects/{project}/ssh-keys/{fingerprint}", tag = "admin", operation_id = "remove_ssh_key",
    params(("project" = String, Path, description = "The project; its slash is written %2F"), ("fingerprint" = String, Path, description = "SHA-256 or MD5")),
    responses((status = 204, description = "Removed"), (status = 404, description = "It is not there", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove(
    State(app): State<App>,
    Path((project, fingerprint)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.store.write().await?;
    let keys = ssh_keys::of_project(&mut tx, &project).await?;
    let mut items = keys.into_iter().map(|key| key.item);
    let Some(item) = items.find(|it| is_fingerprint_of(&fingerprint, &it.md5, &it.sha256)) else {
        let message = format!("the project `{project}` has no SSH key `{fingerprint}`");
        return Err(ApiError::NotFound(message));
    };
    audit::note_before(&item);
    ssh_keys::remove(&mut tx, &project, &item.sha256).await?;
    tx.commit().await?;
    tracing::info!(project, fingerprint = item.sha256, "audit: SSH key removed");
    Ok(StatusCode::NO_CONTENT)
}
