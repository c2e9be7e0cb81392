//! Cancels whole pipelines, in transactions of bounded length: others write between them.
//!
//! First the pipeline is marked: from then on none of its jobs starts, whatever ends meanwhile.
//! Then its jobs are ended part by part, and at last its workflows and serial groups move on, once
//! each. A server that is killed in between goes on when it starts again.

use russet_protocol::ids::PipelineId;
use russet_protocol::project_settings::SUPERSEDED_BY;

use crate::contention;
use crate::lifecycle::{move_group_on, move_on, stop_job};
use crate::room;
use crate::schedules::TRIGGER_SOURCE;
use crate::state::App;
use crate::store::pipelines::NewPipeline;
use crate::store::project_settings::{StoredSettings, Superseding};
use crate::store::{StoreError, WriteTx, jobs, locks, pipelines, project_settings, workflows};

/// Jobs that are ended in one transaction.
const JOBS_PER_TRANSACTION: u32 = 200;

/// Cancels every job of a pipeline that has not ended. Returns false where there is no such
/// pipeline.
pub(crate) async fn cancel_pipeline(
    app: &App,
    id: &PipelineId,
    by: &str,
) -> Result<bool, StoreError> {
    let mut tx = app.store.write().await?;
    if !pipelines::begin_cancel(&mut tx, id, by).await? {
        return Ok(false);
    }
    tx.commit().await?;
    stop_jobs(app, id).await?;
    Ok(true)
}

/// Marks the earlier pipelines of a branch that a new one supersedes, where the project wants that. The
/// transaction has the project for itself, so that of two that are submitted at the same time the
/// second sees the first.
pub(crate) async fn begin_superseding(
    tx: &mut WriteTx,
    new: &NewPipeline,
) -> Result<Vec<PipelineId>, StoreError> {
    let Some(branch) = new.branch.as_deref().filter(|_| new.tag.is_none()) else {
        return Ok(Vec::new());
    };
    let StoredSettings { settings, auto_cancel_ms } =
        project_settings::get(tx, &new.project).await?;
    let Some(since_ms) = auto_cancel_ms else { return Ok(Vec::new()) };
    if branch == settings.default_branch || new.trigger_source.as_deref() == Some(TRIGGER_SOURCE) {
        return Ok(Vec::new());
    }
    let number = i64::try_from(new.number).unwrap_or(i64::MAX);
    let (project, from_fork) = (new.project.as_str(), new.from_fork);
    let by = Superseding { project, branch, number, from_fork, since_ms };
    let earlier = project_settings::superseded(tx, by).await?;
    for id in &earlier {
        pipelines::begin_cancel(tx, id, &format!("{SUPERSEDED_BY}{}", new.number)).await?;
    }
    Ok(earlier)
}

/// Cancels the jobs of pipelines that were marked, in a task of its own: nobody waits for it.
pub(crate) fn end_superseded(app: &App, marked: Vec<PipelineId>) {
    let app = app.clone();
    tokio::spawn(async move {
        for id in marked {
            tracing::info!(pipeline.id = %id, "a later pipeline of its branch supersedes it");
            if let Err(error) = stop_jobs(&app, &id).await {
                let error = russet_text::error_chain(&error);
                tracing::error!(pipeline.id = %id, error, "cannot cancel a superseded pipeline; the next start of a server goes on");
            }
        }
    });
}

/// Goes on with the pipelines that were being canceled when the server ended.
pub(crate) async fn resume(app: &App) -> Result<(), StoreError> {
    let open = pipelines::being_canceled(&mut app.store.read().await?).await?;
    for id in &open {
        tracing::info!(pipeline.id = %id, "goes on with a cancel that was cut off");
        stop_jobs(app, id).await?;
    }
    Ok(())
}

async fn stop_jobs(app: &App, id: &PipelineId) -> Result<(), StoreError> {
    let mut after = Some(0);
    while let Some(number) = after {
        after = contention::retry(|| stop_some(app, id, number)).await?;
    }
    Ok(())
}

/// Stops some of the jobs behind the one of a number. Returns the number of the last; `None` once
/// there were no more and the cancel has ended.
async fn stop_some(app: &App, id: &PipelineId, after: u64) -> Result<Option<u64>, StoreError> {
    let mut tx = app.store.write().await?;
    let now_ms = app.clock.wall_ms();
    locks::pipeline(&mut tx, id).await?;
    locks::groups_of_pipeline(&mut tx, id).await?;
    let open = jobs::open_of_pipeline(&mut tx, id, after, JOBS_PER_TRANSACTION).await?;
    let by = pipelines::canceled_by(&mut tx, id).await?.unwrap_or_default();
    let Some(last) = open.last() else {
        for group in jobs::serial_groups(&mut tx, id).await? {
            move_group_on(&mut tx, &group, now_ms).await?;
        }
        for workflow in workflows::open_of_pipeline(&mut tx, id).await? {
            move_on(&mut tx, &workflow, id, now_ms).await?;
        }
        pipelines::end_cancel(&mut tx, id).await?;
        tx.commit().await?;
        return Ok(None);
    };
    let mut had_room = false;
    for job in &open {
        let ended = stop_job(&mut tx, &job.id, job.phase, id, &by, now_ms).await?;
        had_room |= ended.is_some_and(|of| of.had_room);
    }
    if had_room {
        room::give_room(&mut tx, now_ms).await?;
    }
    tx.wake_pipeline(id.as_str());
    tx.commit().await?;
    Ok(Some(last.number))
}
