//! `PUT /api/v3/task/artifacts/{path}`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use russet_protocol::admin::ArtifactItem;
use russet_protocol::runner::StoredObject;

use crate::api::bearer::TaskCaller;
use crate::api::body;
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::keeping::delete_objects;
use crate::objects::unique_name;
use crate::state::App;
use crate::store::artifacts::StoredArtifact;
use crate::store::{artifacts, jobs};
use crate::task_steps::mark_used;

/// The longest path, in bytes.
const PATH_LIMIT: usize = 4096;

/// The largest artifact, in bytes: 64 GiB.
const SIZE_LIMIT: u64 = 64 << 30;

/// Stores an artifact; one of the same path takes the place of the earlier one.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/task/artifacts/{path}", tag = "agent", operation_id = "put_artifacts",
    params(("path" = String, Path, description = "Path within the job")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "What was stored", body = russet_protocol::runner::StoredObject), (status = 400, description = "The path leads elsewhere", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn put(
    State(app): State<App>,
    Path(path): Path<String>,
    caller: TaskCaller,
    body: Body,
) -> Result<Json<StoredObject>, ApiError> {
    caller.check(None)?;
    check_path(&path)?;
    app.check_room_for_objects()?;
    // The tasks of a job have files of the same names, so each has a folder of its own.
    let path = match caller.held.parallelism {
        0 | 1 => path,
        _ => format!("{}/{path}", caller.held.node_index()),
    };
    let stream = body::stream(body, app.gate.limits.body_timeout);
    let object = format!("artifacts/{}/{}", caller.held.task, unique_name());
    let written = app.objects.put_stream(&object, stream, SIZE_LIMIT, None).await?;
    let answer = StoredObject { size: written.size, blake3: written.blake3.clone() };
    let item = ArtifactItem { path, size: written.size, blake3: written.blake3 };
    match store_artifact(&app, &caller, StoredArtifact { item, object: object.clone() }).await {
        Ok(earlier) => {
            delete_objects(&app, earlier).await;
            Ok(Json(answer))
        }
        Err(error) => {
            // After a failure of our own nobody knows whether the commit arrived: then a row may
            // name the object, and one that none names costs space only.
            if !matches!(error, ApiError::Internal(_)) {
                app.objects.delete(&object).await;
            }
            Err(error)
        }
    }
}

/// Commits an artifact whose bytes are stored. Answers the object of the one before.
async fn store_artifact(
    app: &App,
    caller: &TaskCaller,
    new: StoredArtifact,
) -> Result<Option<String>, ApiError> {
    let mut tx = app.store.write().await?;
    let held = caller.lock(&mut tx, None).await?;
    let earlier = artifacts::get(&mut tx, &held.job, &new.item.path).await?;
    artifacts::put(&mut tx, &held, &new).await?;
    mark_used(app, &mut tx, &held).await?;
    jobs::touch(&mut tx, &held.job).await?;
    tx.wake_pipeline(held.pipeline.as_str());
    tx.commit().await?;
    Ok(earlier.map(|earlier| earlier.object))
}

/// The path is a name here, never a file: but people download artifacts into directories, and
/// nothing may lead out of those.
fn check_path(path: &str) -> Result<(), ApiError> {
    let wrong = |why: &str| {
        let shown: String = path.chars().take(200).collect();
        Err(ApiError::Bad(format!("path of artifact `{}`: {why}", shown.escape_debug())))
    };
    if path.is_empty() || path.len() > PATH_LIMIT {
        return wrong("it must have 1 to 4096 bytes");
    }
    if path.contains('\0') {
        return wrong("it must not contain NUL");
    }
    if path.starts_with('/') {
        return wrong("it must be relative");
    }
    if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return wrong("it must not have `.`, `..` or empty parts");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_path;

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for good in ["a", "a/b.txt", "..a/b..", "ü/ .x"] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        for bad in ["", "/etc/shadow", "../a", "a/../b", "a/..", "a//b", "./a", "a/", "a\0b"] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
        assert!(check_path(&"a".repeat(4097)).is_err());
    }
}
