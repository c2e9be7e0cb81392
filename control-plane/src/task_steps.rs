//! Steps as they are first heard of.

use russet_protocol::task::{Action, SETUP_STEP};

use crate::scheduler::leases;
use crate::state::App;
use crate::store::steps::{self, Start, StepRow};
use crate::store::{Held, StoreError, WriteTx, jobs, tasks};

/// The step, made where it was not announced: output may come before the event that its step
/// began, and a reader is to see it under its heading at once.
pub(crate) async fn ensure_step(
    tx: &mut WriteTx,
    held: &Held,
    number: u32,
    now_ms: u64,
) -> Result<StepRow, StoreError> {
    if let Some(step) = steps::get(tx, &held.task, number).await? {
        return Ok(step);
    }
    let spec = jobs::read_spec(tx, &held.job).await?;
    let planned = spec.steps.iter().find(|step| step.number == number);
    let generic = format!("Step {number}");
    let start = Start {
        number,
        name: planned.map_or(&generic, |step| &step.name),
        background: planned
            .is_some_and(|step| matches!(&step.action, Action::Run(run) if run.background)),
        detail: None,
        at_ms: now_ms,
    };
    steps::start(tx, held, &start).await
}

/// Notes that something of the job has run, where this is the first sign of it: from now on the
/// task is not given to another runner any more. What the agent itself prepares does not count.
pub(crate) async fn mark_started(
    app: &App,
    tx: &mut WriteTx,
    held: &Held,
    number: u32,
) -> Result<(), StoreError> {
    if number == SETUP_STEP {
        return Ok(());
    }
    mark_used(app, tx, held).await
}

/// The same, for what only a step can have made: an artifact or a test result may come before the
/// event that its step began. Put back after that, the next run would meet what this one left.
pub(crate) async fn mark_used(app: &App, tx: &mut WriteTx, held: &Held) -> Result<(), StoreError> {
    if held.step_started {
        return Ok(());
    }
    let expires = leases::lease_end(tx.lease_ms(&*app.clock), app.lease_ms, true);
    tasks::set_step_started(tx, &held.task, expires).await
}
