//! Runs workflows again: as further runs within their pipelines, so that they see the same source,
//! parameters and workspace. The earlier runs stay as they are.
//!
//! As on CircleCI (<https://circleci.com/docs/guides/orchestrate/workflows/>) every way to run
//! something again makes a run of the whole workflow, in which jobs that do not run again stand as
//! they ended. A job that runs again is followed by what requires it.

use russet_protocol::admin::RerunKind;
use russet_protocol::ids::{JobId, PipelineId, WorkflowId};
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::task::Action;

use crate::contention::{self, MayContend};
use crate::lifecycle::move_on;
use crate::scheduler::rerun::{PastJob, Which, jobs_to_rerun};
use crate::ssh_reruns::{SshRefusal, SshWish, grant_access};
use crate::state::App;
use crate::store::runs::{Fate, NewRun, Run, RunJob};
use crate::store::{
    Conn, StoreError, WriteTx, jobs, locks, pipelines, runs, setups, sources, test_results,
    workspaces,
};

/// Most runs of a workflow.
const MAX_RUNS: u32 = 100;

/// Reason why nothing runs again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RerunError {
    #[error("there is no {kind} `{id}`")]
    Unknown { kind: &'static str, id: String },
    #[error("the workflow `{0}` still runs; cancel it, or wait until it has ended")]
    StillRuns(String),
    #[error("the pipeline was canceled, and not all of it has ended yet; try again in a moment")]
    BeingCanceled,
    #[error("nothing of the workflow `{0}` failed; it can be run again from the start")]
    NothingFailed(String),
    #[error("no workflow of the pipeline failed; it can be run again from the start")]
    NoneFailed,
    #[error("the source that the pipeline was submitted with is gone; submit it anew")]
    SourceGone,
    #[error("the workflow `{0}` has run {MAX_RUNS} times, which is the most; submit it anew")]
    TooOften(String),
    #[error(
        "the job `{0}` has no failed tests in that run: `store_test_results` stored none; run it \
         again as a whole"
    )]
    NoFailedTests(String),
    #[error(
        "no step of the job `{0}` calls `circleci tests run`, which is what runs failed tests alone; \
         run it again as a whole"
    )]
    NoTestsRun(String),
    #[error(
        "the job `{job}` would be kept, and what it persisted to the workspace has expired; run the \
         workflow again from the start"
    )]
    WorkspaceGone { job: String },
    #[error(transparent)]
    Ssh(#[from] SshRefusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MayContend for RerunError {
    fn is_contended(&self) -> bool {
        matches!(self, Self::Store(error) | Self::Ssh(SshRefusal::Store(error)) if error.is_contended())
    }
}

/// Request to run something again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) kind: RerunKind,
    /// The one who asks.
    pub(crate) by: &'a str,
    /// Set if the tasks of the job are to be reached by SSH.
    pub(crate) ssh: Option<&'a SshWish>,
}

/// Runs a workflow again. Returns the further run.
pub(crate) async fn rerun_workflow(
    app: &App,
    id: &WorkflowId,
    asked: Asked<'_>,
) -> Result<WorkflowId, RerunError> {
    let run = find_run(&mut app.store.read().await?, id).await?;
    check_source(app, &run.pipeline).await?;
    contention::retry(|| try_one(app, &run, None, asked)).await
}

/// Runs a job again, and what follows it, in a further run of its workflow. Returns that.
pub(crate) async fn rerun_job(
    app: &App,
    id: &JobId,
    asked: Asked<'_>,
) -> Result<WorkflowId, RerunError> {
    let run = {
        let mut conn = app.store.read().await?;
        let unknown = || RerunError::Unknown { kind: "job", id: id.to_string() };
        let job = jobs::get(&mut conn, id).await?.ok_or_else(unknown)?;
        find_run(&mut conn, &job.workflow).await?
    };
    check_source(app, &run.pipeline).await?;
    contention::retry(|| try_one(app, &run, Some(id), asked)).await
}

/// Runs the workflows of a pipeline again, or those that failed. Of a setup the setup itself, which
/// then goes on anew.
pub(crate) async fn rerun_pipeline(
    app: &App,
    id: &PipelineId,
    asked: Asked<'_>,
) -> Result<(), RerunError> {
    check_source(app, id).await?;
    contention::retry(|| try_all(app, id, asked)).await
}

async fn find_run(conn: &mut Conn, id: &WorkflowId) -> Result<Run, RerunError> {
    let unknown = || RerunError::Unknown { kind: "workflow", id: id.to_string() };
    runs::get(conn, id).await?.ok_or_else(unknown)
}

/// Refuses a pipeline whose source is not here any more.
async fn check_source(app: &App, id: &PipelineId) -> Result<(), RerunError> {
    let unknown = || RerunError::Unknown { kind: "pipeline", id: id.to_string() };
    let mut conn = app.store.read().await?;
    let standing = pipelines::standing(&mut conn, id).await?.ok_or_else(unknown)?;
    let Some(source) = standing.source else { return Ok(()) };
    match sources::place(&mut conn, &source).await? {
        Some(_) => Ok(()),
        None => Err(RerunError::SourceGone),
    }
}

async fn try_one(
    app: &App,
    run: &Run,
    job: Option<&JobId>,
    asked: Asked<'_>,
) -> Result<WorkflowId, RerunError> {
    let mut tx = app.store.write().await?;
    let all = lock_runs(&mut tx, &run.pipeline).await?;
    let added = add_run(&mut tx, app, run, &all, job, asked).await?;
    tx.wake_pipeline(run.pipeline.as_str());
    tx.commit().await?;
    tracing::info!(pipeline.id = %run.pipeline, workflow.id = %added, by = asked.by, "runs again");
    Ok(added)
}

async fn try_all(app: &App, id: &PipelineId, asked: Asked<'_>) -> Result<(), RerunError> {
    let mut tx = app.store.write().await?;
    let all = lock_runs(&mut tx, id).await?;
    let is_setup = setups::get(&mut tx, id).await?.is_some();
    let mut chosen = runs::current(all.clone());
    if asked.kind == RerunKind::FromStart {
        chosen.retain(|run| !(is_setup && run.is_continuation));
    } else {
        if let Some(open) = chosen.iter().find(|run| run.phase != Phase::Ended) {
            return Err(RerunError::StillRuns(open.name.clone()));
        }
        chosen.retain(|run| !run.outcome.is_some_and(Outcome::is_success));
    }
    if chosen.is_empty() {
        return Err(RerunError::NoneFailed);
    }
    for run in &chosen {
        add_run(&mut tx, app, run, &all, None, asked).await?;
    }
    tx.wake_pipeline(id.as_str());
    tx.commit().await?;
    tracing::info!(pipeline.id = %id, by = asked.by, "runs again");
    Ok(())
}

/// Locks a pipeline, and makes one run again that was canceled. Returns its runs.
async fn lock_runs(tx: &mut WriteTx, id: &PipelineId) -> Result<Vec<Run>, RerunError> {
    locks::pipeline(tx, id).await?;
    locks::groups_of_pipeline(tx, id).await?;
    let unknown = || RerunError::Unknown { kind: "pipeline", id: id.to_string() };
    let standing = pipelines::standing(tx, id).await?.ok_or_else(unknown)?;
    let all = runs::of_pipeline(tx, id).await?;
    if standing.is_canceled {
        // What ends late must not start what waits for it.
        if standing.is_being_canceled || all.iter().any(|run| run.phase != Phase::Ended) {
            return Err(RerunError::BeingCanceled);
        }
        pipelines::forget_cancel(tx, id).await?;
    }
    Ok(all)
}

/// Adds a further run of a workflow, and starts what can start. Returns it.
async fn add_run(
    tx: &mut WriteTx,
    app: &App,
    of: &Run,
    all: &[Run],
    job: Option<&JobId>,
    asked: Asked<'_>,
) -> Result<WorkflowId, RerunError> {
    let same = || all.iter().filter(|run| run.first == of.first);
    let is_setup = !of.is_continuation && setups::get(tx, &of.pipeline).await?.is_some();
    let mut in_the_way = all.iter().filter(|run| run.first == of.first || is_setup);
    if let Some(open) = in_the_way.find(|run| run.phase != Phase::Ended) {
        return Err(RerunError::StillRuns(open.name.clone()));
    }
    let number = same().map(|run| run.number).max().unwrap_or(1) + 1;
    if number > MAX_RUNS {
        return Err(RerunError::TooOften(of.name.clone()));
    }
    let fates = decide_fates(tx, of, job, asked.kind).await?;
    check_workspace(tx, &fates, app.clock.wall_ms()).await?;
    if is_setup {
        setups::reopen(tx, &of.pipeline).await?;
    }
    let (id, now_ms) = (WorkflowId::generate(), app.clock.wall_ms());
    let kind = if job.is_some() && asked.kind == RerunKind::FromStart {
        RerunKind::Job
    } else {
        asked.kind
    };
    let new = NewRun { id: &id, of, number, kind, by: asked.by, now_ms };
    let repeated = runs::insert(tx, &new, &fates).await?;
    if let (Some(wish), Some(job)) = (asked.ssh, job) {
        let added = repeated.iter().find(|(old, _)| old.id == *job).map(|(_, new)| new);
        grant_access(tx, app, (&of.pipeline, job, added), (asked.by, wish)).await?;
    }
    move_on(tx, &id, &of.pipeline, now_ms).await?;
    Ok(id)
}

/// Decides for each job of a run whether it runs again, and whether only its failed tests do.
async fn decide_fates(
    tx: &mut WriteTx,
    of: &Run,
    job: Option<&JobId>,
    kind: RerunKind,
) -> Result<Vec<(RunJob, Fate)>, RerunError> {
    let jobs = runs::jobs_of(tx, &of.id).await?;
    let past: Vec<PastJob<'_>> = jobs
        .iter()
        .map(|job| PastJob { name: &job.name, requires: &job.requires, outcome: job.outcome })
        .collect();
    let asked = job.and_then(|id| jobs.iter().position(|job| job.id == *id));
    let which = match (asked, kind) {
        (Some(index), _) => Which::Job(index),
        (None, RerunKind::FromStart | RerunKind::Job) => Which::All,
        (None, RerunKind::FromFailed | RerunKind::FailedTests) => Which::FromFailed,
    };
    let again = jobs_to_rerun(&past, which);
    if !again.contains(&true) {
        return Err(RerunError::NothingFailed(of.name.clone()));
    }
    let mut fates = Vec::with_capacity(jobs.len());
    let (mut has_tests, mut refusal) = (false, None);
    for (index, (job, again)) in jobs.into_iter().zip(again).enumerate() {
        let is_asked = asked.is_none_or(|asked| asked == index);
        let mut failed_tests_of = None;
        if again
            && is_asked
            && kind == RerunKind::FailedTests
            && job.outcome != Some(Outcome::NotRun)
        {
            match find_failed_tests(tx, &job).await? {
                Ok(()) => failed_tests_of = Some(job.ran_as.clone()),
                Err(why) => refusal = refusal.or(Some(why)),
            }
        }
        has_tests |= failed_tests_of.is_some();
        let fate = if again { Fate::Again(failed_tests_of) } else { Fate::Kept };
        fates.push((job, fate));
    }
    match refusal {
        Some(why) if !has_tests => Err(why),
        _ => Ok(fates),
    }
}

/// Looks for failed tests of a job, and for the command that runs them alone. A script may call it
/// too, which cannot be seen here, so only the steps of the configuration count.
async fn find_failed_tests(
    conn: &mut Conn,
    job: &RunJob,
) -> Result<Result<(), RerunError>, StoreError> {
    let counts = test_results::counts(conn, [job.ran_as.as_str()]).await?;
    let has = |outcome: &&str| counts.values().any(|counts| counts.contains_key(*outcome));
    if !["failure", "error"].iter().any(has) {
        return Ok(Err(RerunError::NoFailedTests(job.name.clone())));
    }
    let spec = jobs::read_spec(conn, &job.ran_as).await?;
    let calls_it = spec.steps.iter().any(|step| match &step.action {
        Action::Run(run) => run.command.contains("tests run"),
        _ => false,
    });
    Ok(if calls_it { Ok(()) } else { Err(RerunError::NoTestsRun(job.name.clone())) })
}

/// Refuses to keep a job whose part of the workspace has expired, where another one attaches it.
async fn check_workspace(
    conn: &mut Conn,
    fates: &[(RunJob, Fate)],
    now_ms: i64,
) -> Result<(), RerunError> {
    let mut attaches = false;
    for (job, _) in fates.iter().filter(|(_, fate)| *fate != Fate::Kept) {
        let steps = jobs::read_spec(conn, &job.ran_as).await?.steps;
        attaches |= steps.iter().any(|step| matches!(step.action, Action::AttachWorkspace { .. }));
    }
    if !attaches {
        return Ok(());
    }
    let kept = fates
        .iter()
        .filter(|(job, fate)| *fate == Fate::Kept && job.outcome == Some(Outcome::Success));
    for (job, _) in kept {
        let steps = jobs::read_spec(conn, &job.ran_as).await?.steps;
        let persists =
            steps.iter().any(|step| matches!(step.action, Action::PersistToWorkspace { .. }));
        if persists && !workspaces::has_layers(conn, &job.ran_as, now_ms).await? {
            return Err(RerunError::WorkspaceGone { job: job.name.clone() });
        }
    }
    Ok(())
}
