//! A host with GitHub's API, as far as Russet calls it: it keeps statuses, proves nothing that its description does
//! not promise, and has the faults that a test asks for.
//!
//! With `Prism` before it (npm's `@stoplight/prism-cli`, which `.ci/run` installs with GitHub's published
//! description), each call and each answer is checked against that description.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use russet_test_skip::{Lacks, skip};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::LIMIT;

/// Something that goes wrong with the next call of a method.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is refused.
    Answer(u16, Vec<(&'static str, String)>, Value),
    /// It is done, and the connection is cut within the answer.
    DoneThenCut,
    /// It is not done, and the connection is cut within an answer.
    Cut,
    /// It is done, or not, and the answer does not end.
    Hang { is_done: bool },
}

/// A call that the host has had.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: String,
    pub(crate) body: Value,
}

#[derive(Default)]
struct Kept {
    calls: Vec<Called>,
    statuses: Vec<Value>,
    hooks: Vec<Value>,
    faults: VecDeque<(Method, Fault)>,
    /// Answers of GitHub's own examples; null without its description.
    examples: Value,
    /// Tokens that were given to Apps.
    granted: usize,
    /// Tokens that are taken; empty: all.
    tokens: Vec<String>,
    lacks_statuses: bool,
    is_gitea: bool,
}

/// A running host.
pub(crate) struct GithubHost {
    pub(crate) url: String,
    kept: Arc<Mutex<Kept>>,
    running: JoinHandle<()>,
}

impl GithubHost {
    pub(crate) async fn start() -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(Arc::clone(&kept));
        let running = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, kept, running }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Kept) -> T) -> T {
        f(&mut self.kept.lock().unwrap())
    }

    /// Lets the next calls of a method go wrong.
    pub(crate) fn fail(&self, method: Method, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().map(|fault| (method.clone(), fault));
        self.with(|kept| kept.faults.extend(faults));
    }

    /// Takes calls with these tokens alone.
    pub(crate) fn take_only(&self, tokens: &[&str]) {
        let tokens = tokens.iter().map(|&token| token.to_owned()).collect();
        self.with(|kept| kept.tokens = tokens);
    }

    /// Refuses to set statuses, for lack of a permission.
    pub(crate) fn lack_statuses(&self) {
        self.with(|kept| kept.lacks_statuses = true);
    }

    /// Speaks as Gitea does, below `/api/v1`.
    pub(crate) fn be_gitea(&self) {
        self.with(|kept| kept.is_gitea = true);
    }

    pub(crate) fn calls(&self) -> Vec<Called> {
        self.with(|kept| kept.calls.clone())
    }

    /// Words of the statuses of a name, in the order in which they came.
    pub(crate) fn words(&self, context: &str) -> Vec<String> {
        let statuses = self.with(|kept| kept.statuses.clone());
        let is_it = |of: &&Value| of["context"] == context;
        let words = |of: &Value| {
            let word = |name: &str| of[name].as_str().unwrap_or_default().to_owned();
            format!("{}{}: {}", word("state"), word("status"), word("description"))
        };
        statuses.iter().filter(is_it).map(words).collect()
    }

    pub(crate) fn hooks(&self) -> Vec<Value> {
        self.with(|kept| kept.hooks.clone())
    }

    pub(crate) fn statuses(&self) -> Vec<Value> {
        self.with(|kept| kept.statuses.clone())
    }
}

impl Drop for GithubHost {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn serve(
    State(kept): State<Arc<Mutex<Kept>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mut kept = kept.lock().unwrap();
    let authorization = headers.get("authorization").map(|of| of.to_str().unwrap().to_owned());
    let called = Called {
        method: method.to_string(),
        path: uri.path().to_owned(),
        authorization: authorization.unwrap_or_default(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    kept.calls.push(called.clone());
    let is_next = kept.faults.front().is_some_and(|(of, _)| *of == method);
    let fault = if is_next { kept.faults.pop_front().map(|(_, fault)| fault) } else { None };
    match fault {
        Some(Fault::Answer(status, headers, body)) => return answer(status, &headers, &body),
        Some(Fault::Cut) => return cut(),
        Some(Fault::Hang { is_done: false }) => return hang(),
        _ => {}
    }
    let (status, body) = if kept.is_gitea {
        gitea_answer(&mut kept, &called)
    } else {
        answer_of(&mut kept, &called)
    };
    if kept.is_gitea && fault.is_none() {
        let response =
            Response::builder().status(status).header("content-type", "application/json");
        return response.body(Body::from(body.to_string())).unwrap();
    }
    match fault {
        Some(Fault::DoneThenCut) => cut(),
        Some(Fault::Hang { .. }) => hang(),
        _ => answer(status, &[], &body),
    }
}

fn answer(status: u16, headers: &[(&'static str, String)], body: &Value) -> Response<Body> {
    let mut response = Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=utf-8")
        .header("x-github-request-id", "C0DE:1");
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(Body::from(body.to_string())).unwrap()
}

/// Cuts the connection within an answer of a server that is in trouble.
fn cut() -> Response<Body> {
    let parts = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("cut"))];
    let body = Body::from_stream(futures_util::stream::iter(parts));
    Response::builder().status(502).body(body).unwrap()
}

/// Begins an answer that does not end.
fn hang() -> Response<Body> {
    let parts = futures_util::stream::pending::<std::io::Result<Bytes>>();
    Response::builder().status(200).body(Body::from_stream(parts)).unwrap()
}

fn said(text: &str) -> Value {
    let about = "https://docs.github.com/rest";
    json!({"message": text, "documentation_url": about})
}

/// Does a call, as the description says.
fn answer_of(kept: &mut Kept, call: &Called) -> (u16, Value) {
    let parts: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    let token = call.authorization.strip_prefix("Bearer ").unwrap_or_default().to_owned();
    let is_app = token.contains('.');
    if !is_app && !kept.tokens.is_empty() && !kept.tokens.contains(&token) {
        return (401, said("Bad credentials"));
    }
    let example = |name: &str| kept.examples[name].clone();
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", ["repos", _, _]) => (200, example("repository")),
        ("GET", ["repos", _, _, "commits"]) => (200, example("commits")),
        ("GET", ["repos", _, _, "installation"]) if is_app => {
            let mut found = example("installation");
            found["id"] = json!(7);
            (200, found)
        }
        ("POST", ["app", "installations", "7", "access_tokens"]) if is_app => {
            kept.granted += 1;
            let mut token = example("token");
            token["token"] = json!(format!("ghs_{}", kept.granted));
            token["expires_at"] = json!("2100-01-01T00:00:00Z");
            kept.tokens = vec![format!("ghs_{}", kept.granted)];
            (201, token)
        }
        ("GET", ["repos", _, _, "commits", revision, "statuses"]) => {
            let of = kept.statuses.iter().rev().filter(|of| of["sha"] == **revision);
            (200, of.cloned().collect())
        }
        ("POST", ["repos", _, _, "statuses", revision]) => {
            if kept.lacks_statuses {
                return (403, said("Resource not accessible by personal access token"));
            }
            if revision.chars().all(|c| c == '0') {
                return (422, said("No commit found for SHA: 0000000"));
            }
            let mut status = example("status");
            let given =
                [("state", "state"), ("context", "context"), ("description", "description")];
            for (name, of) in given {
                status[name] = call.body[of].clone();
            }
            status["target_url"] = call.body["target_url"].clone();
            status["sha"] = json!(revision);
            status["id"] = json!(kept.statuses.len() + 1);
            kept.statuses.push(status.clone());
            (201, status)
        }
        ("GET", ["repos", _, _, "hooks"]) => (200, json!(kept.hooks)),
        ("POST", ["repos", _, _, "hooks"]) => {
            let mut hook = call.body.clone();
            hook["id"] = json!(kept.hooks.len() + 1);
            kept.hooks.push(hook.clone());
            (201, hook)
        }
        ("PATCH", ["repos", _, _, "hooks", id]) => {
            let found =
                kept.hooks.iter_mut().find(|hook| id.parse() == Ok(hook["id"].as_u64().unwrap()));
            let Some(hook) = found else { return (404, said("Not Found")) };
            hook["config"] = call.body["config"].clone();
            (200, hook.clone())
        }
        _ => (404, said("Not Found")),
    }
}

/// Does a call as Gitea 1.23 does.
fn gitea_answer(kept: &mut Kept, call: &Called) -> (u16, Value) {
    let Some(path) = call.path.strip_prefix("/api/v1/") else { return (404, json!({})) };
    let is_known = ["token token-1", "Bearer token-1"].contains(&&*call.authorization);
    let parts: Vec<&str> = path.split('/').collect();
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", ["version"]) => (200, json!({"version": "1.23.0"})),
        _ if !is_known => (401, json!({"message": "token is required", "url": "/api/swagger"})),
        ("GET", ["repos", _, _]) => {
            (200, json!({"id": 1, "permissions": {"admin": false, "push": true, "pull": true}}))
        }
        ("GET", ["repos", _, _, "commits"]) => (200, json!([])),
        ("GET", ["repos", _, _, "commits", revision, "statuses"]) => {
            // To the second, the newest first: here all in one.
            let of = kept.statuses.iter().filter(|of| of["sha"] == **revision);
            (200, of.cloned().collect())
        }
        ("POST", ["repos", _, _, "statuses", revision]) => {
            let mut status = json!({"id": kept.statuses.len() + 1, "sha": revision});
            for name in ["context", "description", "target_url"] {
                status[name] = call.body[name].clone();
            }
            status["status"] = call.body["state"].clone();
            kept.statuses.push(status.clone());
            (201, status)
        }
        _ => (404, json!({"message": "Not Found"})),
    }
}

/// npm's Prism between a server and a host, with GitHub's published description.
pub(crate) struct Prism {
    pub(crate) url: String,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Prism {
    /// Starts it; `None`, and the test is listed as skipped, where it is not installed.
    pub(crate) async fn start(host: &GithubHost) -> Option<Self> {
        let folder = description_folder()?;
        let dir = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/github_description.mjs");
        let done = Command::new("node").arg(script).arg(&folder).arg(dir.path()).status().unwrap();
        assert!(done.success());
        let examples = std::fs::read_to_string(dir.path().join("examples.json")).unwrap();
        host.with(|kept| kept.examples = serde_json::from_str(&examples).unwrap());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("node")
            .arg(folder.join("node_modules/.bin/prism"))
            .args(["proxy", "--errors", "--host", "127.0.0.1", "--port", &port.to_string()])
            .arg(dir.path().join("api.json"))
            .arg(&host.url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let it = Self { url: format!("http://127.0.0.1:{port}"), child, _dir: dir };
        let up = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, up).await.expect("Prism listens");
        Some(it)
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns the folder of what npm has about hosts; a test without it is listed as skipped.
#[track_caller]
pub(crate) fn description_folder() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let folder = cache.map(|cache| cache.join("russet-ci/github-description"));
    let folder = folder.filter(|folder| folder.join("node_modules/@stoplight/prism-cli").is_dir());
    if folder.is_none() || !russet_test_skip::has_tool("node") {
        skip(
            Lacks::Tool,
            "GitHub's description and Prism of npm are not installed (.ci/run does that)",
        );
        return None;
    }
    folder
}
