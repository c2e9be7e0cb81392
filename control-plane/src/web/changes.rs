//! Server-sent events that say only that something changed: a page then asks for itself again.
//!
//! So what a page shows is made in one place, and a slow browser costs nothing: changes between
//! two of its looks are one.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use russet_protocol::ids::{JobId, PipelineId};

use super::errors::PageError;
use super::visit::Visit;
use crate::signals::Subscription;
use crate::state::App;
use crate::store::{jobs, names, projects};

/// The shortest time between two events.
const PAUSE: Duration = Duration::from_millis(500);

/// Interval of comments while nothing happens, so that proxies leave the connection be.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) async fn of_pipeline(
    State(app): State<App>,
    visit: Visit,
    Path(id): Path<PipelineId>,
) -> Result<Response, PageError> {
    let mut conn = app.store.read().await?;
    let project = projects::of_pipeline(&mut conn, &id).await?.ok_or(PageError::NotFound)?;
    visit.check_name(&project)?;
    drop(conn);
    Ok(events(app, &id))
}

pub(super) async fn of_job(
    State(app): State<App>,
    visit: Visit,
    Path(id): Path<JobId>,
) -> Result<Response, PageError> {
    let mut conn = app.store.read().await?;
    let job = jobs::get(&mut conn, &id).await?.ok_or(PageError::NotFound)?;
    let project = names::project_of_job(&mut conn, &id).await?.ok_or(PageError::NotFound)?;
    visit.check_name(&project)?;
    drop(conn);
    Ok(events(app, &job.pipeline))
}

/// The first event comes at once: the page was made before the subscription.
fn events(app: App, pipeline: &PipelineId) -> Response {
    let changes = app.bus().pipelines.subscribe(pipeline.as_str());
    let frames = stream::unfold((app, changes, true), |(app, mut changes, first)| async move {
        let frame = if first { CHANGED } else { next(&app, &mut changes).await? };
        Some((Ok::<_, Infallible>(Bytes::from_static(frame)), (app, changes, false)))
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(frames)).into_response()
}

const CHANGED: &[u8] = b"data: changed\n\n";

/// `None` when the server stops.
async fn next(app: &App, changes: &mut Subscription) -> Option<&'static [u8]> {
    tokio::select! {
        () = changes.changed() => {}
        () = tokio::time::sleep(KEEP_ALIVE) => return Some(b":\n\n"),
        () = app.closed() => return None,
    }
    tokio::select! {
        () = tokio::time::sleep(PAUSE) => Some(CHANGED),
        () = app.closed() => None,
    }
}
