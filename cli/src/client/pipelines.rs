//! Pipelines, jobs and what jobs leave: output, artifacts, test results.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use russet_protocol::IDEMPOTENCY_HEADER;
use russet_protocol::admin::{
    ArtifactItem, Items, JSON_LIMIT, Job, Pipeline, RerunKind, SubmitRequest, TestItems, Workflow,
};
use russet_protocol::ids::{PipelineId, SourceId};
use russet_protocol::keeping::{MissingChunks, SourceChunks};
use russet_protocol::runner::TestResult;
use russet_text::encode_segment;

use super::chunks::framed_chunks;
use super::{Client, EventStream};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::project::Snapshot;

/// Parts from which on it pays to ask which of them are stored: below, the snapshot is sent whole.
const MIN_SHARED_CHUNKS: usize = 4;

/// Most parts that a control plane takes; a larger snapshot is sent whole.
const MAX_CHUNKS: usize = 65_536;

/// Times that parts are sent. More than one is only needed where some were removed meanwhile.
const MAX_SENDINGS: u32 = 3;

/// Output of a step, as it comes.
#[derive(Debug)]
pub(crate) struct StepOutput {
    response: Option<Response>,
    client: Client,
}

impl StepOutput {
    /// The next bytes; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        match &mut self.response {
            Some(response) => {
                response.chunk().await.map_err(|error| self.client.unreachable(&error))
            }
            None => Ok(None),
        }
    }
}

/// Query of a call that runs something again.
pub(super) fn rerun_query(kind: RerunKind, by: &str) -> Vec<(&'static str, &str)> {
    let mut query = vec![("as", by)];
    match kind {
        RerunKind::FromFailed => query.push(("from_failed", "true")),
        RerunKind::FailedTests => query.push(("failed_tests", "true")),
        RerunKind::FromStart | RerunKind::Job => {}
    }
    query
}

impl Client {
    /// Stores a packed source snapshot, so that a pipeline can be submitted with it.
    ///
    /// `progress` hears of every part that was handed over.
    pub(crate) async fn put_source(
        &self,
        id: &SourceId,
        file: &Path,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<()> {
        use futures_util::StreamExt as _;

        let progress = Arc::new(progress);
        let path = format!("/api/v3/sources/{}", encode_segment(id.as_str()));
        let make = || {
            let failed =
                |error| CliError::local(format!("could not read {}", file.display()), error);
            let opened = std::fs::File::open(file).map_err(failed)?;
            let size = opened.metadata().map_err(failed)?.len();
            let opened = tokio::fs::File::from_std(opened);
            let parts = tokio_util::io::ReaderStream::with_capacity(opened, 256 * 1024);
            let progress = Arc::clone(&progress);
            let parts = parts.inspect(move |part| {
                if let Ok(part) = part {
                    progress(u64::try_from(part.len()).unwrap_or_default());
                }
            });
            let request = self.request(Method::PUT, &path);
            let request = request.header(reqwest::header::CONTENT_LENGTH, size);
            Ok(request.body(reqwest::Body::wrap_stream(parts)))
        };
        self.send_made(make).await.map(drop)
    }

    /// Stores a packed source snapshot. Of one in several parts only those are sent that the control
    /// plane does not have.
    pub(crate) async fn send_snapshot(&self, snapshot: &Snapshot) -> Result<()> {
        let (id, file) = (&snapshot.id, &snapshot.file);
        let is_worth_asking = (MIN_SHARED_CHUNKS..=MAX_CHUNKS).contains(&snapshot.chunks.len());
        if is_worth_asking {
            let mut found = self.missing_chunks(snapshot).await?;
            for _ in 0..MAX_SENDINGS {
                let Some(missing) = found else { break };
                if missing.is_empty() {
                    return Ok(());
                }
                self.send_made(|| {
                    let body = framed_chunks(file, &snapshot.chunks, &missing)?;
                    Ok(self.request(Method::PUT, "/api/v3/chunks").body(body))
                })
                .await?;
                found = self.missing_chunks(snapshot).await?;
            }
        }
        self.put_source(id, file, |_| {}).await
    }

    /// The parts of a snapshot that the control plane does not have; with none it has stored the
    /// snapshot. `None` where it knows nothing of parts: it is of an earlier version.
    async fn missing_chunks(&self, snapshot: &Snapshot) -> Result<Option<HashSet<String>>> {
        let path = format!("/api/v3/sources/{}/chunks", encode_segment(snapshot.id.as_str()));
        let body = SourceChunks { chunks: snapshot.chunks.clone() };
        let request = Self::built(self.request(Method::POST, &path).json(&body))?;
        let answer = self.ask(request, true).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(self.refused(answer.status, &answer.read));
        }
        let found: MissingChunks = self.parsed(&answer.read)?;
        Ok(Some(found.missing.into_iter().collect()))
    }

    /// Submits a configuration.
    ///
    /// # Errors
    /// It is larger than a control plane takes, which is said before any of it is sent; or the
    /// control plane refuses it.
    pub(crate) async fn submit(&self, request: &SubmitRequest) -> Result<Pipeline> {
        let body = serde_json::to_vec(request)
            .map_err(|error| CliError::local("could not write the pipeline as JSON", error))?;
        if body.len() > JSON_LIMIT {
            let orbs: usize = request.orbs.iter().map(|orb| orb.source.len()).sum();
            let [size, config, orbs, most] = [body.len(), request.config.len(), orbs, JSON_LIMIT]
                .map(|bytes| russet_text::format_size(bytes as u64));
            let message = format!(
                "the pipeline has {size} as it is sent, and {most} may be sent: the configuration \
                 has {config}, its orbs {orbs}"
            );
            return Err(CliError::new(Exit::BadConfig, message)
                .hint("give orbs to the server instead: `russet config orb add DIR --server`"));
        }
        let post = self.request(Method::POST, "/api/v3/pipelines").body(body);
        // With a key of ours a second call submits nothing more.
        let post = post.header(IDEMPOTENCY_HEADER, PipelineId::generate().as_str());
        self.fetch_repeatable(post.header(CONTENT_TYPE, "application/json")).await
    }

    /// A pipeline.
    pub(crate) async fn pipeline(&self, id: &str) -> Result<Pipeline> {
        self.get(&format!("/api/v3/pipelines/{}", encode_segment(id)), &[]).await
    }

    /// Cancels a pipeline.
    pub(crate) async fn cancel_pipeline(&self, id: &str, by: &str) -> Result<()> {
        let path = format!("/api/v3/pipelines/{}/cancel", encode_segment(id));
        self.send_repeatable(self.request(Method::POST, &path).query(&[("as", by)])).await.map(drop)
    }

    /// Runs workflows of a pipeline again. Returns the pipeline with the further runs.
    pub(crate) async fn rerun_pipeline(
        &self,
        id: &str,
        kind: RerunKind,
        by: &str,
    ) -> Result<Pipeline> {
        let path = format!("/api/v3/pipelines/{}/rerun", encode_segment(id));
        self.fetch(self.request(Method::POST, &path).query(&rerun_query(kind, by))).await
    }

    /// A workflow with its jobs.
    pub(crate) async fn workflow(&self, id: &str) -> Result<Workflow> {
        self.get(&format!("/api/v3/workflows/{}", encode_segment(id)), &[]).await
    }

    /// Runs a workflow again. Returns the further run.
    pub(crate) async fn rerun_workflow(
        &self,
        id: &str,
        kind: RerunKind,
        by: &str,
    ) -> Result<Workflow> {
        let path = format!("/api/v3/workflows/{}/rerun", encode_segment(id));
        self.fetch(self.request(Method::POST, &path).query(&rerun_query(kind, by))).await
    }

    /// Runs a job again. Returns the further run of its workflow.
    pub(crate) async fn rerun_job(
        &self,
        id: &str,
        failed_tests: bool,
        by: &str,
    ) -> Result<Workflow> {
        let path = format!("/api/v3/jobs/{}/rerun", encode_segment(id));
        let kind = if failed_tests { RerunKind::FailedTests } else { RerunKind::Job };
        self.fetch(self.request(Method::POST, &path).query(&rerun_query(kind, by))).await
    }

    /// The live view of a pipeline.
    pub(crate) fn stream(&self, id: &str) -> EventStream {
        let path = format!("/api/v3/pipelines/{}/stream", encode_segment(id));
        EventStream::new(self.clone(), path)
    }

    /// Opens the connection of a live view.
    pub(super) async fn open_stream(&self, path: &str) -> Result<Response> {
        let request = self.request(Method::GET, path);
        self.send_once(request.header(reqwest::header::ACCEPT, "text/event-stream")).await
    }

    /// A job with its steps.
    pub(crate) async fn job(&self, id: &str) -> Result<Job> {
        self.get(&format!("/api/v3/jobs/{}", encode_segment(id)), &[]).await
    }

    /// Cancels a job.
    pub(crate) async fn cancel_job(&self, id: &str, by: &str) -> Result<()> {
        let path = format!("/api/v3/jobs/{}/cancel", encode_segment(id));
        self.send_repeatable(self.request(Method::POST, &path).query(&[("as", by)])).await.map(drop)
    }

    /// Approves a job that waits for it, or denies it.
    pub(crate) async fn decide_job(&self, id: &str, approved: bool, by: &str) -> Result<()> {
        let verb = if approved { "approve" } else { "deny" };
        let path = format!("/api/v3/jobs/{}/{verb}", encode_segment(id));
        self.send(self.request(Method::POST, &path).query(&[("as", by)])).await.map(drop)
    }

    /// Output of a step; with `follow` until the step ends, with `timestamps` the time before each
    /// line.
    pub(crate) async fn output(
        &self,
        job: &str,
        task: u32,
        step: u32,
        follow: bool,
        timestamps: bool,
    ) -> Result<StepOutput> {
        let path = format!("/api/v3/jobs/{}/stdout", encode_segment(job));
        let which = [("filter[task]", task.to_string()), ("filter[step_num]", step.to_string())];
        let mut request = self.request(Method::GET, &path).query(&which);
        if follow {
            request = request.query(&[("follow", "true")]);
        }
        if timestamps {
            request = request.query(&[("timestamps", "true")]);
        }
        let response = self.send(request).await?;
        let has_any = response.status() != StatusCode::NO_CONTENT;
        Ok(StepOutput { response: has_any.then_some(response), client: self.clone() })
    }

    /// Test results of a job.
    pub(crate) async fn tests(&self, job: &str) -> Result<Vec<TestResult>> {
        let list: TestItems =
            self.get(&format!("/api/v3/jobs/{}/tests", encode_segment(job)), &[]).await?;
        Ok(list.items)
    }

    /// Artifacts of a job.
    pub(crate) async fn artifacts(&self, job: &str) -> Result<Vec<ArtifactItem>> {
        let path = format!("/api/v3/jobs/{}/artifacts", encode_segment(job));
        let list: Items<_> = self.get(&path, &[]).await?;
        Ok(list.items)
    }

    /// The bytes of an artifact.
    pub(crate) async fn artifact(&self, job: &str, path: &str) -> Result<StepOutput> {
        let segments: Vec<String> = path.split('/').map(encode_segment).collect();
        let path = format!("/api/v3/jobs/{}/artifacts/{}", encode_segment(job), segments.join("/"));
        let response = match self.fetch_directly(&path).await {
            Some(response) => response,
            None => self.send(self.request(Method::GET, &path)).await?,
        };
        Ok(StepOutput { response: Some(response), client: self.clone() })
    }
}
