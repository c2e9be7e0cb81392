//! Rounds of the keeper: one after the other, some time apart, and at once when somebody deletes.

use std::time::Duration;

use russet_protocol::ids::PipelineId;
use russet_protocol::keeping::Retention;

use super::error::KeepError;
use super::objects::delete_noted;
use super::orphans::remove_orphans;
use crate::clock::millis;
use crate::contention::{self, MayContend};
use crate::scheduler::retention::{Due, Part, due_of_project};
use crate::state::App;
use crate::store::retention::Stays;
use crate::store::{
    StoreError, WriteTx, audit_events, locks, projects, removal, retention, sources,
};

/// Pause between transactions, which lets others write.
const BREATH: Duration = Duration::from_millis(2);

/// Time for which a source or a part of one may wait for a pipeline that names it, in milliseconds.
const SOURCE_GRACE_MS: i64 = 24 * 3600 * 1000;

/// Pause after a failure, in milliseconds.
const RETRY_MS: i64 = 60_000;

/// Removes what is due, until the server stops.
pub(crate) async fn run_keeper(app: App) {
    let mut next_orphans = app.clock.steady_ms() + millis(app.keeping.orphan_interval);
    loop {
        let mut next = app.clock.steady_ms() + millis(app.keeping.interval);
        match keep_once(&app).await {
            Ok(Some(pause)) => next = next.min(app.clock.steady_ms() + millis(pause)),
            Ok(None) => {}
            Err(error) => {
                let error = russet_text::error_chain(&error);
                tracing::error!(error, "cannot remove what is not kept any longer; trying again");
                next = next.min(app.clock.steady_ms() + RETRY_MS);
            }
        }
        if app.clock.steady_ms() >= next_orphans {
            next_orphans = app.clock.steady_ms() + millis(app.keeping.orphan_interval);
            if let Err(error) = remove_orphans(&app).await {
                let error = russet_text::error_chain(&error);
                tracing::error!(error, "cannot remove objects that nothing names");
            }
        }
        tokio::select! {
            () = app.clock.sleep_until(next) => {}
            () = app.keeper.notified() => {}
            () = app.closed() => return,
        }
    }
}

/// One round. Returns the pause after which there is more to do, where that is soon.
async fn keep_once(app: &App) -> Result<Option<Duration>, KeepError> {
    mark_due(app).await?;
    remove_marked(app).await?;
    remove_sources(app).await?;
    remove_audit(app).await?;
    let soon = delete_noted(app).await?;
    while app.store.give_back_space().await? {
        tokio::time::sleep(BREATH).await;
    }
    Ok(soon)
}

/// Marks the pipelines whose time has come, and removes the parts that go before them.
async fn mark_due(app: &App) -> Result<(), KeepError> {
    let (names, settings) = {
        let mut conn = app.store.read().await?;
        (projects::names(&mut conn).await?, retention::settings(&mut conn).await?)
    };
    let of = |name: &str| settings.get(name).copied().unwrap_or_default();
    let general: Retention = of("").or(app.keeping.retention);
    for project in names {
        let keep = of(&project).or(general);
        let with_bytes = keep.bytes.is_some_and(|bytes| bytes > 0);
        let pipelines = {
            let mut conn = app.store.read().await?;
            retention::pipelines_of(&mut conn, &project, with_bytes).await?
        };
        let due = due_of_project(&pipelines, keep, app.clock.wall_ms());
        let mut deleted = 0;
        for due in due {
            match due {
                Due::Delete(id) => {
                    deleted += u32::from(delete_pipeline(app, &id).await?.is_none());
                }
                Due::Trim(id, part) => trim_part(app, &id, part).await?,
            }
            tokio::time::sleep(BREATH).await;
        }
        if deleted > 0 {
            tracing::info!(project, pipelines = deleted, "deleted what is not kept any longer");
        }
    }
    Ok(())
}

/// Marks a pipeline as one that is being deleted. Returns the reason where it stays.
pub(crate) async fn delete_pipeline(
    app: &App,
    id: &PipelineId,
) -> Result<Option<Stays>, StoreError> {
    contention::retry(|| mark_pipeline(app, id)).await
}

async fn mark_pipeline(app: &App, id: &PipelineId) -> Result<Option<Stays>, StoreError> {
    let mut tx = app.store.write().await?;
    locks::pipeline(&mut tx, id).await?;
    // Somebody may have run it again, or pinned it, since it was looked at.
    let obstacle = retention::obstacle(&mut tx, id).await?;
    if obstacle.is_none() {
        retention::begin_deletion(&mut tx, id).await?;
        tx.wake_pipeline(id.as_str());
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(obstacle)
}

async fn trim_part(app: &App, id: &PipelineId, part: Part) -> Result<(), KeepError> {
    loop {
        let mut tx = app.store.write().await?;
        locks::pipeline(&mut tx, id).await?;
        if retention::obstacle(&mut tx, id).await?.is_some() {
            return Ok(tx.rollback().await?);
        }
        let is_more = removal::trim_some(&mut tx, id, part, app.clock.wall_ms()).await?;
        tx.commit().await?;
        if !is_more {
            return Ok(());
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// Removes the rows of what is marked.
async fn remove_marked(app: &App) -> Result<(), KeepError> {
    loop {
        let marked = retention::being_deleted(&mut app.store.read().await?).await?;
        if marked.is_empty() {
            break;
        }
        for id in marked {
            while contention::retry(|| remove_rows(app, &id)).await? {
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    let mut tx = app.store.write().await?;
    projects::remove_deleted(&mut tx).await?;
    Ok(tx.commit().await?)
}

async fn remove_rows(app: &App, id: &PipelineId) -> Result<bool, StoreError> {
    let mut tx = app.store.write().await?;
    // Of several servers one at a time does it.
    locks::pipeline(&mut tx, id).await?;
    let is_more = removal::remove_some(&mut tx, id, app.clock.wall_ms()).await?;
    tx.commit().await?;
    Ok(is_more)
}

/// Removes sources of pipelines that have gone, and chunks of sources that have.
async fn remove_sources(app: &App) -> Result<(), KeepError> {
    let now_ms = app.clock.wall_ms();
    let before_ms = now_ms - SOURCE_GRACE_MS;
    loop {
        let unused = sources::unused(&mut app.store.read().await?, before_ms).await?;
        let mut removed = 0;
        for id in &unused {
            let mut tx = app.store.write().await?;
            let done = sources::remove(&mut tx, id, before_ms, now_ms).await;
            removed += u32::from(end_removal(tx, done).await?);
            tokio::time::sleep(BREATH).await;
        }
        if removed == 0 {
            break;
        }
    }
    loop {
        let unused = sources::unused_chunks(&mut app.store.read().await?, before_ms).await?;
        let mut removed = 0;
        for id in &unused {
            let mut tx = app.store.write().await?;
            let done = sources::remove_chunk(&mut tx, id, now_ms).await;
            removed += u32::from(end_removal(tx, done).await?);
        }
        if removed == 0 {
            return Ok(());
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// Removes events of the audit log that are older than their own bound. Retention of pipelines does not
/// touch them.
async fn remove_audit(app: &App) -> Result<(), KeepError> {
    let Some(age) = app.keeping.audit_age else { return Ok(()) };
    let before_ms = app.clock.wall_ms().saturating_sub(millis(age));
    while contention::retry(|| remove_some_events(app, before_ms)).await? {
        tokio::time::sleep(BREATH).await;
    }
    Ok(())
}

async fn remove_some_events(app: &App, before_ms: i64) -> Result<bool, StoreError> {
    let mut tx = app.store.write().await?;
    let is_more = audit_events::remove_some_before(&mut tx, before_ms).await?;
    tx.commit().await?;
    Ok(is_more)
}

/// Commits a removal, unless somebody began to use what was to be removed at this moment: then it
/// stays.
async fn end_removal(tx: WriteTx, done: Result<(), StoreError>) -> Result<bool, StoreError> {
    match done {
        Ok(()) => tx.commit().await.map(|()| true),
        Err(error) if error.is_conflict() || error.is_contended() => {
            tx.rollback().await.map(|()| false)
        }
        Err(error) => Err(error),
    }
}
