//! Removal of a killed server's remains: objects that no row names, and halves of objects.
//!
//! They can only be of tasks that were held then, and halves of sources.

use std::collections::HashSet;
use std::time::Duration;

use crate::archives::{self, SweepError};
use crate::state::App;
use crate::store::{artifacts, output, tasks, webhook_deliveries};

/// Interval of looking for what has expired or is left.
const ROUND: Duration = Duration::from_secs(3600);

/// Time for which payloads of webhooks are kept, in milliseconds: 7 days. GitHub delivers them again for 3.
const KEPT_PAYLOADS_MS: i64 = 7 * 24 * 3_600_000;

/// Time for which it is known what became of a delivery, in milliseconds: 90 days.
const KEPT_DELIVERIES_MS: i64 = 90 * 24 * 3_600_000;

/// Deletes them in a directory. Runs before the first call is taken, so that no object is on its
/// way. In a bucket other servers may be writing; there [`run_expiry`] deletes what has some age.
pub(crate) async fn sweep_objects(app: &App) -> Result<(), SweepError> {
    if app.objects.is_shared() {
        return Ok(());
    }
    sweep_running(app).await?;
    // Earlier versions wrote sources to `uploads` first.
    for prefix in ["sources", "chunks", "uploads"] {
        app.objects.delete_drafts(prefix);
    }
    for object in app.objects.list("uploads").await? {
        app.objects.delete(&object).await;
    }
    archives::sweep_archives(app).await
}

/// Removes what has expired, once an hour, until the server stops.
pub(crate) async fn run_expiry(app: App) {
    loop {
        if let Err(error) = tidy_up(&app).await {
            let error = russet_text::error_chain(&error);
            tracing::error!(error, "cannot remove expired caches; trying again in an hour");
        }
        let next = app.clock.steady_ms() + i64::try_from(ROUND.as_millis()).unwrap_or(i64::MAX);
        tokio::select! {
            () = app.clock.sleep_until(next) => {}
            () = app.closed() => return,
        }
    }
}

async fn tidy_up(app: &App) -> Result<(), SweepError> {
    archives::expire_archives(app).await?;
    remove_old_deliveries(app).await?;
    sweep_left(app).await
}

/// Removes what webhooks brought long ago.
async fn remove_old_deliveries(app: &App) -> Result<(), SweepError> {
    let now_ms = app.clock.wall_ms();
    let mut tx = app.store.write().await?;
    let (payloads, rows) = (now_ms - KEPT_PAYLOADS_MS, now_ms - KEPT_DELIVERIES_MS);
    webhook_deliveries::remove_old(&mut tx, payloads, rows).await?;
    tx.commit().await?;
    Ok(())
}

/// Deletes in a bucket what servers that were killed have left of tasks that are held.
async fn sweep_left(app: &App) -> Result<(), SweepError> {
    if !app.objects.is_shared() {
        return Ok(());
    }
    app.objects.abort_left_uploads(app.clock.wall_ms()).await?;
    sweep_running(app).await
}

async fn sweep_running(app: &App) -> Result<(), SweepError> {
    let running = {
        let mut conn = app.store.read().await?;
        tasks::running_tasks(&mut conn).await?
    };
    for task in running {
        let prefixes = [format!("output/{task}"), format!("artifacts/{task}")];
        let mut objects = Vec::new();
        for prefix in &prefixes {
            app.objects.delete_drafts(prefix);
            // Listed first: what is named after that is not among them.
            objects.extend(app.objects.list_settled(prefix, app.clock.wall_ms()).await?);
        }
        if objects.is_empty() {
            continue;
        }
        let named: HashSet<String> = {
            let mut conn = app.store.read().await?;
            let mut named = output::objects_of_task(&mut conn, task.as_str()).await?;
            named.extend(artifacts::objects_of_task(&mut conn, task.as_str()).await?);
            named.into_iter().collect()
        };
        for object in objects.iter().filter(|object| !named.contains(*object)) {
            tracing::debug!(object, "deleted what was not acknowledged");
            app.objects.delete(object).await;
        }
    }
    Ok(())
}
