//! A blocking client of the admin API.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use russet_protocol::admin::{ArtifactItem, Items, Job, Pipeline};
use russet_protocol::ids::{JobId, PipelineId};
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::TestResult;
use russet_protocol::secret::Secret;
use serde_json::{Value, json};

use super::{LIMIT, wait_for, wait_for_within};

/// Times that a look is repeated whose answer was cut off by the end of a server, and a call that
/// reached none.
const MAX_REPEATS: usize = 20;

/// Pause before a call is repeated.
const REPEAT_INTERVAL: Duration = Duration::from_millis(100);

/// A client of one control plane. Survives restarts of it on the same address.
pub struct Admin {
    url: String,
    token: Secret,
    /// Held while something is changed: then no server is killed whose answer would be lost.
    calm: Option<Arc<RwLock<()>>>,
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

impl Admin {
    /// A client for this origin and token.
    pub fn new(url: &str, token: Secret) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // A connection of before a restart of the server would be an error.
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build();
        Self { url: url.to_owned(), token, calm: None, runtime, client: client.unwrap() }
    }

    /// The same for servers that are killed now and then. Looks are repeated, as people do; a
    /// change, which is not repeated since it may have been made, keeps them from being killed
    /// until it is answered.
    #[must_use]
    pub fn between(self, calm: Arc<RwLock<()>>) -> Self {
        Self { calm: Some(calm), ..self }
    }

    /// Lock that keeps servers from being killed while it is held for reading; where none are, it does
    /// nothing.
    pub fn calm(&self) -> Arc<RwLock<()>> {
        self.calm.clone().unwrap_or_default()
    }

    /// The admin token.
    pub fn token(&self) -> &str {
        self.token.expose()
    }

    /// Sends a request and returns status and body. An unreachable server is an error, which
    /// tests that kill it expect.
    pub fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<(u16, Vec<u8>)> {
        let Some(calm) = &self.calm else { return self.send_once(method, path, body) };
        let is_look = method == reqwest::Method::GET;
        for repeat in 0..MAX_REPEATS {
            // An answer that takes longer than the time between two kills would never be whole.
            let is_calm = !is_look || repeat > MAX_REPEATS / 2;
            let _calm = is_calm.then(|| calm.read().unwrap_or_else(PoisonError::into_inner));
            match self.send_once(method.clone(), path, body.clone()) {
                // The proxy has no server that it knows of: the call reached none.
                Ok((503, _)) => {}
                Ok((502 | 504, _)) | Err(_) if is_look => {}
                answer => return answer,
            }
            std::thread::sleep(REPEAT_INTERVAL);
        }
        self.send_once(method, path, body)
    }

    fn send_once(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<(u16, Vec<u8>)> {
        self.runtime.block_on(async {
            let mut request = self
                .client
                .request(method, format!("{}{path}", self.url))
                .header("circle-token", self.token.expose());
            if let Some(body) = body {
                request = request.json(&body);
            }
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            Ok((status, answer.bytes().await?.to_vec()))
        })
    }

    /// Gets what must be there.
    #[track_caller]
    pub fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.send(reqwest::Method::GET, path, None).unwrap();
        let text = String::from_utf8_lossy(&body);
        assert_eq!(status, 200, "GET {path}: {text}");
        serde_json::from_slice(&body).unwrap_or_else(|error| panic!("GET {path}: {error}: {text}"))
    }

    /// Posts what must be accepted.
    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> Value {
        let (status, body) = self.send(reqwest::Method::POST, path, Some(body)).unwrap();
        let text = String::from_utf8_lossy(&body);
        assert!((200..300).contains(&status), "POST {path}: {status} {text}");
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    }

    /// A page, as somebody sees it who has just logged in.
    #[track_caller]
    pub fn page(&self, path: &str) -> String {
        // A server that is killed meanwhile is asked again.
        wait_for(&format!("the page {path}"), || self.look_at_page(path).ok().flatten())
    }

    fn look_at_page(&self, path: &str) -> reqwest::Result<Option<String>> {
        self.runtime.block_on(async {
            let client = reqwest::Client::builder()
                .no_proxy()
                .pool_max_idle_per_host(0)
                .redirect(reqwest::redirect::Policy::none())
                .build()?;
            let login = client
                .post(format!("{}/login", self.url))
                .header("content-type", "application/x-www-form-urlencoded")
                .body(format!("token={}", self.token.expose()));
            let answer = login.send().await?;
            let Some(cookie) = answer.headers().get("set-cookie") else { return Ok(None) };
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
            let page = client.get(format!("{}{path}", self.url)).header("cookie", cookie);
            let answer = page.send().await?;
            match answer.status().as_u16() {
                200 => Ok(Some(answer.text().await?)),
                _ => Ok(None),
            }
        })
    }

    /// Makes a resource class and a token of it.
    pub fn class_token(&self, class: &str) -> String {
        self.token_of(json!({ "resource_class": class, "description": "" }))
    }

    /// The same for one whose runners take tasks of forks.
    pub fn token_of_class_with_forks(&self, class: &str) -> String {
        self.token_of(json!({ "resource_class": class, "description": "", "allow_forks": true }))
    }

    /// Makes a class with these settings, and a token of it.
    pub fn token_of(&self, class: Value) -> String {
        let name = class["resource_class"].clone();
        self.post("/api/v3/runner/resource", class);
        let token = self
            .post("/api/v3/runner/token", json!({ "resource_class": name, "nickname": "test" }));
        token["token"].as_str().unwrap().to_owned()
    }

    /// Submits a configuration that must be accepted.
    #[track_caller]
    pub fn submit(&self, config: &str) -> Pipeline {
        let body = json!({ "project": "test/project", "config": config });
        serde_json::from_value(self.post("/api/v3/pipelines", body)).unwrap()
    }

    /// Current state of a pipeline.
    pub fn pipeline(&self, id: &PipelineId) -> Pipeline {
        self.get(&format!("/api/v3/pipelines/{id}"))
    }

    /// Waits until every workflow of the pipeline has ended.
    #[track_caller]
    pub fn wait(&self, pipeline: &Pipeline) -> Pipeline {
        self.wait_within(LIMIT, pipeline)
    }

    /// The same, with a limit of its own.
    #[track_caller]
    pub fn wait_within(&self, limit: Duration, pipeline: &Pipeline) -> Pipeline {
        wait_for_within(limit, "the end of a pipeline", || {
            let path = format!("/api/v3/pipelines/{}", pipeline.id);
            // The server may be away for a moment: tests kill it.
            let (_, body) = self.send(reqwest::Method::GET, &path, None).ok()?;
            let pipeline: Pipeline = serde_json::from_slice(&body).ok()?;
            pipeline.workflows.iter().all(|workflow| workflow.outcome.is_some()).then_some(pipeline)
        })
    }

    /// Submits a configuration with one job and waits for its end.
    #[track_caller]
    pub fn run(&self, config: &str) -> Job {
        let pipeline = self.submit(config);
        self.wait(&pipeline);
        self.only_job(&pipeline)
    }

    /// The only job of a pipeline, with its steps.
    #[track_caller]
    pub fn only_job(&self, pipeline: &Pipeline) -> Job {
        self.job(&pipeline.workflows[0].jobs[0].id)
    }

    /// A job with its steps.
    #[track_caller]
    pub fn job(&self, id: &JobId) -> Job {
        self.get(&format!("/api/v3/jobs/{id}"))
    }

    /// Output of one step.
    #[track_caller]
    pub fn step_output(&self, job: &Job, step: u32) -> Vec<u8> {
        self.output_of(&format!("/api/v3/jobs/{}/stdout?filter[step_num]={step}", job.id))
    }

    #[track_caller]
    fn output_of(&self, path: &str) -> Vec<u8> {
        let (status, body) = self.send(reqwest::Method::GET, path, None).unwrap();
        assert!(matches!(status, 200 | 204), "GET {path}: {status}");
        body
    }

    /// Output of all steps, as text.
    #[track_caller]
    pub fn output(&self, job: &Job) -> String {
        let steps = job.steps.iter().map(|step| {
            let (task, step) = (step.task, step.number);
            let filter = format!("filter[task]={task}&filter[step_num]={step}");
            self.output_of(&format!("/api/v3/jobs/{}/stdout?{filter}", job.id))
        });
        String::from_utf8_lossy(&steps.collect::<Vec<_>>().concat()).into_owned()
    }

    /// Waits until a step's output contains `text`.
    #[track_caller]
    pub fn wait_for_output(&self, pipeline: &Pipeline, text: &str) -> Job {
        wait_for(&format!("`{text}` in the output"), || {
            let job = self.only_job(pipeline);
            self.output(&job).contains(text).then_some(job)
        })
    }

    /// Artifacts of a job.
    #[track_caller]
    pub fn artifacts(&self, job: &Job) -> Vec<ArtifactItem> {
        self.get::<Items<ArtifactItem>>(&format!("/api/v3/jobs/{}/artifacts", job.id)).items
    }

    /// Test results of a job.
    #[track_caller]
    pub fn tests(&self, job: &Job) -> Vec<TestResult> {
        self.get::<Items<TestResult>>(&format!("/api/v3/jobs/{}/tests", job.id)).items
    }
}

/// Fails with the job's whole log where its outcome is another one.
#[track_caller]
pub fn assert_outcome(admin: &Admin, job: &Job, outcome: Outcome) {
    assert_eq!(
        job.outcome,
        Some(outcome),
        "message: {:?}\nsteps: {:#?}\noutput:\n{}",
        job.message,
        job.steps,
        admin.output(job)
    );
}
