//! Objects that nothing names and nothing notes: those of uploads that a kill cut off.
//!
//! Found by listing. An object that is young may be of an upload that is in progress, whose row
//! comes yet; so may an archive of a task that runs, however old.

use std::collections::HashSet;

use super::error::KeepError;
use crate::state::App;
use crate::store::{archives, artifacts, output, sources, tasks};

/// Prefixes of objects that belong to a task, which their names have next.
const OF_TASKS: [&str; 3] = ["output", "artifacts", "archives"];

/// Deletes them. Returns their number.
pub(super) async fn remove_orphans(app: &App) -> Result<usize, KeepError> {
    let age = app.keeping.orphan_age;
    let mut removed = 0;
    for prefix in OF_TASKS {
        let mut known: Option<(String, HashSet<String>)> = None;
        for object in app.objects.list_older(prefix, age, app.clock.wall_ms()).await? {
            let Some(task) = object.split('/').nth(1) else { continue };
            if known.as_ref().is_none_or(|(of, _)| of != task) {
                known = Some((task.to_owned(), objects_of_task(app, prefix, task).await?));
            }
            let is_named = known.as_ref().is_some_and(|(_, named)| named.contains(&object));
            if !is_named && !is_of_running_task(app, prefix, task).await? {
                tracing::info!(object, "deleted an object that nothing names");
                app.objects.remove(&object).await?;
                removed += 1;
            }
        }
    }
    for prefix in ["sources", "chunks", "uploads"] {
        for object in app.objects.list_older(prefix, age, app.clock.wall_ms()).await? {
            let is_named = {
                let mut conn = app.store.read().await?;
                sources::names_object(&mut conn, &object).await?
            };
            if !is_named {
                tracing::info!(object, "deleted an object that nothing names");
                app.objects.remove(&object).await?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

async fn objects_of_task(
    app: &App,
    prefix: &str,
    task: &str,
) -> Result<HashSet<String>, KeepError> {
    let mut conn = app.store.read().await?;
    let named = match prefix {
        "output" => output::objects_of_task(&mut conn, task).await?,
        "artifacts" => artifacts::objects_of_task(&mut conn, task).await?,
        _ => archives::objects(&mut conn).await?,
    };
    Ok(named.into_iter().collect())
}

/// Returns true for an archive that its task may still name.
async fn is_of_running_task(app: &App, prefix: &str, task: &str) -> Result<bool, KeepError> {
    if prefix != "archives" {
        return Ok(false);
    }
    let mut conn = app.store.read().await?;
    let running = tasks::running_tasks(&mut conn).await?;
    Ok(running.iter().any(|running| running.as_str() == task))
}
