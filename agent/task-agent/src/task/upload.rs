//! Sending what is on disk: output and events.
//!
//! Whatever is new is sent at once. While a call is under way more comes together and goes with
//! the next one, so a chatty step costs few calls and a quiet one no delay.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use reqwest::{Method, StatusCode};
use russet_protocol::runner::{EventsRequest, EventsResponse};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::api::{Api, ApiError};
use super::events::{BATCH, Events};
use super::spool::{MUCH, Spool, StepLog};
use super::stop::{Stop, StopSignal};

/// Most bytes of one call: what is [`MUCH`], and what came while it was on its way. Memory grows
/// with it, and beyond this speed does not.
const CHUNK: usize = 1024 * 1024;

/// Between two calls for output there is at least this pause, unless much has come together:
/// a step that prints line by line would cost a call and a commit for each.
const PACE: Duration = Duration::from_millis(20);

/// Sends output and events while the task runs.
#[derive(Debug)]
pub(crate) struct Uploader {
    spool: Arc<Spool>,
    events: Arc<Events>,
    api: Api,
    is_closing: watch::Sender<bool>,
    workers: Vec<JoinHandle<Result<(), ApiError>>>,
}

impl Uploader {
    /// Starts to send. A stale allocation stops the task.
    pub(crate) fn start(
        spool: &Arc<Spool>,
        events: &Arc<Events>,
        api: &Api,
        stop: &StopSignal,
    ) -> Self {
        let is_closing = watch::Sender::new(false);
        let output = {
            let (spool, events) = (Arc::clone(spool), Arc::clone(events));
            let (api, stop) = (api.clone(), stop.clone());
            let closing = is_closing.subscribe();
            tokio::spawn(async move {
                note_failure(send_output(&spool, &events, &api, closing).await, &stop)
            })
        };
        let happenings = {
            let (events, api, stop) = (Arc::clone(events), api.clone(), stop.clone());
            let closing = is_closing.subscribe();
            tokio::spawn(async move {
                note_failure(send_events(&events, &api, closing, BATCH).await, &stop)
            })
        };
        Self {
            spool: Arc::clone(spool),
            events: Arc::clone(events),
            api: api.clone(),
            is_closing,
            workers: vec![output, happenings],
        }
    }

    /// Nothing will be added any more: sends the rest and ends. The last events are left to
    /// `finish`, which carries them.
    pub(crate) async fn close(&mut self) -> Result<(), ApiError> {
        self.is_closing.send_replace(true);
        for worker in self.workers.drain(..) {
            worker.await.map_err(|error| ApiError::Local {
                call: "send output",
                message: error.to_string(),
            })??;
        }
        Ok(())
    }

    /// Sends once more what the server turned out not to have.
    pub(crate) async fn send_rest(&self) -> Result<(), ApiError> {
        let closed = watch::Sender::new(true);
        send_output(&self.spool, &self.events, &self.api, closed.subscribe()).await?;
        send_events(&self.events, &self.api, closed.subscribe(), 0).await
    }
}

fn note_failure(result: Result<(), ApiError>, stop: &StopSignal) -> Result<(), ApiError> {
    if let Err(ApiError::Stale(why)) = &result {
        stop.stop(Stop::Stale(why.clone()));
    }
    result
}

async fn send_output(
    spool: &Spool,
    events: &Events,
    api: &Api,
    mut closing: watch::Receiver<bool>,
) -> Result<(), ApiError> {
    let mut buffer = BytesMut::new();
    loop {
        let is_closing = *closing.borrow_and_update();
        let pending: Vec<_> =
            spool.logs().into_iter().filter(|log| log.pending() > 0 || !log.is_probed()).collect();
        if pending.is_empty() {
            if is_closing {
                return Ok(());
            }
            tokio::select! {
                () = spool.grown.notified() => {}
                _ = closing.changed() => {}
            }
            continue;
        }
        let mut most = 0;
        for log in pending {
            while log.committed() == 0 && events.come_before_output_of(log.number()) {
                send_batch(events, api).await?;
            }
            send_chunk(&log, api, &mut buffer).await?;
            most = log.pending().max(most);
        }
        if !is_closing && most < MUCH {
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                () = something_urgent(spool) => {}
                _ = closing.changed() => {}
            }
        }
    }
}

/// Returns when a step has its first output, which never waits, or when there is much.
async fn something_urgent(spool: &Spool) {
    while !spool.is_urgent() {
        spool.grown.notified().await;
    }
}

async fn send_chunk(log: &StepLog, api: &Api, buffer: &mut BytesMut) -> Result<(), ApiError> {
    // An empty chunk asks for the committed offset.
    let most = if log.is_probed() { CHUNK } else { 0 };
    let chunk = log.next_chunk(most, buffer).map_err(|error| ApiError::Local {
        call: "read the spooled output",
        message: error.to_string(),
    })?;
    let committed = api.append(log.number(), log.committed(), chunk).await?;
    log.set_committed(committed);
    Ok(())
}

/// At the end up to `spared` events are left unsent.
async fn send_events(
    events: &Events,
    api: &Api,
    mut closing: watch::Receiver<bool>,
    spared: usize,
) -> Result<(), ApiError> {
    loop {
        let is_closing = *closing.borrow_and_update();
        if is_closing && events.count_unsent() <= spared {
            return Ok(());
        }
        if events.count_unsent() == 0 {
            tokio::select! {
                () = events.added.notified() => {}
                _ = closing.changed() => {}
            }
            continue;
        }
        if !is_closing {
            // What happens right after goes along. A reader sees a step with its first output,
            // which does not wait for this.
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                _ = closing.changed() => continue,
            }
        }
        send_batch(events, api).await?;
    }
}

/// Sends the next events, if there are any.
async fn send_batch(events: &Events, api: &Api) -> Result<(), ApiError> {
    let _sending = events.sending.lock().await;
    let batch = events.unsent();
    if batch.is_empty() {
        return Ok(());
    }
    let body = EventsRequest { allocation: api.allocation().clone(), events: batch };
    let answer = api
        .small("send events", || api.request(Method::POST, "/api/v3/task/events").json(&body))
        .await?;
    match answer.json::<EventsResponse>() {
        Some(stored) => events.acknowledge(stored.last_seq),
        None if answer.status == StatusCode::CONFLICT => {
            return Err(ApiError::Stale(answer.message()));
        }
        // The batch is stored, only the answer is mangled; the replay will say so.
        None => tokio::time::sleep(PACE).await,
    }
    Ok(())
}
