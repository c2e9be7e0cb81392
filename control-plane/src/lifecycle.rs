//! Transitions of tasks, jobs and workflows, each within the transaction of its cause: a task
//! ends, and in the same commit the workflow moves on and what may start stands in line.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use russet_protocol::admin::Job;
use russet_protocol::ids::{JobId, PipelineId, WorkflowId};
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::project_settings::canceled_by_text;

use crate::admission;
use crate::keeping::delete_objects;
use crate::meters::FailureReason;
use crate::room;
use crate::scheduler::leases::{Lapse, on_lapse};
use crate::scheduler::workflow::{JobState, advance_workflow, worst_outcome};
use crate::state::App;
use crate::store::alone::lock_job;
use crate::store::serial::{self, Turn, Waiting};
use crate::store::tasks::NewTasks;
use crate::store::{
    Held, StoreError, WriteTx, allocations, job_timings, jobs, locks, pipelines, servers, steps,
    tasks, test_results, workflows,
};
use crate::text::{MESSAGE_LIMIT, cut_text, serial_wait};

/// Lets a workflow do what follows from the states of its jobs.
pub(crate) async fn move_on(
    tx: &mut WriteTx,
    workflow: &WorkflowId,
    pipeline: &PipelineId,
    now_ms: i64,
) -> Result<(), StoreError> {
    tx.wake_pipeline(pipeline.as_str());
    // Most ends of a large workflow are followed by nothing, and cost the same however large.
    let open = jobs::unfinished(tx, workflow).await?;
    if open.any && !open.blocked {
        return Ok(());
    }
    let canceled_by = pipelines::canceled_by(tx, pipeline).await?;
    let heads = jobs::job_heads(tx, workflow).await?;
    let states: Vec<JobState<'_>> = heads
        .iter()
        .map(|head| JobState {
            name: &head.name,
            kind: head.kind,
            requires: &head.requires,
            statuses: &head.statuses,
            phase: head.phase,
            outcome: head.outcome,
        })
        .collect();
    let next = advance_workflow(&states);
    for index in next.succeed {
        jobs::set_ended(tx, &heads[index].id, Outcome::Success, None, now_ms).await?;
    }
    let mut has_ended = false;
    for index in next.hold {
        if let Some(by) = &canceled_by {
            has_ended = true;
            end_canceled(tx, &heads[index].id, by, now_ms).await?;
        } else {
            jobs::set_on_hold(tx, &heads[index].id).await?;
        }
    }
    for (index, vain) in next.not_run {
        let wanted = if heads[index].statuses.contains_key(&vain) { "end so" } else { "succeed" };
        let message = format!("`{vain}`, which it requires, did not {wanted}");
        jobs::set_ended(tx, &heads[index].id, Outcome::NotRun, Some(&message), now_ms).await?;
    }
    let mut turns = HashMap::new();
    let mut awaits_room = false;
    for index in next.queue {
        if let Some(by) = &canceled_by {
            has_ended = true;
            end_canceled(tx, &heads[index].id, by, now_ms).await?;
        } else {
            let started = start_job(tx, &heads[index], pipeline, &mut turns, now_ms).await?;
            has_ended |= started == Started::Ended;
            awaits_room |= started == Started::AwaitsRoom;
        }
    }
    // Once for all of them.
    if awaits_room {
        room::give_room(tx, now_ms).await?;
    }
    if has_ended {
        return Box::pin(move_on(tx, workflow, pipeline, now_ms)).await;
    }
    if let Some(outcome) = next.outcome {
        workflows::end(tx, workflow, outcome, now_ms).await?;
    }
    Ok(())
}

/// Ends a job that somebody canceled.
async fn end_canceled(
    tx: &mut WriteTx,
    job: &JobId,
    by: &str,
    now_ms: i64,
) -> Result<jobs::Of, StoreError> {
    jobs::set_decided_by(tx, job, by).await?;
    let message = canceled_by_text(by);
    jobs::set_ended(tx, job, Outcome::Canceled, Some(&message), now_ms).await
}

/// What became of a job that may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Started {
    /// It is in line for a runner, or in that of its serial group.
    InLine,
    /// It waits for room in limits of tasks.
    AwaitsRoom,
    Ended,
}

/// Puts a job that may start into the line, or lets it wait for its turn or for room.
///
/// `turns` keeps what is known of serial groups within one transaction, so that many jobs of one
/// group do not each look at all the others.
async fn start_job<'a>(
    tx: &mut WriteTx,
    head: &'a jobs::JobHead,
    pipeline: &PipelineId,
    turns: &mut HashMap<&'a str, Turn>,
    now_ms: i64,
) -> Result<Started, StoreError> {
    // The compiler gives every job with steps a class.
    let Some(class) = &head.class else { return Ok(Started::InLine) };
    let asked = admission::Request { pipeline, class, contexts: &head.contexts };
    let origin = pipelines::pipeline_origin(tx, pipeline, class).await?;
    if let Some(why) = admission::refuse(tx, asked, &origin).await? {
        jobs::set_ended(tx, &head.id, Outcome::Unauthorized, Some(&why), now_ms).await?;
        return Ok(Started::Ended);
    }
    let turn = match &head.serial_group {
        Some(group) => next_turn(tx, group, pipeline, turns).await?,
        None => Turn::Now,
    };
    let group = head.serial_group.as_deref().unwrap_or_default();
    match turn {
        Turn::Now => {
            let (job, parallelism) = (&head.id, head.parallelism);
            let new = NewTasks { job, pipeline, class, parallelism, run: 0, now_ms };
            if origin.has_limits && room::wait_for_room(tx, new, &origin.project).await? {
                return Ok(Started::AwaitsRoom);
            }
            jobs::set_queued(tx, &head.id, None, now_ms).await?;
            tasks::enqueue_new(tx, new).await?;
        }
        Turn::Later => {
            let message = serial_wait(group);
            jobs::set_queued(tx, &head.id, Some(&message), now_ms).await?;
        }
        Turn::Never => {
            let message = format!(
                "a later pipeline of the project has a job in the serial group `{group}` already"
            );
            jobs::set_ended(tx, &head.id, Outcome::NotRun, Some(&message), now_ms).await?;
            return Ok(Started::Ended);
        }
    }
    Ok(Started::InLine)
}

/// Finds the turn of the next job of a pipeline in a serial group.
async fn next_turn<'a>(
    tx: &mut WriteTx,
    group: &'a str,
    pipeline: &PipelineId,
    turns: &mut HashMap<&'a str, Turn>,
) -> Result<Turn, StoreError> {
    let turn = match turns.get(group) {
        Some(turn) => *turn,
        None => serial::find_turn(tx, group, pipeline).await?,
    };
    // The job whose turn it is stands in line now, before those that come after it.
    turns.insert(group, if turn == Turn::Now { Turn::Later } else { turn });
    Ok(turn)
}

/// Ends a job that waits for an approval, which somebody gave or denied. A denied one is
/// unauthorized, for those that require that; for its workflow it is no failure.
pub(crate) async fn decide_job(
    tx: &mut WriteTx,
    job: &JobId,
    approved: bool,
    by: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let (outcome, message) = match approved {
        true => (Outcome::Success, format!("approved by {by}")),
        false => (Outcome::Unauthorized, format!("denied by {by}")),
    };
    jobs::set_decided_by(tx, job, by).await?;
    let of = jobs::set_ended(tx, job, outcome, Some(&message), now_ms).await?;
    follow_end(tx, &of, now_ms).await
}

/// Lets the workflow and the serial group of a job that has ended move on.
async fn follow_end(tx: &mut WriteTx, of: &jobs::Of, now_ms: i64) -> Result<(), StoreError> {
    make_room(tx, of, now_ms).await?;
    move_on(tx, &of.workflow, &of.pipeline, now_ms).await
}

/// Lets those move on that waited for a job to end: its serial group, and whoever waits for room.
async fn make_room(tx: &mut WriteTx, of: &jobs::Of, now_ms: i64) -> Result<(), StoreError> {
    if let Some(group) = &of.serial_group {
        move_group_on(tx, group, now_ms).await?;
    }
    if of.had_room {
        room::give_room(tx, now_ms).await?;
    }
    Ok(())
}

/// Puts the next job of a serial group into the line for a runner, where none of it is there.
pub(crate) async fn move_group_on(
    tx: &mut WriteTx,
    group: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let Some(next) = serial::next(tx, group).await? else { return Ok(()) };
    let Waiting { id: job, pipeline, class, parallelism } = &next;
    let new = NewTasks { job, pipeline, class, parallelism: *parallelism, run: 0, now_ms };
    tx.wake_pipeline(next.pipeline.as_str());
    let origin = pipelines::pipeline_origin(tx, pipeline, class).await?;
    if origin.has_limits && room::wait_for_room(tx, new, &origin.project).await? {
        return room::give_room(tx, now_ms).await;
    }
    jobs::set_queued(tx, job, None, now_ms).await?;
    tasks::enqueue_new(tx, new).await?;
    Ok(())
}

/// Ends a task that is held, its steps, and with the last of them its job.
pub(crate) async fn end_task(
    tx: &mut WriteTx,
    held: &Held,
    outcome: Outcome,
    message: Option<&str>,
    now_ms: i64,
) -> Result<(), StoreError> {
    match close_task(tx, held, outcome, message, now_ms).await? {
        Some(of) => follow_end(tx, &of, now_ms).await,
        None => Ok(()),
    }
}

/// Ends a task that is held, its steps, and with the last of them its job. Returns the job where
/// it has ended: its workflow and its serial group have yet to move on.
async fn close_task(
    tx: &mut WriteTx,
    held: &Held,
    outcome: Outcome,
    message: Option<&str>,
    now_ms: i64,
) -> Result<Option<jobs::Of>, StoreError> {
    steps::end_open(tx, &held.task, outcome, now_ms).await?;
    let message = message.map(|text| cut_text(text, MESSAGE_LIMIT));
    tasks::set_ended(tx, &held.task, outcome, message, now_ms).await?;
    close_job(tx, &held.job, &held.pipeline, held.cancel.is_some(), now_ms).await
}

/// Does what follows for a job from the end of one of its tasks: nothing while others are open,
/// then another run where it failed and has one left, else its end. It ended as the worst of its
/// tasks. Returns the job where it has ended.
async fn close_job(
    tx: &mut WriteTx,
    job: &JobId,
    pipeline: &PipelineId,
    is_canceled: bool,
    now_ms: i64,
) -> Result<Option<jobs::Of>, StoreError> {
    tx.wake_pipeline(pipeline.as_str());
    if !tasks::open_of_job(tx, job).await?.is_empty() {
        jobs::touch(tx, job).await?;
        return Ok(None);
    }
    let ends = tasks::ends_of_run(tx, job).await?;
    let outcome = worst_outcome(ends.iter().map(|(outcome, _)| *outcome));
    let worst = ends.into_iter().filter(|(of, _)| *of == outcome);
    let message = worst.filter_map(|(_, message)| message).next();
    let has_failed =
        matches!(outcome, Outcome::Failed | Outcome::TimedOut | Outcome::InfrastructureFail);
    if has_failed
        && !is_canceled
        && let Some(rerun) = jobs::take_rerun(tx, job).await?
    {
        run_again(tx, job, pipeline, &rerun, now_ms).await?;
        return Ok(None);
    }
    job_timings::forget(tx, job).await?;
    jobs::set_ended(tx, job, outcome, message.as_deref(), now_ms).await.map(Some)
}

async fn run_again(
    tx: &mut WriteTx,
    job: &JobId,
    pipeline: &PipelineId,
    rerun: &jobs::Rerun,
    now_ms: i64,
) -> Result<(), StoreError> {
    test_results::forget(tx, job).await?;
    let message = format!("it failed; rerun {} of {}", rerun.number, rerun.of);
    jobs::set_queued(tx, job, Some(&message), now_ms).await?;
    let (class, parallelism, run) = (&rerun.class, rerun.parallelism, rerun.number);
    tasks::enqueue_new(tx, NewTasks { job, pipeline, class, parallelism, run, now_ms }).await?;
    tx.wake_pipeline(pipeline.as_str());
    Ok(())
}

/// Puts a task that is held back into the line. Answers the objects of what it had sent, which
/// are to be deleted once this is committed.
pub(crate) async fn put_back(
    tx: &mut WriteTx,
    held: &Held,
    unclaims: u32,
    message: &str,
    now_ms: i64,
) -> Result<Vec<String>, StoreError> {
    let objects = steps::forget(tx, &held.task).await?;
    tasks::requeue(tx, &held.task, &held.class, unclaims).await?;
    if held.parallelism > 1 {
        tasks::renumber(tx, held).await?;
    }
    if tasks::open_of_job(tx, &held.job).await?.iter().any(|(_, is_held)| *is_held) {
        jobs::touch(tx, &held.job).await?;
    } else {
        jobs::set_queued(tx, &held.job, Some(message), now_ms).await?;
    }
    tx.wake_pipeline(held.pipeline.as_str());
    Ok(objects)
}

/// Most tasks that are taken back in one transaction.
const MAX_LAPSED: u32 = 100;

/// Takes tasks back whose leases have lapsed, [`MAX_LAPSED`] of them at most.
pub(crate) async fn take_back_lapsed(app: &App) -> Result<(), StoreError> {
    let mut tx = app.store.write().await?;
    let mut objects = Vec::new();
    let mut workflows = BTreeMap::new();
    let lease_ms = tx.lease_ms(&*app.clock);
    if app.store.is_shared() {
        // All servers come here at the same moment.
        lock_job(&mut tx, "leases").await?;
        // One that was stopped until now must not take the time of its absence for silence.
        if !servers::was_any_present(&mut tx, app.between.silence_ms()).await? {
            return tx.rollback().await;
        }
    }
    let lapsed = tasks::lapsed_tasks(&mut tx, lease_ms, MAX_LAPSED).await?;
    let pipelines: BTreeSet<&PipelineId> = lapsed.iter().map(|(_, pipeline)| pipeline).collect();
    for pipeline in pipelines {
        locks::pipeline(&mut tx, pipeline).await?;
    }
    for (task, _) in lapsed {
        // Read under the lock: a heartbeat that came in time has moved the moment.
        locks::task(&mut tx, &task).await?;
        let held = allocations::current_allocation(&mut tx, &task).await?;
        let has_lapsed = |held: &Held| {
            held.phase == Phase::Running && held.expires.is_some_and(|at| at <= lease_ms)
        };
        let Some(held) = held.filter(has_lapsed) else { continue };
        let now_ms = app.clock.wall_ms();
        match on_lapse(held.step_started, held.unclaims, held.cancel.is_some()) {
            Lapse::Requeue(unclaims) => {
                tracing::warn!(task.id = %task, "a lease lapsed before a step started: put back");
                let message = "its runner was lost before it started; it waits for another";
                objects.extend(put_back(&mut tx, &held, unclaims, message, now_ms).await?);
            }
            Lapse::End(outcome, message) => {
                tracing::warn!(task.id = %task, %outcome, "a lease lapsed: {message}");
                if outcome == Outcome::InfrastructureFail {
                    tx.tally().failed(match held.step_started {
                        true => FailureReason::LeaseLapsed,
                        false => FailureReason::NeverStarted,
                    });
                }
                let ended = close_task(&mut tx, &held, outcome, Some(message), now_ms).await?;
                if let Some(of) = ended {
                    make_room(&mut tx, &of, now_ms).await?;
                    workflows.insert(of.workflow, of.pipeline);
                }
            }
        }
    }
    // Once for each, however many of its tasks were lost together.
    for (workflow, pipeline) in &workflows {
        move_on(&mut tx, workflow, pipeline, app.clock.wall_ms()).await?;
    }
    tx.commit().await?;
    delete_objects(app, objects).await;
    Ok(())
}

/// Cancels a job that has not ended: at once, or by the runner that holds it.
pub(crate) async fn cancel_job(
    tx: &mut WriteTx,
    job: &jobs::JobRow,
    by: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let Job { id, phase, .. } = &job.job;
    match stop_job(tx, id, *phase, &job.pipeline, by, now_ms).await? {
        Some(of) => follow_end(tx, &of, now_ms).await,
        None => Ok(()),
    }
}

/// Ends a job as canceled, or tells the runners that hold its tasks to. Returns the job where it
/// has ended: its workflow and its serial group have yet to move on.
pub(crate) async fn stop_job(
    tx: &mut WriteTx,
    job: &JobId,
    phase: Phase,
    pipeline: &PipelineId,
    by: &str,
    now_ms: i64,
) -> Result<Option<jobs::Of>, StoreError> {
    let open = match phase {
        Phase::Ended => return Ok(None),
        Phase::Blocked | Phase::OnHold => Vec::new(),
        Phase::Queued | Phase::Running => tasks::open_of_job(tx, job).await?,
    };
    if open.is_empty() {
        return end_canceled(tx, job, by, now_ms).await.map(Some);
    }
    jobs::set_decided_by(tx, job, by).await?;
    let message = canceled_by_text(by);
    for (task, is_held) in &open {
        if *is_held {
            tasks::set_cancel(tx, task, &message).await?;
        } else {
            tasks::set_ended(tx, task, Outcome::Canceled, Some(&message), now_ms).await?;
        }
    }
    close_job(tx, job, pipeline, true, now_ms).await
}
