//! The calls of the admin API that the measurements need.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use russet_protocol::admin::{Job, Pipeline, ServerReady, StreamEvent};
use russet_text::EventReader;
use serde_json::json;

/// Longest event that is read.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;

/// A client of one control plane.
pub(crate) struct Client {
    http: reqwest::Client,
    ready: ServerReady,
}

/// Times of the events of a watched pipeline.
pub(crate) struct Watched {
    /// First output of the job's own steps.
    pub(crate) first_output: Option<Instant>,
    /// Everything has ended.
    pub(crate) ended: Instant,
    /// The pipeline at its end.
    pub(crate) pipeline: Pipeline,
}

impl Client {
    /// A client for a server that said that it is ready.
    pub(crate) fn new(ready: ServerReady) -> Result<Self> {
        let http = reqwest::Client::builder().tcp_nodelay(true).no_proxy().build()?;
        Ok(Self { http, ready })
    }

    /// Origin of the server.
    pub(crate) fn url(&self) -> &str {
        &self.ready.url
    }

    /// The admin token.
    pub(crate) fn token(&self) -> &str {
        self.ready.admin_token.expose()
    }

    /// Gets the list of the latest pipelines, as a person does.
    pub(crate) async fn list_pipelines(&self) -> Result<()> {
        let answer = self.request(reqwest::Method::GET, "/api/v3/pipelines").send().await?;
        answer.error_for_status()?.bytes().await?;
        Ok(())
    }

    /// Gets what is at a path. Returns its length.
    pub(crate) async fn get(&self, path: &str) -> Result<usize> {
        let answer = self.request(reqwest::Method::GET, path).send().await?;
        Ok(answer.error_for_status()?.bytes().await?.len())
    }

    /// Cancels a pipeline.
    pub(crate) async fn cancel(&self, pipeline: &Pipeline) -> Result<()> {
        let path = format!("/api/v3/pipelines/{}/cancel", pipeline.id);
        let answer = self.request(reqwest::Method::POST, &path).send().await?;
        answer.error_for_status()?.bytes().await?;
        Ok(())
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.ready.url))
            .header("circle-token", self.ready.admin_token.expose())
    }

    /// Makes a resource class and returns a token of it.
    pub(crate) async fn create_class(&self, class: &str) -> Result<String> {
        let class = json!({ "resource_class": class, "description": "", "nickname": "bench" });
        for path in ["/api/v3/runner/resource", "/api/v3/runner/token"] {
            let answer = self.request(reqwest::Method::POST, path).json(&class).send().await?;
            let answer: serde_json::Value = answer.error_for_status()?.json().await?;
            if let Some(token) = answer.get("token").and_then(serde_json::Value::as_str) {
                return Ok(token.to_owned());
            }
        }
        bail!("the server made no token")
    }

    /// Submits a configuration.
    pub(crate) async fn submit(&self, config: &str) -> Result<Pipeline> {
        let body = json!({ "project": "bench/bench", "config": config });
        let answer =
            self.request(reqwest::Method::POST, "/api/v3/pipelines").json(&body).send().await?;
        if !answer.status().is_success() {
            bail!("submit: {} {}", answer.status(), answer.text().await?);
        }
        Ok(answer.json().await?)
    }

    /// Follows a pipeline to its end.
    pub(crate) async fn watch(&self, pipeline: &Pipeline) -> Result<Watched> {
        let path = format!("/api/v3/pipelines/{}/stream", pipeline.id);
        let answer = self.request(reqwest::Method::GET, &path).send().await?.error_for_status()?;
        let mut body = answer.bytes_stream();
        let mut events = EventReader::new(MAX_EVENT_BYTES);
        let mut first_output = None;
        while let Some(chunk) = body.next().await {
            events.push(&chunk?)?;
            while let Some(event) = events.next_event() {
                match serde_json::from_slice(&event).context("an event of the stream")? {
                    StreamEvent::Output { step, .. } if (1..10_000).contains(&step) => {
                        first_output.get_or_insert_with(Instant::now);
                    }
                    StreamEvent::End { pipeline } => {
                        return Ok(Watched { first_output, ended: Instant::now(), pipeline });
                    }
                    _ => {}
                }
            }
        }
        bail!("the stream of the pipeline ended early")
    }

    /// Waits for the end of a pipeline without reading its output.
    pub(crate) async fn watch_states(&self, pipeline: &Pipeline) -> Result<Pipeline> {
        let path = format!("/api/v3/pipelines/{}", pipeline.id);
        loop {
            let answer = self.request(reqwest::Method::GET, &path).send().await?;
            let pipeline: Pipeline = answer.error_for_status()?.json().await?;
            if pipeline.workflows.iter().all(|workflow| workflow.outcome.is_some()) {
                return Ok(pipeline);
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// A job with its steps.
    pub(crate) async fn job(&self, id: &russet_protocol::ids::JobId) -> Result<Job> {
        let answer = self.request(reqwest::Method::GET, &format!("/api/v3/jobs/{id}")).send();
        Ok(answer.await?.error_for_status()?.json().await?)
    }

    /// Follows the output of one step of a job and returns its size and hash.
    pub(crate) async fn follow_output(&self, job: &str, step: u32) -> Result<(u64, blake3::Hash)> {
        let path = format!("/api/v3/jobs/{job}/stdout?filter[step_num]={step}&follow=true");
        let answer = self.request(reqwest::Method::GET, &path).send().await?.error_for_status()?;
        let mut body = answer.bytes_stream();
        let mut hasher = blake3::Hasher::new();
        while let Some(chunk) = body.next().await {
            hasher.update(&chunk?);
        }
        Ok((hasher.count(), hasher.finalize()))
    }
}
