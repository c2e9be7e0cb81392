//! `GET /api/v3/pipelines/{id}/stream`: a pipeline as it happens, as server-sent events.
//!
//! A reader has cursors into the store and is woken when something was committed: it then reads
//! what is above its cursors. So nothing is lost and nothing doubled however slow it is, and what
//! it costs is one piece of output, not what it has not read yet. Writers never wait for it.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use russet_protocol::admin::StreamEvent;
use tokio::sync::mpsc;

use super::pipelines::no_such_pipeline;
use crate::api::error::ApiError;
use crate::api::reach::Access;
use crate::api::refs::PipelineRef;
use crate::follow::{Follower, Sink};
use crate::signals::Subscription;
use crate::state::App;
use crate::store::pipelines;

/// Interval of comments while nothing happens, so that proxies leave the connection be.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Number of events that may wait for the reader.
const WAITING: usize = 2;

#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/pipelines/{id}/stream", tag = "admin", operation_id = "stream_stream",
    params(("id" = String, Path, description = "The pipeline")),
    responses((status = 200, description = "Server-sent events, each with this as its data", body = russet_protocol::admin::StreamEvent, content_type = "text/event-stream"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn stream(
    State(app): State<App>,
    access: Access,
    PipelineRef(id): PipelineRef,
) -> Result<Response, ApiError> {
    {
        let mut conn = app.store.read().await?;
        if !pipelines::exists(&mut conn, &id).await? {
            return Err(no_such_pipeline(&id));
        }
    }
    // Before the first read: what is committed after it wakes the follower.
    let changes = app.bus().pipelines.subscribe(id.as_str());
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(serve_events(app, Follower::new(id, access.sight()), changes, sender));
    let body = stream::unfold(receiver, |mut receiver| async {
        let event: Bytes = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(event), receiver))
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Sends until the pipeline has ended, the reader is gone or the server stops.
async fn serve_events(
    app: App,
    mut follower: Follower,
    mut changes: Subscription,
    sender: mpsc::Sender<Bytes>,
) {
    let _reading = app.readers.enter();
    let mut sink = Frames(sender.clone());
    let id = follower.pipeline().clone();
    let mut beats = tokio::time::interval(KEEP_ALIVE);
    beats.reset();
    loop {
        match follower.catch_up(&app, &mut sink).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::error!(error = russet_text::error_chain(&error), pipeline.id = %id, "a live view broke off");
                return;
            }
        }
        loop {
            let look = async {
                match follower.until_look(app.now_ms()) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changes.changed() => break,
                () = look => match follower.explain_waits(&app, &mut sink).await {
                    Ok(false) => {}
                    Ok(true) => return,
                    Err(error) => {
                        let error = russet_text::error_chain(&error);
                        tracing::warn!(error, pipeline.id = %id, "cannot say why jobs wait");
                    }
                },
                () = sender.closed() => return,
                () = app.closed() => return,
                _ = beats.tick() => {
                    if sender.send(Bytes::from_static(b":\n\n")).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// Events as the text of a stream of server-sent events.
#[derive(Debug)]
struct Frames(mpsc::Sender<Bytes>);

impl Sink for Frames {
    async fn send(&mut self, event: &StreamEvent) -> bool {
        let mut frame = b"data: ".to_vec();
        if let Err(error) = serde_json::to_writer(&mut frame, event) {
            tracing::error!(%error, "an event cannot be written");
            return false;
        }
        frame.extend_from_slice(b"\n\n");
        self.0.send(frame.into()).await.is_ok()
    }
}
