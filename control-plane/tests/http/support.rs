//! A server, and both of its callers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use russet_control_plane::{
    BetweenServers, Clock, Limits, ManualClock, S3Settings, Server, Settings,
};
use russet_protocol::admin::{Job, Pipeline, StreamEvent, TokenItem};
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::{ClaimResponse, Event, EventKind, EventsRequest, FinishRequest};
use russet_test_object_store::Bucket;
use russet_test_postgres::Database;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The class that tests use.
pub(crate) const CLASS: &str = "acme/mini";

/// The longest that a test waits for what has to happen.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Lease of all servers in tests, by the clock that tests move.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// Interval in which servers say that they are there.
const PRESENCE: Duration = Duration::from_secs(20);

/// One job of one step.
pub(crate) const ONE_JOB: &str = "
version: 2.1
jobs:
  one:
    machine: true
    resource_class: acme/mini
    environment: {COLOR: red}
    steps:
      - run: {name: Say hello, command: echo hello}
workflows:
  main:
    jobs: [one]
";

/// Parts that outlive a server: its directory, and its database and objects where they are elsewhere.
pub(crate) struct Home {
    pub(crate) temp: TempDir,
    /// Shared by servers side by side.
    pub(crate) database: Option<Arc<Database>>,
    pub(crate) bucket: Option<Bucket>,
}

impl Home {
    pub(crate) fn new() -> Arc<Self> {
        let temp = tempfile::tempdir().unwrap();
        let database = crate::store::database().map(Arc::new);
        Arc::new(Self { temp, database, bucket: crate::store::bucket() })
    }

    /// With objects in the data directory, whatever the stores of these tests are: the test looks at
    /// their files.
    pub(crate) fn in_directory() -> Arc<Self> {
        let temp = tempfile::tempdir().unwrap();
        let database = crate::store::database().map(Arc::new);
        Arc::new(Self { temp, database, bucket: None })
    }

    /// With a bucket, whatever the stores of these tests are.
    pub(crate) fn in_bucket(bucket: Bucket) -> Arc<Self> {
        let temp = tempfile::tempdir().unwrap();
        let database = crate::store::database().map(Arc::new);
        Arc::new(Self { temp, database, bucket: Some(bucket) })
    }

    /// Returns the names of the objects below a prefix.
    pub(crate) fn objects(&self, prefix: &str) -> Vec<String> {
        let names = match &self.bucket {
            Some(bucket) => bucket.objects(),
            None => files_below(&self.path().join("data/objects")),
        };
        names.into_iter().filter(|name| name.starts_with(prefix)).collect()
    }

    /// Returns true where objects are in a bucket.
    pub(crate) fn has_bucket(&self) -> bool {
        self.bucket.is_some()
    }

    /// The settings of a server of tests.
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.path().join("data"), "127.0.0.1:0".parse().unwrap());
        settings.lease = LEASE;
        // A slow machine is not an absence that leases would be prolonged by.
        settings.between_servers =
            BetweenServers { presence_interval: PRESENCE, ..BetweenServers::default() };
        settings.database = self.database.as_ref().map(|database| database.url().parse().unwrap());
        settings.objects = self.bucket.as_ref().map(s3_settings);
        settings
    }

    pub(crate) fn path(&self) -> &Path {
        self.temp.path()
    }

    /// Changes something behind the server's back, which does not run.
    pub(crate) async fn sql(&self, statement: &'static str) {
        if let Some(database) = &self.database {
            let _selected = database.sql(statement);
            return;
        }
        let url = format!("sqlite://{}", self.path().join("data/russet.db").display());
        let mut conn = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::query(statement).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
    }

    /// Selects one number, also while a server runs.
    pub(crate) async fn count(&self, statement: &'static str) -> i64 {
        if let Some(database) = &self.database {
            return database.sql(statement).trim().parse().unwrap();
        }
        let url = format!("sqlite://{}", self.path().join("data/russet.db").display());
        let mut conn = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let count = sqlx::query_scalar(statement).fetch_one(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        count
    }

    /// All bytes of the database, as they are stored, or as PostgreSQL writes them down.
    pub(crate) fn stored_bytes(&self) -> Vec<u8> {
        if let Some(database) = &self.database {
            return database.dump().into_bytes();
        }
        let files = ["russet.db", "russet.db-wal"].map(|name| self.path().join("data").join(name));
        files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect()
    }
}

/// The files below a directory. One that goes meanwhile is not among them.
fn files_below(top: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut dirs = vec![top.to_owned()];
    while let Some(dir) = dirs.pop() {
        for path in std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path())
        {
            if path.is_dir() {
                dirs.push(path);
            } else {
                names.push(path.strip_prefix(top).unwrap().display().to_string());
            }
        }
    }
    names
}

/// The settings of a bucket.
pub(crate) fn s3_settings(bucket: &Bucket) -> S3Settings {
    S3Settings {
        endpoint: Some(bucket.endpoint()),
        allow_http: true,
        credentials_file: Some(bucket.credentials_file()),
        ..S3Settings::new(bucket.url().parse().unwrap())
    }
}

pub(crate) struct Harness {
    pub(crate) url: String,
    pub(crate) admin: String,
    pub(crate) http: Client,
    pub(crate) clock: ManualClock,
    pub(crate) dir: Arc<Home>,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) running: JoinHandle<()>,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::start_in(Home::new(), ManualClock::new()).await
    }

    pub(crate) async fn start_in(dir: Arc<Home>, clock: ManualClock) -> Self {
        Self::start_with(dir, clock, |_| {}).await
    }

    /// Starts one with other limits than the usual.
    pub(crate) async fn start_limited(change: impl FnOnce(&mut Limits)) -> Self {
        let dir = Home::new();
        Self::start_with(dir, ManualClock::new(), |settings| change(&mut settings.limits)).await
    }

    pub(crate) async fn start_with(
        dir: Arc<Home>,
        clock: ManualClock,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = dir.settings();
        change(&mut settings);
        // A bucket is asked already at the start. The second test to get here finds it done.
        drop(rustls::crypto::ring::default_provider().install_default());
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let server = start_once_free(settings, shared).await;
        let (stop, stopped) = oneshot::channel();
        let url = server.url();
        let admin = server.admin_token().expose().to_owned();
        let running = tokio::spawn(async move {
            server.run(async move { stopped.await.unwrap_or(()) }).await.unwrap();
        });
        let http = Client::builder().no_proxy().build().unwrap();
        Self { url, admin, http, clock, dir, stop, running }
    }

    /// Stops the server and starts another one on the same directory.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(async || {}).await
    }

    /// The next one has other limits than the usual.
    pub(crate) async fn restart_limited(self, change: impl FnOnce(&mut Limits)) -> Self {
        self.stop.send(()).unwrap();
        tokio::time::timeout(LIMIT, self.running).await.unwrap().unwrap();
        let change = |settings: &mut Settings| change(&mut settings.limits);
        Self::start_with(self.dir, self.clock, change).await
    }

    /// Does something to the directory between the two.
    pub(crate) async fn restart_after(self, between: impl AsyncFnOnce()) -> Self {
        self.stop.send(()).unwrap();
        tokio::time::timeout(LIMIT, self.running).await.unwrap().unwrap();
        between().await;
        Self::start_in(self.dir, self.clock).await
    }

    /// A call without credentials.
    pub(crate) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).timeout(LIMIT)
    }

    pub(crate) fn as_admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.call(method, path).header("circle-token", &self.admin)
    }

    pub(crate) async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        ok(self.as_admin(Method::GET, path)).await.json().await.unwrap()
    }

    /// Makes the class and a token of it.
    pub(crate) async fn class(&self) -> String {
        let body = json!({"resource_class": CLASS, "description": "minis"});
        ok(self.as_admin(Method::POST, "/api/v3/runner/resource").json(&body)).await;
        self.token().await.token.unwrap().expose().to_owned()
    }

    pub(crate) async fn token(&self) -> TokenItem {
        let body = json!({"resource_class": CLASS, "nickname": "test"});
        let request = self.as_admin(Method::POST, "/api/v3/runner/token").json(&body);
        ok(request).await.json().await.unwrap()
    }

    pub(crate) async fn submit(&self, config: &str) -> Pipeline {
        let body = json!({"project": "acme/app", "config": config, "branch": "main"});
        let response = self.as_admin(Method::POST, "/api/v3/pipelines").json(&body).send().await;
        let response = response.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, StatusCode::CREATED, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) fn claim_request(&self, token: &str, wait: u64) -> RequestBuilder {
        self.call(Method::POST, "/api/v3/runner/claim")
            .bearer_auth(token)
            .header("prefer", format!("wait={wait}"))
            .json(&json!({"name": "mini-1", "hostname": "mini", "ip": "", "version": "1"}))
    }

    /// Claims without waiting.
    pub(crate) async fn claim(&self, token: &str) -> Option<Agent> {
        let response = ok(self.claim_request(token, 0)).await;
        if response.status() == StatusCode::NO_CONTENT {
            return None;
        }
        Some(self.agent(response.json().await.unwrap()))
    }

    pub(crate) fn agent(&self, claim: ClaimResponse) -> Agent {
        Agent { url: self.url.clone(), http: self.http.clone(), claim, seq: 0 }
    }

    pub(crate) async fn pipeline(&self, pipeline: &Pipeline) -> Pipeline {
        self.get(&format!("/api/v3/pipelines/{}", pipeline.id)).await
    }

    /// The only job of a pipeline, with its steps.
    pub(crate) async fn job(&self, pipeline: &Pipeline) -> Job {
        self.get(&format!("/api/v3/jobs/{}", pipeline.workflows[0].jobs[0].id)).await
    }

    pub(crate) async fn live(&self, pipeline: &Pipeline) -> Live {
        let path = format!("/api/v3/pipelines/{}/stream", pipeline.id);
        Live { response: ok(self.as_admin(Method::GET, &path)).await, buffer: Vec::new() }
    }

    /// Waits until `done` says so; the condition is looked at again and again, up to a limit.
    pub(crate) async fn wait_for_job(&self, pipeline: &Pipeline, done: impl Fn(&Job) -> bool) {
        let wait = async {
            loop {
                if done(&self.job(pipeline).await) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, wait).await.expect("the job does not get there");
    }
}

/// Starts a server. A process that another test of this program starts has the locks of all directories
/// for the moment before it runs its own program, so a directory that was just let go may seem taken.
async fn start_once_free(settings: Settings, clock: Arc<dyn Clock>) -> Server {
    let start = async {
        loop {
            match Server::start_with_clock(settings.clone(), Arc::clone(&clock)).await {
                Err(error) if format!("{error:?}").contains("InUse") => {
                    tokio::task::yield_now().await;
                }
                started => return started.unwrap(),
            }
        }
    };
    tokio::time::timeout(LIMIT, start).await.expect("the data directory stays taken")
}

/// Sends, and expects success.
pub(crate) async fn ok(request: RequestBuilder) -> Response {
    let response = request.send().await.unwrap();
    let (status, url) = (response.status(), response.url().clone());
    if !status.is_success() {
        panic!("{url}: {status}: {}", response.text().await.unwrap());
    }
    response
}

/// Sends, and expects a status and a problem.
pub(crate) async fn refused(request: RequestBuilder, status: u16) -> Value {
    let response = request.send().await.unwrap();
    let got = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(got.as_u16(), status, "{text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    assert!(body["message"].is_string() || body["last_seq"].is_number(), "{text}");
    body
}

/// A task agent, which does what the test says.
#[derive(Clone)]
pub(crate) struct Agent {
    url: String,
    http: Client,
    pub(crate) claim: ClaimResponse,
    pub(crate) seq: u64,
}

impl Agent {
    pub(crate) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .timeout(LIMIT)
            .bearer_auth(self.claim.task_token.expose())
            .header("russet-allocation", self.claim.allocation.as_str())
    }

    pub(crate) fn heartbeat(&self, from: &str, peer_silent_ms: Option<u64>) -> RequestBuilder {
        let allocation = &self.claim.allocation;
        self.call(Method::POST, "/api/v3/task/heartbeat").json(
            &json!({"allocation": allocation, "from": from, "peer_silent_ms": peer_silent_ms}),
        )
    }

    pub(crate) fn events(&self, events: &[Event]) -> RequestBuilder {
        self.call(Method::POST, "/api/v3/task/events").json(&EventsRequest {
            allocation: self.claim.allocation.clone(),
            events: events.to_vec(),
        })
    }

    pub(crate) async fn event(&mut self, kind: EventKind) {
        self.seq += 1;
        ok(self.events(&[Event { seq: self.seq, at_ms: 1000 + self.seq, kind }])).await;
    }

    pub(crate) async fn start_step(&mut self, step: u32) {
        let name = format!("step {step}");
        self.event(EventKind::StepStarted { step, name, background: false, detail: None }).await;
    }

    pub(crate) async fn end_step(&mut self, step: u32, output_bytes: u64) {
        self.event(EventKind::StepFinished {
            step,
            outcome: Outcome::Success,
            exit_code: Some(0),
            message: None,
            output_bytes,
        })
        .await;
    }

    pub(crate) fn append(&self, step: u32, offset: u64, body: Vec<u8>) -> RequestBuilder {
        self.call(Method::PATCH, &format!("/api/v3/task/steps/{step}/output"))
            .header("upload-offset", offset)
            .body(body)
    }

    pub(crate) fn finish_request(&self, outcome: Outcome, output: &[(u32, u64)]) -> RequestBuilder {
        self.finish_with(outcome, output, &[])
    }

    /// With the last events in it.
    pub(crate) fn finish_with(
        &self,
        outcome: Outcome,
        output: &[(u32, u64)],
        events: &[Event],
    ) -> RequestBuilder {
        self.call(Method::POST, "/api/v3/task/finish").json(&FinishRequest {
            allocation: self.claim.allocation.clone(),
            outcome,
            message: None,
            last_seq: self.seq,
            output: output.iter().copied().collect::<BTreeMap<_, _>>(),
            events: events.to_vec(),
        })
    }

    pub(crate) async fn finish(&self, outcome: Outcome) {
        ok(self.finish_request(outcome, &[])).await;
    }
}

/// A reader of a live pipeline.
pub(crate) struct Live {
    response: Response,
    buffer: Vec<u8>,
}

impl Live {
    /// The next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<StreamEvent> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let frame: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let frame = String::from_utf8(frame).unwrap();
                match frame.trim_end().strip_prefix("data: ") {
                    Some(data) => return Some(serde_json::from_str(data).unwrap()),
                    None => continue,
                }
            }
            let chunk = tokio::time::timeout(LIMIT, self.response.chunk()).await;
            self.buffer.extend_from_slice(&chunk.expect("nothing comes").unwrap()?);
        }
    }

    /// Reads up to and with the first event of which `is` is true.
    pub(crate) async fn until(&mut self, is: impl Fn(&StreamEvent) -> bool) -> Vec<StreamEvent> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            let found = is(&event);
            events.push(event);
            if found {
                return events;
            }
        }
        panic!("the stream ended after {events:#?}");
    }

    pub(crate) async fn rest(&mut self) -> Vec<StreamEvent> {
        let events = self.until(|event| matches!(event, StreamEvent::End { .. })).await;
        assert!(self.next().await.is_none());
        events
    }
}

/// The output of a step in a stream, whose pieces must join without gap or overlap.
pub(crate) fn output_of(events: &[StreamEvent], number: u32) -> Vec<u8> {
    let mut all = Vec::new();
    for event in events {
        if let StreamEvent::Output { step, offset, data, .. } = event
            && *step == number
        {
            assert_eq!(*offset, all.len() as u64);
            all.extend(base64::engine::general_purpose::STANDARD.decode(data).unwrap());
        }
    }
    all
}

/// A configuration of jobs in one workflow; each names what it requires.
pub(crate) fn workflow(jobs: &[(&str, &[&str])]) -> String {
    use std::fmt::Write;
    let mut text = "version: 2.1\njobs:\n".to_owned();
    for (name, _) in jobs {
        write!(
            text,
            "  {name}:\n    machine: true\n    resource_class: {CLASS}\n    steps: [run: 'true']\n"
        )
        .unwrap();
    }
    text.push_str("workflows:\n  main:\n    jobs:\n");
    for (name, requires) in jobs {
        if requires.is_empty() {
            writeln!(text, "      - {name}").unwrap();
        } else {
            writeln!(text, "      - {name}: {{requires: [{}]}}", requires.join(", ")).unwrap();
        }
    }
    text
}
