//! Archives of caches and workspaces: where they lie, who may see them, and how long they stay.
//!
//! An archive is stored first and named by a row later. What no row names is deleted: at the start
//! of the server, and for tasks that have ended once an hour, when what has expired goes too.

use std::collections::HashSet;

use russet_protocol::ids::TaskId;

use crate::keeping::delete_objects;
use crate::state::App;
use crate::store::{Conn, Held, StoreError, archives, pipelines, tasks};

/// Prefix of the objects.
const PREFIX: &str = "archives";

/// The object of an upload of a task.
pub(crate) fn archive_object(task: &TaskId, upload: &str) -> String {
    format!("{PREFIX}/{task}/{upload}")
}

/// Returns the scope within which caches are shared: tasks of the same project and class, and of
/// forks only those of the same branch.
///
/// Threat: whoever can push to a fork could otherwise put a compiler of its own into the cache that
/// the project's releases are built with. A class is a trust boundary as well: it may stand for the
/// machines that sign.
pub(crate) async fn cache_scope(conn: &mut Conn, held: &Held) -> Result<Scope, StoreError> {
    let around = crate::store::jobs::surroundings(conn, &held.job).await?;
    let project = around.info.project;
    let from_fork = pipelines::is_from_fork(conn, &held.pipeline).await?;
    let of = if from_fork { Some(around.info.branch.unwrap_or_default()) } else { None };
    // As JSON, no part can look like another one.
    let name = serde_json::json!([project, held.class, of]).to_string();
    Ok(Scope { name, project, job_number: around.info.number })
}

/// Result of [`cache_scope`].
#[derive(Debug)]
pub(crate) struct Scope {
    /// The same text for the same scope.
    pub(crate) name: String,
    pub(crate) project: String,
    /// Number of the job that asks.
    pub(crate) job_number: u64,
}

/// Errors of removing objects that no row names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Objects(#[from] crate::objects::ObjectError),
}

/// Deletes what was uploaded and never named. Nobody may be writing.
pub(crate) async fn sweep_archives(app: &App) -> Result<(), SweepError> {
    app.objects.delete_drafts(PREFIX);
    remove_unnamed(app, false).await
}

/// Deletes what no row names; where tasks are running, only what is of others.
async fn remove_unnamed(app: &App, tasks_are_running: bool) -> Result<(), SweepError> {
    // The order matters: what was listed is of a task that is still running, or was named before
    // that ended.
    let objects = app.objects.list_settled(PREFIX, app.clock.wall_ms()).await?;
    let mut conn = app.store.read().await?;
    let running: HashSet<String> = if tasks_are_running {
        let running = tasks::running_tasks(&mut conn).await?;
        running.iter().map(|task| format!("{PREFIX}/{task}/")).collect()
    } else {
        HashSet::new()
    };
    let named: HashSet<String> = archives::objects(&mut conn).await?.into_iter().collect();
    drop(conn);
    for object in objects.iter().filter(|object| !named.contains(*object)) {
        let end = object.rfind('/').map_or(0, |slash| slash + 1);
        if !running.contains(&object[..end]) {
            tracing::debug!(object, "deleted an archive that nothing names");
            app.objects.delete(object).await;
        }
    }
    Ok(())
}

/// Removes what has expired, and what no row names.
pub(crate) async fn expire_archives(app: &App) -> Result<(), SweepError> {
    let now_ms = app.clock.wall_ms();
    let mut tx = app.store.write().await?;
    let objects = archives::remove_expired(&mut tx, now_ms).await?;
    tx.commit().await?;
    if !objects.is_empty() {
        tracing::info!(archives = objects.len(), "removed caches and workspaces that have expired");
    }
    delete_objects(app, objects).await;
    remove_unnamed(app, true).await
}
