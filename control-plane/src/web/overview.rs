//! The first page: what needs somebody, then what waits and why, what runs, and what came last.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use russet_protocol::admin::{Pipeline, RunnerItem};
use russet_protocol::alerts::AlertItem;
use russet_protocol::ids::JobId;

use super::buttons;
use super::errors::{PageError, render_html};
use super::view;
use super::visit::Visit;
use crate::people::Reach;
use crate::runner_items::visible_runners;
use crate::state::App;
use crate::store::open_jobs::{self, OpenJob, Within};
use crate::store::pipeline_pages::{Filter, read_page};
use crate::store::{Conn, StoreError, alerts, projects};
use crate::waits::Explainer;

/// The most tasks of each kind that are looked at.
const MAX_TASKS: u32 = 200;

/// The most jobs of each kind that are shown.
pub(super) const MAX_SHOWN: usize = 50;

/// Number of pipelines that are shown.
const PIPELINES: u32 = 10;

#[derive(Debug, Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    visit: Visit,
    troubled: Vec<RunnerItem>,
    /// Runners that are there, with or without trouble.
    runners: usize,
    alerts: Vec<AlertItem>,
    approvals: Vec<OpenJob>,
    waiting: Vec<OpenJob>,
    running: Vec<OpenJob>,
    pipelines: Vec<Pipeline>,
    now_ms: u64,
}

impl OverviewPage {
    fn is_well(&self) -> bool {
        self.troubled.is_empty() && self.alerts.is_empty() && self.approvals.is_empty()
    }
}

/// The overview.
pub(super) async fn overview_page(
    State(app): State<App>,
    visit: Visit,
) -> Result<Response, PageError> {
    let mut conn = app.store.read().await?;
    let sight = visit.sight();
    let within = projects::within(&mut conn, &sight).await?;
    let mut troubled = visible_runners(&app, &mut conn, &sight).await?;
    let runners = troubled.len();
    troubled.retain(view::is_troubled);
    // Alerts are about the farm, of which those with roles in namespaces see a part.
    let alerts = match sight {
        Reach::Everywhere => alerts::list_open(&mut conn).await?,
        Reach::Within(_) => Vec::new(),
    };
    let approvals = open_jobs::on_hold(&mut conn, within.as_deref(), MAX_TASKS).await?;
    let waiting = queued_jobs(&app, &mut conn, &sight, within.as_deref()).await?;
    let running = open_jobs::running(&mut conn, within.as_deref(), MAX_TASKS).await?;
    let filter = Filter { within, ..Filter::default() };
    let pipelines = read_page(&mut conn, &filter, None, PIPELINES).await?.items;
    drop(conn);
    let now_ms = app.now_ms();
    render_html(&OverviewPage {
        visit,
        troubled,
        runners,
        alerts,
        approvals,
        waiting,
        running,
        pipelines,
        now_ms,
    })
}

/// Returns the jobs that wait for a runner or for their turn, each with its reason. Only those that are
/// shown are asked for one.
pub(super) async fn queued_jobs(
    app: &App,
    conn: &mut Conn,
    sight: &Reach,
    within: Within<'_>,
) -> Result<Vec<OpenJob>, StoreError> {
    let mut jobs = open_jobs::queued(conn, within, MAX_TASKS).await?;
    let known: BTreeSet<JobId> = jobs.iter().map(|job| job.row.job.id.clone()).collect();
    let in_groups = open_jobs::queued_in_groups(conn, within, MAX_TASKS).await?;
    let in_groups =
        in_groups.into_iter().chain(open_jobs::awaiting_room(conn, within, MAX_TASKS).await?);
    jobs.extend(in_groups.into_iter().filter(|job| !known.contains(&job.row.job.id)));
    let mut explainer = Explainer::new(sight.clone());
    for job in jobs.iter_mut().take(MAX_SHOWN) {
        explainer.explain_wait(app, conn, &mut job.row.job).await?;
    }
    Ok(jobs)
}
