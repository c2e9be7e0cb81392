//! Deletion of objects that no row names any more.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::error::KeepError;
use crate::state::App;
use crate::store::{StoreError, unnamed};

/// Time that those who have read a row have to open its object, in milliseconds.
const READER_GRACE_MS: i64 = 5000;

/// Objects that one transaction forgets.
const BATCH: u32 = 200;

/// Objects that are deleted at the same time.
const AT_ONCE: usize = 8;

/// Deletes the objects that are noted. Returns the pause until the next of them may go.
///
/// Names of objects are never used twice, so none of them can have got a row meanwhile. Who copies
/// objects holds this up: what is noted before the hold was seen had lost its row before that.
pub(super) async fn delete_noted(app: &App) -> Result<Option<Duration>, KeepError> {
    loop {
        let now_ms = app.clock.wall_ms();
        let batch = {
            let mut conn = app.store.read().await?;
            if unnamed::is_held(&mut conn, now_ms).await? {
                return Ok(None);
            }
            let batch = unnamed::noted(&mut conn, now_ms - READER_GRACE_MS, BATCH).await?;
            if batch.is_empty() {
                let is_more = !unnamed::noted(&mut conn, i64::MAX, 1).await?.is_empty();
                let grace = u64::try_from(READER_GRACE_MS).unwrap_or(0);
                return Ok(is_more.then(|| Duration::from_millis(grace)));
            }
            batch
        };
        let results: Vec<_> = stream::iter(batch)
            .map(async |object| (app.objects.remove(&object).await, object))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut failed = None;
        let mut tx = app.store.write().await?;
        for (result, object) in results {
            match result {
                Ok(()) => unnamed::forget(&mut tx, &object).await?,
                Err(error) => failed = Some(error),
            }
        }
        tx.commit().await?;
        if let Some(error) = failed {
            // Those that stay are noted, and the next round tries again.
            return Err(error.into());
        }
    }
}

/// Deletes objects whose rows a transaction has removed that is committed. While somebody copies
/// objects they are noted instead. A failure costs space for a while: nothing names them any more.
pub(crate) async fn delete_objects(app: &App, objects: impl IntoIterator<Item = String>) {
    let objects: Vec<String> = objects.into_iter().collect();
    if objects.is_empty() {
        return;
    }
    match note_while_held(app, &objects).await {
        Ok(true) => {}
        Ok(false) => {
            for object in &objects {
                app.objects.delete(object).await;
            }
        }
        Err(error) => {
            let error = russet_text::error_chain(&error);
            tracing::warn!(error, "objects that nothing names stay for now");
        }
    }
}

/// Notes objects, if somebody holds up their deletion. Returns true for that.
async fn note_while_held(app: &App, objects: &[String]) -> Result<bool, StoreError> {
    let now_ms = app.clock.wall_ms();
    if !unnamed::is_held(&mut app.store.read().await?, now_ms).await? {
        return Ok(false);
    }
    let mut tx = app.store.write().await?;
    for object in objects {
        unnamed::note(&mut tx, object, now_ms).await?;
    }
    tx.commit().await?;
    Ok(true)
}
