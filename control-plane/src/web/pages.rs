//! The pages: each reads what it shows in one go, and a template makes text of it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use russet_protocol::admin::{ArtifactItem, Job, Pipeline, ResourceClassItem, RunnerItem};
use russet_protocol::ids::{JobId, PipelineId};
use russet_protocol::outcome::Phase;
use russet_protocol::runner::{TestOutcome, TestResult};
use serde::Deserialize;

use super::buttons;
use super::tasks::{TaskView, by_task};
use super::view;
use super::visit::Visit;
use crate::api::Refusal;
use crate::runner_items::list_runners;
use crate::state::App;
use crate::store::{
    StoreError, artifacts, classes, job_tasks, jobs, pipelines, steps, tasks, test_results,
};
use crate::waits::Explainer;

/// Number of pipelines that are listed.
const PIPELINES: u32 = 50;

/// Number of tests that failed that are shown; the command shows all.
const FAILED_TESTS: usize = 20;

/// Reason why there is no page.
#[derive(Debug)]
pub(super) enum PageError {
    NotFound,
    /// There is no session.
    LoggedOut,
    /// A form did not come from a page of ours.
    Foreign,
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        Self::Internal(Box::new(error))
    }
}

/// A page that says why there is no other one.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage {
    status: StatusCode,
    title: String,
    hint: Option<String>,
    /// Details, a line each.
    details: Vec<String>,
    link: String,
    link_words: &'static str,
}

impl ErrorPage {
    fn new(status: StatusCode, title: &str, hint: Option<&str>) -> Self {
        Self {
            status,
            title: title.to_owned(),
            hint: hint.map(str::to_owned),
            details: Vec::new(),
            link: "/".to_owned(),
            link_words: "Overview",
        }
    }

    /// The page for a form of somebody whose session has ended.
    pub(super) fn logged_out(login: String) -> Self {
        let hint = "Nothing was changed. Log in, and press the button again.";
        let page = Self::new(StatusCode::UNAUTHORIZED, "Your session has ended", Some(hint));
        Self { link: login, link_words: "Log in", ..page }
    }

    /// The page for a field of a form that cannot be read.
    pub(super) fn unreadable(words: String, back: String) -> Self {
        let page = Self::new(StatusCode::BAD_REQUEST, "This form cannot be read", Some(&words));
        Self { link: back, link_words: "Back", ..page }
    }

    /// The page for a call that was refused.
    pub(super) fn refused(refusal: Refusal, back: String) -> Self {
        let status = StatusCode::from_u16(refusal.status);
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            title: refusal.problem.message,
            hint: refusal.problem.hint,
            details: refusal.problem.diagnostics,
            link: back,
            link_words: "Back",
        }
    }
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        match render_html(&self) {
            Ok(mut response) => {
                *response.status_mut() = self.status;
                response
            }
            Err(_) => (self.status, self.title).into_response(),
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let page = match self {
            Self::NotFound => ErrorPage::new(StatusCode::NOT_FOUND, "There is no such page", None),
            Self::LoggedOut => ErrorPage::logged_out("/login".to_owned()),
            Self::Foreign => {
                let hint = "Nothing was changed. It did not come from a page of this server, or from one of an \
                            earlier session: load the page again, and press the button there.";
                ErrorPage::new(StatusCode::FORBIDDEN, "This form was refused", Some(hint))
            }
            Self::Internal(error) => {
                tracing::error!(
                    error = russet_text::error_chain(&*error),
                    "a page could not be made"
                );
                let title = "The control plane failed";
                let hint = "Its log says why.";
                ErrorPage::new(StatusCode::INTERNAL_SERVER_ERROR, title, Some(hint))
            }
        };
        page.into_response()
    }
}

/// A page of a template.
pub(super) fn render_html(page: &impl Template) -> Result<Response, PageError> {
    let text = page.render().map_err(|error| PageError::Internal(Box::new(error)))?;
    Ok(([(CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response())
}

pub(super) fn now_ms(app: &App) -> u64 {
    u64::try_from(app.clock.wall_ms()).unwrap_or(0)
}

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    project: Option<String>,
}

#[derive(Debug, Template)]
#[template(path = "pipelines.html")]
struct PipelinesPage {
    visit: Visit,
    pipelines: Vec<Pipeline>,
    project: Option<String>,
    now_ms: u64,
}

/// The latest pipelines.
pub(super) async fn pipelines_page(
    State(app): State<App>,
    visit: Visit,
    Query(filter): Query<Filter>,
) -> Result<Response, PageError> {
    let mut conn = app.store.read().await?;
    let pipelines = pipelines::list(&mut conn, filter.project.as_deref(), PIPELINES).await?;
    drop(conn);
    render_html(&PipelinesPage { visit, pipelines, project: filter.project, now_ms: now_ms(&app) })
}

#[derive(Debug, Template)]
#[template(path = "pipeline.html")]
struct PipelinePage {
    visit: Visit,
    pipeline: Pipeline,
    now_ms: u64,
}

/// A pipeline with its jobs.
pub(super) async fn pipeline_page(
    State(app): State<App>,
    visit: Visit,
    Path(id): Path<PipelineId>,
) -> Result<Response, PageError> {
    let mut conn = app.store.read().await?;
    let mut pipeline = pipelines::get(&mut conn, &id).await?.ok_or(PageError::NotFound)?;
    let mut explainer = Explainer::default();
    for job in pipeline.workflows.iter_mut().flat_map(|workflow| &mut workflow.jobs) {
        explainer.explain_wait(&app, &mut conn, job).await?;
    }
    drop(conn);
    render_html(&PipelinePage { visit, pipeline, now_ms: now_ms(&app) })
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
    now_ms: u64,
}

impl JobPage {
    fn is_over(&self) -> bool {
        self.job.phase == Phase::Ended
    }

    fn tests(&self) -> u64 {
        self.job.tests.values().sum()
    }
}

/// A job with its steps.
pub(super) async fn job_page(
    State(app): State<App>,
    visit: Visit,
    Path(id): Path<JobId>,
) -> Result<Response, PageError> {
    let mut conn = app.store.read().await?;
    let row = jobs::get(&mut conn, &id).await?.ok_or(PageError::NotFound)?;
    let pipeline = pipelines::get(&mut conn, &row.pipeline).await?.ok_or(PageError::NotFound)?;
    let mut job = row.job;
    Explainer::default().explain_wait(&app, &mut conn, &mut job).await?;
    let steps = steps::of_job(&mut conn, &id).await?.into_iter().map(|row| row.step);
    let steps: Vec<_> = steps.collect();
    let tasks = job_tasks::of_job(&mut conn, &id).await?;
    let artifacts = artifacts::of_job(&mut conn, &id).await?;
    let mut failed_tests = test_results::of_job(&mut conn, &id).await?;
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
        now_ms: now_ms(&app),
    })
}

/// A class, and how many tasks of it wait and run.
#[derive(Debug)]
struct ClassLine {
    item: ResourceClassItem,
    queued: u64,
    running: u64,
}

#[derive(Debug, Template)]
#[template(path = "runners.html")]
struct RunnersPage {
    visit: Visit,
    classes: Vec<ClassLine>,
    runners: Vec<RunnerItem>,
}

/// Runners and the queues that they serve.
pub(super) async fn runners_page(
    State(app): State<App>,
    visit: Visit,
) -> Result<Response, PageError> {
    let mut conn = app.store.read().await?;
    let mut lines = Vec::new();
    for item in classes::list(&mut conn, None).await? {
        let (queued, running) = tasks::counts(&mut conn, &item.resource_class).await?;
        lines.push(ClassLine { item, queued, running });
    }
    let runners = list_runners(&app, &mut conn).await?;
    drop(conn);
    render_html(&RunnersPage { visit, classes: lines, runners })
}
