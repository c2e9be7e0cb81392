//! Payloads and signatures of webhooks that are not ours: `@octokit/webhooks-examples` and
//! `@octokit/webhooks-methods` of npm, which `.ci/run` installs into a folder of its cache.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::{Method, RequestBuilder};
use russet_protocol::webhooks::{DeliveryAnswer, DeliveryOutcome, DeliveryResult, WebhookSetup};
use russet_test_skip::{Lacks, skip};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::support::{Harness, LIMIT, ok};

pub(crate) const WEBHOOK: &str = "/api/v3/projects/acme%2Fapp/webhook";
pub(crate) const ZEROS: &str = "0000000000000000000000000000000000000000";

/// Returns the folder of the packages; a test without them is listed as skipped.
#[track_caller]
fn folder() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let folder = cache.map(|cache| cache.join("russet-ci/github-webhooks"));
    let is_there =
        |folder: &PathBuf| folder.join("node_modules/@octokit/webhooks-methods").is_dir();
    let folder = folder.filter(is_there);
    if folder.is_none() || !russet_test_skip::has_tool("node") {
        skip(Lacks::Tool, "@octokit/webhooks-methods of npm is not installed (.ci/run does that)");
        return None;
    }
    folder
}

/// A process of node that signs, and knows the examples. It ends with the test.
pub(crate) struct Octokit {
    talk: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    next: AtomicU32,
    _child: Child,
}

impl Octokit {
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        let mut child = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sign_webhooks.mjs"))
            .arg(folder()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Some(Self { talk: Mutex::new((stdin, lines)), next: AtomicU32::new(0), _child: child })
    }

    async fn ask(&self, asked: Value) -> Value {
        let mut talk = self.talk.lock().await;
        talk.0.write_all(format!("{asked}\n").as_bytes()).await.unwrap();
        let line = tokio::time::timeout(LIMIT, talk.1.next_line()).await.expect("it answers");
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    }

    pub(crate) async fn sign(&self, secret: &str, body: &str) -> String {
        self.ask(json!({"secret": secret, "body": body})).await.as_str().unwrap().to_owned()
    }

    /// Returns the examples of an event.
    pub(crate) async fn examples(&self, event: &str) -> Vec<Value> {
        self.ask(json!({"examples": event})).await.as_array().unwrap().clone()
    }

    /// Returns an id as GitHub makes them.
    pub(crate) fn new_id(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        format!("72d3162e-cc78-11e3-81ab-{number:012}")
    }
}

/// A repository's webhook at GitHub.
pub(crate) struct Hook<'a> {
    pub(crate) octokit: &'a Octokit,
    pub(crate) secret: String,
    pub(crate) url: String,
}

impl<'a> Hook<'a> {
    /// Sets up the webhook of the project.
    pub(crate) async fn set_up(octokit: &'a Octokit, harness: &Harness, url: &str) -> Self {
        let setup = ok(harness.as_admin(Method::PUT, WEBHOOK).json(&json!({}))).await;
        let setup: WebhookSetup = setup.json().await.unwrap();
        let secret = setup.secret.unwrap().expose().to_owned();
        Self { octokit, secret, url: url.to_owned() }
    }

    /// Puts the repository of the test into an example.
    pub(crate) fn ours(&self, mut payload: Value) -> Value {
        payload["repository"]["clone_url"] = json!(self.url);
        payload
    }

    /// Returns the example of a push, with other commits.
    pub(crate) async fn push(&self, reference: &str, before: &str, after: &str) -> Value {
        let examples = self.octokit.examples("push").await;
        let of_branch = |it: &&Value| it["ref"] == "refs/heads/master";
        let mut payload = examples.iter().find(of_branch).unwrap().clone();
        payload["ref"] = json!(reference);
        (payload["before"], payload["after"]) = (json!(before), json!(after));
        (payload["created"], payload["deleted"]) = (json!(before == ZEROS), json!(after == ZEROS));
        payload["head_commit"] = match after {
            ZEROS => Value::Null,
            after => {
                json!({"id": after, "url": format!("https://github.com/acme/app/commit/{after}")})
            }
        };
        self.ours(payload)
    }

    /// Returns the example of a pull request of a fork, with other commits.
    pub(crate) async fn pull(
        &self,
        action: &str,
        number: u32,
        (base, head): (&str, &str),
    ) -> Value {
        let examples = self.octokit.examples("pull_request").await;
        let of_action = |it: &&Value| it["action"] == action;
        let mut payload = examples.iter().find(of_action).unwrap().clone();
        payload["number"] = json!(number);
        let pull = &mut payload["pull_request"];
        pull["number"] = json!(number);
        pull["title"] = json!("Fix \"it\"");
        pull["html_url"] = json!(format!("https://github.com/acme/app/pull/{number}"));
        pull["user"]["login"] = json!("mallory");
        pull["base"]["sha"] = json!(base);
        pull["head"]["sha"] = json!(head);
        pull["head"]["repo"]["id"] = json!(4242);
        pull["head"]["repo"]["name"] = json!("app-fork");
        self.ours(payload)
    }

    /// Makes the call of a delivery.
    pub(crate) async fn request(
        &self,
        harness: &Harness,
        (event, id): (&str, &str),
        payload: &Value,
    ) -> RequestBuilder {
        let body = payload.to_string();
        let signature = self.octokit.sign(&self.secret, &body).await;
        send(harness, (event, id), body).header("x-hub-signature-256", signature)
    }

    /// Delivers something that is taken. Returns what became of it.
    pub(crate) async fn deliver(
        &self,
        harness: &Harness,
        (event, id): (&str, &str),
        payload: &Value,
    ) -> DeliveryResult {
        let answer = ok(self.request(harness, (event, id), payload).await).await;
        let mut answer: DeliveryAnswer = answer.json().await.unwrap();
        assert_eq!(answer.results.len(), 1, "{answer:?}");
        answer.results.remove(0)
    }

    /// The same with a new id. Returns the outcome.
    pub(crate) async fn tell(
        &self,
        harness: &Harness,
        event: &str,
        payload: &Value,
    ) -> DeliveryOutcome {
        self.deliver(harness, (event, &self.octokit.new_id()), payload).await.outcome
    }
}

/// Makes the call of a delivery without its signature.
pub(crate) fn send(harness: &Harness, (event, id): (&str, &str), body: String) -> RequestBuilder {
    harness
        .call(Method::POST, "/webhooks/github")
        .header("user-agent", "GitHub-Hookshot/044aadd")
        .header("content-type", "application/json")
        .header("x-github-event", event)
        .header("x-github-delivery", id)
        .body(body)
}
