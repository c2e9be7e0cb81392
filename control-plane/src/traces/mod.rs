//! Traces of pipelines, from the submit to each step, for a collector that speaks OTLP.
//!
//! A span is made when what it is of has ended, from what is stored: so nothing is kept in memory
//! meanwhile, a restart loses nothing that has not ended, and any server may make any span. Steps are
//! told with their task: until it ends, it may be put back and forget them. A collector that is away or
//! slow never makes a task wait: what does not fit is dropped, and counted.

mod exporter;
mod ids;
mod spans;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use russet_protocol::ids::PipelineId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{timeout, timeout_at};

use crate::scheduler::workflow::worst_outcome;
use crate::state::App;
use crate::store::traced::{TracedPipeline, TracedWorkflow};
use crate::store::{Conn, StoreError, steps, traced, workflows};
use crate::trace_events::{Ended, EndedSink, SpanCounts};
pub(crate) use exporter::{TracesError, endpoint_for_people};
pub(crate) use ids::{TraceParent, trace_of_pipeline};
use spans::Trace;

/// Spans that are sent at once.
const MAX_BATCH: usize = 512;

/// Longest time that a span waits for others to be sent with.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Pauses before a batch is sent again that was not taken.
const RETRY_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Time that the last spans have when the server stops.
const LAST_TIMEOUT: Duration = Duration::from_secs(2);

/// Time between two log lines about spans that were not taken.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Maker of spans, which is to be run.
#[derive(Debug)]
pub(crate) struct Tracer {
    exporter: SpanExporter,
    ended: mpsc::Receiver<Ended>,
    counts: Arc<SpanCounts>,
    spans: Vec<SpanData>,
    logged: Option<Instant>,
}

/// Makes traces for a collector: the way for what ends, and the maker of spans.
pub(crate) fn open_tracer(
    endpoint: &str,
    server: &str,
    counts: Arc<SpanCounts>,
) -> Result<(EndedSink, Tracer), TracesError> {
    let exporter = exporter::make_exporter(endpoint, server)?;
    let (sink, ended) = EndedSink::new(Arc::clone(&counts));
    Ok((sink, Tracer { exporter, ended, counts, spans: Vec::new(), logged: None }))
}

impl Tracer {
    /// Makes spans and sends them until `stop`, then those that are left.
    pub(crate) async fn run(mut self, app: App, mut stop: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                // An error means that the server is gone already.
                _ = &mut stop => break,
                () = self.make_and_send(&app) => {}
            }
        }
        let last = async {
            while let Ok(ended) = self.ended.try_recv() {
                self.add(&app, &ended).await;
            }
            while !self.spans.is_empty() && self.export_batch().await.is_ok() {}
        };
        drop(timeout(LAST_TIMEOUT, last).await);
        self.count_failed(self.spans.len());
    }

    /// Waits for something that ended, makes spans of what ends within a moment, and sends them.
    async fn make_and_send(&mut self, app: &App) {
        let Some(ended) = self.ended.recv().await else {
            return std::future::pending().await;
        };
        self.add(app, &ended).await;
        let due = tokio::time::Instant::now() + BATCH_INTERVAL;
        while self.spans.len() < MAX_BATCH {
            match timeout_at(due, self.ended.recv()).await {
                Ok(Some(ended)) => self.add(app, &ended).await,
                Ok(None) | Err(_) => break,
            }
        }
        while !self.spans.is_empty() {
            self.send_batch().await;
        }
    }

    /// Sends a batch, again where it is not taken, and gives it up in the end.
    async fn send_batch(&mut self) {
        for pause in RETRY_PAUSES.into_iter().map(Some).chain([None]) {
            let Err(error) = self.export_batch().await else { return };
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => {
                    let length = self.spans.len().min(MAX_BATCH);
                    self.spans.drain(..length);
                    self.count_failed(length);
                    self.log_failure(&error);
                }
            }
        }
    }

    /// Sends a batch. It stays until it was taken: this may be given up in the middle.
    async fn export_batch(&mut self) -> OTelSdkResult {
        let length = self.spans.len().min(MAX_BATCH);
        self.exporter.export(self.spans[..length].to_vec()).await?;
        self.spans.drain(..length);
        self.counts.exported.fetch_add(length as u64, Ordering::Relaxed);
        Ok(())
    }

    fn count_failed(&self, spans: usize) {
        self.counts.failed.fetch_add(spans as u64, Ordering::Relaxed);
    }

    fn log_failure(&mut self, error: &OTelSdkError) {
        let now = Instant::now();
        if self.logged.is_none_or(|at| now.saturating_duration_since(at) >= LOG_INTERVAL) {
            self.logged = Some(now);
            tracing::warn!(%error, "the collector does not take traces: some are lost");
        }
    }

    /// Makes the spans of what has ended.
    async fn add(&mut self, app: &App, ended: &Ended) {
        match make_spans(app, ended).await {
            Ok(spans) => self.spans.extend(spans),
            Err(error) => {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(error = russet_text::error_chain(&error), "a span was not made");
            }
        }
    }
}

/// Returns the spans of what has ended; none of what was deleted meanwhile.
async fn make_spans(app: &App, ended: &Ended) -> Result<Vec<SpanData>, StoreError> {
    let mut conn = app.store.read().await?;
    let spans = match ended {
        Ended::Submit(id) => {
            let pipeline = traced::pipeline(&mut conn, id).await?;
            pipeline.and_then(|pipeline| Some(vec![trace_of(app, &pipeline)?.compile(&pipeline)]))
        }
        Ended::Task(id) => match traced::task(&mut conn, id).await? {
            Some(task) => {
                let trace = find_trace(app, &mut conn, &task.pipeline).await?;
                let steps = steps::of_task(&mut conn, id).await?;
                trace.map(|(trace, _)| trace.task(&task, &steps))
            }
            None => None,
        },
        Ended::Job(id) => match traced::job(&mut conn, id).await? {
            Some(job) => {
                let trace = find_trace(app, &mut conn, &job.pipeline).await?;
                trace.map(|(trace, _)| vec![trace.job(&job)])
            }
            None => None,
        },
        Ended::Workflow(id) => match traced::workflow(&mut conn, id).await? {
            Some(workflow) => end_workflow(app, &mut conn, &workflow).await?,
            None => None,
        },
    };
    Ok(spans.unwrap_or_default())
}

fn trace_of(app: &App, pipeline: &TracedPipeline) -> Option<Trace> {
    Trace::of(pipeline, app.public_url.as_deref())
}

/// Finds the trace of a pipeline; `None` where it has none.
async fn find_trace(
    app: &App,
    conn: &mut Conn,
    id: &PipelineId,
) -> Result<Option<(Trace, TracedPipeline)>, StoreError> {
    let pipeline = traced::pipeline(conn, id).await?;
    Ok(pipeline.and_then(|pipeline| Some((trace_of(app, &pipeline)?, pipeline))))
}

/// Makes the span of a workflow, and where it was the last one, that of its pipeline.
async fn end_workflow(
    app: &App,
    conn: &mut Conn,
    workflow: &TracedWorkflow,
) -> Result<Option<Vec<SpanData>>, StoreError> {
    let found = find_trace(app, conn, &workflow.pipeline).await?;
    let Some((trace, pipeline)) = found else { return Ok(None) };
    let mut spans = vec![trace.workflow(workflow, pipeline.created_ms)];
    if workflows::all_ended(conn, &pipeline.id).await? {
        let outcome = worst_outcome(traced::outcomes(conn, &pipeline.id).await?.into_iter());
        let mut tx = app.store.write().await?;
        if traced::mark_traced(&mut tx, &pipeline.id, app.clock.wall_ms()).await? {
            tx.commit().await?;
            spans.push(trace.pipeline(&pipeline, outcome));
        } else {
            tx.rollback().await?;
        }
    }
    Ok(Some(spans))
}
