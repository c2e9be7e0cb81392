//! A task agent and a person, played over HTTP: they send everything that a control plane
//! acknowledges, as fast as they can, until it is gone.

use std::sync::{Arc, PoisonError, RwLock};

use russet_protocol::admin::Pipeline;
use russet_protocol::ids::PipelineId;
use russet_protocol::runner::{ClaimResponse, EventsResponse};
use serde_json::{Value, json};

use super::{CLASS, Server, config, run};

/// Amounts that the server acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged {
    /// Bytes of output.
    pub bytes: u64,
    /// Number of the last event.
    pub events: u64,
    /// Artifacts, which are called `a0`, `a1` … and hold [`artifact`] of their number.
    pub artifacts: u64,
    /// Batches of one test result each.
    pub batches: u64,
    /// Pipelines that were submitted.
    pub pipelines: Vec<PipelineId>,
}

/// A task agent and a person, played over HTTP.
pub struct ScriptedRunner {
    runtime: tokio::runtime::Runtime,
    calls: Calls,
    pipeline: Pipeline,
    /// Held during calls that are made once.
    calm: Arc<RwLock<()>>,
}

#[derive(Clone)]
struct Calls {
    client: reqwest::Client,
    url: String,
    admin: String,
    claim: ClaimResponse,
}

type Answer = (u16, reqwest::header::HeaderMap, Vec<u8>);

impl ScriptedRunner {
    /// Submits a pipeline and claims its task.
    pub fn claim(server: &Server) -> Self {
        Self::claim_with(server, &server.admin.class_token(CLASS))
    }

    /// The same, with a token of the class.
    pub fn claim_with(server: &Server, token: &str) -> Self {
        let pipeline = server.admin.submit(&config(&[&run("true")]));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = server.url().to_owned();
        let request = client
            .post(format!("{url}/api/v3/runner/claim"))
            .bearer_auth(token)
            .json(&json!({ "name": "hand", "hostname": "h", "ip": "", "version": "0" }));
        let calm = server.admin.calm();
        let (status, _, body) = {
            let _calm = calm.read().unwrap_or_else(PoisonError::into_inner);
            runtime.block_on(call(&client, request)).unwrap()
        };
        assert_eq!(status, 200);
        let claim = serde_json::from_slice(&body).unwrap();
        let calls = Calls { client, url, admin: server.admin.token().to_owned(), claim };
        Self { runtime, calls, pipeline, calm }
    }

    /// Stores an archive as the cache of a key, whatever is in it.
    #[track_caller]
    pub fn save_cache(&self, key: &str, archive: Vec<u8>) {
        let Calls { client, claim, .. } = &self.calls;
        let _calm = self.calm.read().unwrap_or_else(PoisonError::into_inner);
        let put = self.calls.task(reqwest::Method::PUT, "archives").body(archive);
        let (status, _, body) = self.runtime.block_on(call(client, put)).expect("an answer");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let uploaded: Value = serde_json::from_slice(&body).unwrap();
        let save = json!({ "allocation": claim.allocation, "key": key, "archive": uploaded });
        let post = self.calls.task(reqwest::Method::POST, "caches").json(&save);
        let (status, _, body) = self.runtime.block_on(call(client, post)).expect("an answer");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    }

    /// Sends until the server is gone, which `kill` sees to. Answers what was acknowledged.
    pub fn write_until(&self, kill: impl FnOnce(), so_far: Acknowledged) -> Acknowledged {
        let calls = self.calls.clone();
        let writer = self.runtime.spawn(async move {
            let mut acknowledged = so_far;
            while calls.send_one_of_each(&mut acknowledged).await.is_some() {}
            acknowledged
        });
        kill();
        self.runtime.block_on(writer).unwrap()
    }

    /// Fails with a reason where the server does not have everything that was acknowledged.
    /// Answers how many bytes of output it has.
    pub fn check(&self, server: &Server, wanted: &Acknowledged) -> Result<u64, String> {
        let admin = &server.admin;
        let get = |path: &str| -> Result<Vec<u8>, String> {
            match admin.send(reqwest::Method::GET, path, None) {
                Ok((200, body)) => Ok(body),
                Ok((204, _)) => Ok(Vec::new()),
                Ok((status, body)) => {
                    Err(format!("GET {path}: {status} {}", String::from_utf8_lossy(&body)))
                }
                Err(error) => Err(format!("GET {path}: {error}")),
            }
        };
        for pipeline in &wanted.pipelines {
            get(&format!("/api/v3/pipelines/{pipeline}"))?;
        }
        let job = format!("/api/v3/jobs/{}", self.pipeline.workflows[0].jobs[0].id);
        let output = get(&format!("{job}/stdout?filter[step_num]=1"))?;
        let length = output.len() as u64;
        if length < wanted.bytes {
            return Err(format!("{length} of {} bytes of output", wanted.bytes));
        }
        if output.iter().enumerate().any(|(at, &byte)| byte != pattern(at as u64)) {
            return Err("other bytes than were sent".to_owned());
        }
        for number in 0..wanted.artifacts {
            if get(&format!("{job}/artifacts/a{number}"))? != artifact(number) {
                return Err(format!("other bytes in artifact {number}"));
            }
        }
        let tests: Value = serde_json::from_slice(&get(&format!("{job}/tests"))?).unwrap();
        let mut names: Vec<&str> =
            tests["items"].as_array().unwrap().iter().filter_map(|t| t["name"].as_str()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        if names.len() != count || (count as u64) < wanted.batches {
            return Err(format!("{count} test results, but {} acknowledged", wanted.batches));
        }
        let events = self.events();
        if events < wanted.events {
            return Err(format!("{events} of {} events", wanted.events));
        }
        Ok(length)
    }

    /// Number of events that the server has, from its refusal to finish without the rest.
    fn events(&self) -> u64 {
        let finish = json!({ "allocation": self.calls.claim.allocation, "outcome": "success",
                             "last_seq": u32::MAX, "output": {} });
        let request = self.calls.task(reqwest::Method::POST, "finish").json(&finish);
        let _calm = self.calm.read().unwrap_or_else(PoisonError::into_inner);
        let (status, _, body) =
            self.runtime.block_on(call(&self.calls.client, request)).expect("an answer");
        let text = String::from_utf8_lossy(&body);
        assert_eq!(status, 409, "a finish with missing events was accepted: {text}");
        let missing: Value = serde_json::from_slice(&body).unwrap();
        // A claim that is not known any more has no events.
        missing["last_seq"].as_u64().unwrap_or_default()
    }
}

impl Calls {
    fn task(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}/api/v3/task/{path}", self.url));
        request
            .bearer_auth(self.claim.task_token.expose())
            .header(russet_protocol::ALLOCATION_HEADER, self.claim.allocation.as_str())
    }

    /// `None` once the server is gone.
    async fn send_one_of_each(&self, acknowledged: &mut Acknowledged) -> Option<()> {
        let allocation = self.claim.allocation.as_str();
        let offset = acknowledged.bytes;
        // Some fit into a row of the database, some become objects.
        let size = 1 + (offset * 7919 + 13) % 30_000;
        let body: Vec<u8> = (offset..offset + size).map(pattern).collect();
        let patch = self
            .task(reqwest::Method::PATCH, "steps/1/output")
            .header(russet_protocol::UPLOAD_OFFSET_HEADER, offset)
            .body(body);
        let (status, headers, _) = call(&self.client, patch).await?;
        let committed = headers.get(russet_protocol::UPLOAD_OFFSET_HEADER);
        let committed = committed.and_then(|value| value.to_str().ok()?.parse().ok());
        acknowledged.bytes = committed.unwrap_or_else(|| panic!("{status} without an offset"));

        let seq = acknowledged.events + 1;
        let event = json!({ "allocation": allocation, "events": [{ "seq": seq, "at_ms": seq,
            "event": "step_started", "step": seq, "name": "step" }] });
        let post = self.task(reqwest::Method::POST, "events").json(&event);
        let (_, _, body) = call(&self.client, post).await?;
        acknowledged.events = serde_json::from_slice::<EventsResponse>(&body).unwrap().last_seq;

        let number = acknowledged.artifacts;
        let put = self.task(reqwest::Method::PUT, &format!("artifacts/a{number}"));
        let (status, _, _) = call(&self.client, put.body(artifact(number))).await?;
        assert_eq!(status, 200, "artifact {number}");
        acknowledged.artifacts += 1;

        let batch = acknowledged.batches;
        let results = json!({ "allocation": allocation, "batch": batch,
            "results": [{ "name": format!("t{batch}"), "result": "success" }] });
        let post = self.task(reqwest::Method::POST, "test-results").json(&results);
        let (status, _, _) = call(&self.client, post).await?;
        assert_eq!(status, 200, "batch {batch}");
        acknowledged.batches += 1;

        let submit = self
            .client
            .post(format!("{}/api/v3/pipelines", self.url))
            .header("circle-token", &self.admin)
            .json(&json!({ "project": "test/project", "config": config(&[&run("true")]) }));
        let (_, _, body) = call(&self.client, submit).await?;
        acknowledged.pipelines.push(serde_json::from_slice::<Pipeline>(&body).unwrap().id);
        Some(())
    }
}

/// One call; `None` where the server is gone before its answer is whole, also if a proxy says so.
async fn call(client: &reqwest::Client, request: reqwest::RequestBuilder) -> Option<Answer> {
    let answer = client.execute(request.build().unwrap()).await.ok()?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    if matches!(status, 502..=504) {
        return None;
    }
    Some((status, headers, answer.bytes().await.ok()?.to_vec()))
}

/// The byte that stands at this offset of the output.
fn pattern(at: u64) -> u8 {
    b'a' + u8::try_from(at % 23).unwrap()
}

/// Content of an artifact.
fn artifact(number: u64) -> Vec<u8> {
    let size = 1 + number * 4099 % 50_000;
    (number..number + size).map(pattern).collect()
}
