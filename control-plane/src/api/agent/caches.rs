//! Saving and finding caches.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use russet_protocol::storage::{
    Cache, CacheLookupRequest, CacheLookupResponse, LONGEST_KEY, MOST_KEYS, SaveCacheRequest,
    SaveCacheResponse,
};

use super::archives;
use crate::api::bearer::TaskCaller;
use crate::api::body::{Json, LARGE};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::archives::cache_scope;
use crate::keeping::delete_objects;
use crate::kept_caches;
use crate::state::App;
use crate::store::caches::{self, NewCache};
use crate::task_steps::mark_used;

/// Number of paths that are kept for people.
const MOST_PATHS: usize = 100;

/// Names an archive as the cache of a key. A key that is there already is left as it is.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/task/caches", tag = "agent", operation_id = "save_cache",
    request_body = russet_protocol::storage::SaveCacheRequest,
    responses((status = 200, description = "Whether it is stored", body = russet_protocol::storage::SaveCacheResponse), (status = 400, description = "The key cannot be one", body = russet_protocol::problem::Problem), (status = 410, description = "The archive has to be sent again", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn save(
    State(app): State<App>,
    caller: TaskCaller,
    Json(request): Json<SaveCacheRequest, LARGE>,
) -> Result<JsonAnswer<SaveCacheResponse>, ApiError> {
    caller.check(Some(&request.allocation))?;
    check_key(&request.key)?;
    let object = archives::archive_arrived(&app, &caller.held, &request.archive).await?;
    let now_ms = app.clock.wall_ms();
    let retention = app.storage.cache_retention(request.retention_ms);
    let mut paths = request.paths;
    paths.truncate(MOST_PATHS);
    let mut tx = app.store.write().await?;
    let held = caller.lock(&mut tx, Some(&request.allocation)).await?;
    let scope = cache_scope(&mut tx, &held).await?;
    let cache = Cache {
        id: request.archive.upload,
        key: request.key,
        job_number: scope.job_number,
        created_ms: u64::try_from(now_ms).unwrap_or(0),
        size: request.archive.size,
        blake3: request.archive.blake3,
        paths,
    };
    let new = NewCache {
        cache: &cache,
        scope: &scope.name,
        project: &scope.project,
        object: &object,
        expires_ms: now_ms.saturating_add(retention),
    };
    let is_new = caches::insert(&mut tx, &new).await?;
    let mut gone = Vec::new();
    if is_new {
        mark_used(&app, &mut tx, &held).await?;
        if let Some(most) = app.storage.cache_bytes {
            gone = caches::remove_beyond(&mut tx, &scope.project, most).await?;
        }
    }
    // A replay of what was stored finds itself.
    let is_stored = is_new || caches::has_object(&mut tx, &object).await?;
    tx.commit().await?;
    if is_new {
        kept_caches::keep(&app, &new).await;
    }
    delete_objects(&app, gone).await;
    if !is_stored {
        app.objects.delete(&object).await;
    }
    Ok(JsonAnswer(SaveCacheResponse { is_stored }))
}

/// Looks for a cache: for each key in turn the newest one whose key begins so.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/task/caches/lookup", tag = "agent", operation_id = "find_cache",
    request_body = russet_protocol::storage::CacheLookupRequest,
    responses((status = 200, description = "What was found", body = russet_protocol::storage::CacheLookupResponse), (status = 400, description = "A key cannot be one", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn lookup(
    State(app): State<App>,
    caller: TaskCaller,
    Json(request): Json<CacheLookupRequest, LARGE>,
) -> Result<JsonAnswer<CacheLookupResponse>, ApiError> {
    caller.check(None)?;
    if request.keys.is_empty() || request.keys.len() > MOST_KEYS {
        return Err(ApiError::Bad(format!("keys: 1 to {MOST_KEYS} are needed")));
    }
    request.keys.iter().try_for_each(|key| check_key(key))?;
    let now_ms = app.clock.wall_ms();
    let mut conn = app.store.read().await?;
    let scope = cache_scope(&mut conn, &caller.held).await?;
    for key in &request.keys {
        loop {
            let found = if request.exact {
                caches::find_exact(&mut conn, &scope.name, key, now_ms).await?
            } else {
                caches::find_newest(&mut conn, &scope.name, key, now_ms).await?
            };
            let Some(cache) = found else { break };
            if kept_caches::take_archive(&app, &mut conn, &scope.name, &cache).await? {
                return Ok(JsonAnswer(CacheLookupResponse { cache: Some(cache) }));
            }
            let mut tx = app.store.write().await?;
            kept_caches::forget(&mut tx, &cache).await?;
            tx.commit().await?;
        }
    }
    Ok(JsonAnswer(CacheLookupResponse { cache: None }))
}

/// The archive of a cache, from an offset on with `Range: bytes=N-`.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/task/caches/{id}/archive", tag = "agent", operation_id = "get_cache",
    params(("id" = String, Path, description = "Id of the cache")),
    responses((status = 200, description = "A tar archive compressed with zstd", body = Vec<u8>, content_type = "application/zstd"), (status = 206, description = "The rest of it", body = Vec<u8>, content_type = "application/zstd"), (status = 307, description = "Where the store has it, for callers that send `russet-direct: true`"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn archive(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    caller: TaskCaller,
) -> Result<Response, ApiError> {
    caller.check(None)?;
    let found = {
        let mut conn = app.store.read().await?;
        let scope = cache_scope(&mut conn, &caller.held).await?;
        caches::find_archive(&mut conn, &scope.name, &id).await?
    };
    archives::answer_archive(&app, &headers, found, "cache").await
}

fn check_key(key: &str) -> Result<(), ApiError> {
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(ApiError::Bad(format!("key of a cache: 1 to {LONGEST_KEY} bytes are needed")));
    }
    if key.contains('\0') {
        return Err(ApiError::Bad("key of a cache: it must not contain NUL".to_owned()));
    }
    Ok(())
}
