//! Pages of machines: all of them with the queues that they serve, and one with all that it says of
//! itself.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use russet_protocol::admin::{ResourceClassItem, RunnerItem};
use russet_protocol::machine::ServerPause;

use super::buttons;
use super::errors::{PageError, render_html};
use super::overview::{MAX_SHOWN, queued_jobs};
use super::view;
use super::visit::Visit;
use crate::runner_items::visible_runners;
use crate::state::App;
use crate::store::open_jobs::OpenJob;
use crate::store::{classes, pauses, projects, tasks};

/// A class, and how many tasks of it wait and run.
#[derive(Debug)]
struct ClassLine {
    item: ResourceClassItem,
    pause: Option<ServerPause>,
    queued: u64,
    running: u64,
}

#[derive(Debug, Template)]
#[template(path = "runners.html")]
struct RunnersPage {
    visit: Visit,
    classes: Vec<ClassLine>,
    runners: Vec<RunnerItem>,
    waiting: Vec<OpenJob>,
    now_ms: u64,
}

/// Runners and the queues that they serve.
pub(super) async fn runners_page(
    State(app): State<App>,
    visit: Visit,
) -> Result<Response, PageError> {
    let mut conn = app.store.read().await?;
    let sight = visit.sight();
    let within = projects::within(&mut conn, &sight).await?;
    let mut lines = Vec::new();
    let all = pauses::all(&mut conn, app.clock.wall_ms()).await?;
    let mut classes = classes::list(&mut conn, None).await?;
    classes.retain(|item| sight.covers(Some(item.resource_class.namespace())));
    for item in classes {
        let (queued, running) = tasks::counts(&mut conn, &item.resource_class).await?;
        let pause = all.of_class(item.resource_class.as_str()).cloned();
        lines.push(ClassLine { item, pause, queued, running });
    }
    let runners = visible_runners(&app, &mut conn, &sight).await?;
    let waiting = queued_jobs(&app, &mut conn, &sight, within.as_deref()).await?;
    drop(conn);
    let now_ms = app.now_ms();
    render_html(&RunnersPage { visit, classes: lines, runners, waiting, now_ms })
}

#[derive(Debug, Template)]
#[template(path = "machine.html")]
struct MachinePage {
    visit: Visit,
    name: String,
    /// The machine in each of its classes.
    runners: Vec<RunnerItem>,
    now_ms: u64,
}

/// A machine in each of its classes.
pub(super) async fn machine_page(
    State(app): State<App>,
    visit: Visit,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let mut conn = app.store.read().await?;
    let mut runners = visible_runners(&app, &mut conn, &visit.sight()).await?;
    drop(conn);
    runners.retain(|runner| runner.name == name);
    if runners.is_empty() {
        return Err(PageError::NotFound);
    }
    render_html(&MachinePage { visit, name, runners, now_ms: app.now_ms() })
}
