//! Pages of a pipeline and of a job: each reads what it shows in one go, and a template makes text of it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use russet_protocol::admin::{ArtifactItem, Job, Pipeline};
use russet_protocol::outcome::Phase;
use russet_protocol::runner::{TestOutcome, TestResult};
use russet_protocol::ssh::SshItem;

use super::buttons::{self, Button};
use super::errors::{PageError, render_html};
use super::tasks::{TaskView, by_task};
use super::view;
use super::visit::Visit;
use crate::references::{find_job, find_pipeline};
use crate::ssh_ways;
use crate::state::App;
use crate::store::{artifacts, classes, job_tasks, jobs, pipelines, steps, test_results};
use crate::waits::Explainer;

/// Number of tests that failed that are shown; the command shows all.
const FAILED_TESTS: usize = 20;

#[derive(Debug, Template)]
#[template(path = "pipeline.html")]
struct PipelinePage {
    visit: Visit,
    pipeline: Pipeline,
    now_ms: u64,
}

/// A pipeline with its jobs. Other names than its id lead there.
pub(super) async fn pipeline_page(
    State(app): State<App>,
    visit: Visit,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let mut conn = app.store.read().await?;
    let id = find_pipeline(&mut conn, &name, &visit.sight()).await?;
    if id.as_str() != name {
        return Ok(Redirect::to(&format!("/pipelines/{id}")).into_response());
    }
    let mut pipeline = pipelines::get(&mut conn, &id).await?.ok_or(PageError::NotFound)?;
    visit.check_name(&pipeline.project)?;
    let mut explainer = Explainer::new(visit.sight());
    for job in pipeline.workflows.iter_mut().flat_map(|workflow| &mut workflow.jobs) {
        explainer.explain_wait(&app, &mut conn, job).await?;
    }
    drop(conn);
    render_html(&PipelinePage { visit, pipeline, now_ms: app.now_ms() })
}

#[derive(Debug, Template)]
#[template(path = "job.html")]
struct JobPage {
    visit: Visit,
    pipeline: Pipeline,
    job: Job,
    tasks: Vec<TaskView>,
    artifacts: Vec<ArtifactItem>,
    failed_tests: Vec<TestResult>,
    /// Ways into its tasks by SSH.
    ways: Vec<SshItem>,
    /// Set if its class lets people rerun it with SSH.
    allows_ssh: bool,
    now_ms: u64,
}

impl JobPage {
    fn is_over(&self) -> bool {
        self.job.phase == Phase::Ended
    }

    /// Buttons of the job.
    fn buttons(&self) -> Vec<Button> {
        let project = self.pipeline.project.as_str();
        let mut buttons = buttons::of_job(&self.job, project);
        let again = self.allows_ssh.then(|| buttons::of_rerun_with_ssh(&self.job, project));
        buttons.extend(again.flatten());
        buttons
    }

    /// Buttons of the hold of its tasks, while there is one.
    fn hold_buttons(&self) -> Vec<Button> {
        match self.ways.iter().any(|way| way.phase.is_reachable()) {
            true => buttons::of_hold(&self.job, self.pipeline.project.as_str()),
            false => Vec::new(),
        }
    }

    fn tests(&self) -> u64 {
        self.job.tests.values().sum()
    }
}

/// A job with its steps. Other names than its id lead there.
pub(super) async fn job_page(
    State(app): State<App>,
    visit: Visit,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let mut conn = app.store.read().await?;
    let id = find_job(&mut conn, &name, &visit.sight()).await?;
    if id.as_str() != name {
        return Ok(Redirect::to(&format!("/jobs/{id}")).into_response());
    }
    let row = jobs::get(&mut conn, &id).await?.ok_or(PageError::NotFound)?;
    let pipeline = pipelines::get(&mut conn, &row.pipeline).await?.ok_or(PageError::NotFound)?;
    visit.check_name(&pipeline.project)?;
    let mut job = row.job;
    Explainer::new(visit.sight()).explain_wait(&app, &mut conn, &mut job).await?;
    let steps = steps::of_job(&mut conn, &id).await?.into_iter().map(|row| row.step);
    let steps: Vec<_> = steps.collect();
    let tasks = job_tasks::of_job(&mut conn, &id).await?;
    let artifacts = artifacts::of_job(&mut conn, &id).await?;
    let mut failed_tests = test_results::of_job(&mut conn, &id).await?;
    let ways = match job.ssh {
        Some(_) => ssh_ways::list_ways(&mut conn, &id).await?.unwrap_or_default(),
        None => Vec::new(),
    };
    let allows_ssh = match &job.resource_class {
        Some(class) => classes::ssh_of(&mut conn, class).await?.is_some_and(|ssh| ssh.allow_ssh),
        None => false,
    };
    drop(conn);
    failed_tests.retain(|test| matches!(test.result, TestOutcome::Failure | TestOutcome::Error));
    failed_tests.truncate(FAILED_TESTS);
    let artifacts = artifacts.into_iter().map(|stored| stored.item).collect();
    let tasks = by_task(job.parallelism, tasks, &steps);
    render_html(&JobPage {
        visit,
        pipeline,
        job,
        tasks,
        artifacts,
        failed_tests,
        ways,
        allows_ssh,
        now_ms: app.now_ms(),
    })
}
