//! Traces of pipelines, as a collector that is not ours reads them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use reqwest::Method;
use russet_control_plane::ManualClock;
use russet_protocol::admin::Pipeline;
use russet_protocol::outcome::Outcome;
use serde_json::{Value, json};

use crate::support::{Harness, Home, LIMIT, ONE_JOB, ok};

/// Directory of the published protobufs, which `.ci/run` fills.
fn protobufs() -> Option<PathBuf> {
    if !russet_test_skip::has_tool("python3") {
        return None;
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let dir = cache.join("russet-ci/otlp");
    if dir.join("opentelemetry/proto").is_dir() {
        return Some(dir);
    }
    russet_test_skip::skip(russet_test_skip::Lacks::Tool, "opentelemetry-proto for python3");
    None
}

/// A running collector. It ends when this is dropped.
struct Collector {
    child: Child,
    lines: mpsc::Receiver<Value>,
    url: String,
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _done = (self.child.kill(), self.child.wait());
    }
}

impl Collector {
    fn start(arguments: &[&str]) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/collector.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args(arguments)
            .env("PYTHONPATH", protobufs()?)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                drop(sender.send(serde_json::from_str(&line).unwrap()));
            }
        });
        Some(Self { child, lines: receiver, url: format!("http://127.0.0.1:{port}") })
    }

    /// Waits for the span of a pipeline, and returns all that came by then and shortly after, by name.
    fn spans(&self) -> BTreeMap<String, Value> {
        let mut spans = BTreeMap::new();
        while !spans.contains_key("RUN acme/app") || !spans.contains_key("compile") {
            let span = self.lines.recv_timeout(LIMIT).unwrap();
            spans.insert(span["name"].as_str().unwrap().to_owned(), span);
        }
        spans
    }
}

async fn start(endpoint: &str) -> Harness {
    let endpoint = endpoint.to_owned();
    Harness::start_with(Home::new(), ManualClock::new(), |settings| {
        settings.otlp_endpoint = Some(endpoint);
        settings.public_url = Some("https://ci.example.com".to_owned());
    })
    .await
}

async fn submit(server: &Harness, parent: Option<&str>) -> Pipeline {
    let body = json!({"project": "acme/app", "config": ONE_JOB, "branch": "main"});
    let mut call = server.as_admin(Method::POST, "/api/v3/pipelines").json(&body);
    if let Some(parent) = parent {
        call = call.header("traceparent", parent);
    }
    ok(call).await.json().await.unwrap()
}

/// Runs the job of a pipeline with one step.
async fn run(server: &Harness, token: &str, outcome: Outcome) {
    server.clock.advance(Duration::from_secs(5));
    let mut agent = server.claim(token).await.unwrap();
    agent.start_step(0).await;
    agent.end_step(0, 0).await;
    server.clock.advance(Duration::from_secs(30));
    agent.finish(outcome).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_one_trace_from_the_submit_to_its_steps() {
    let Some(collector) = Collector::start(&[]) else { return };
    let server = start(&collector.url).await;
    let token = server.class().await;
    let pipeline = submit(&server, None).await;
    run(&server, &token, Outcome::Failed).await;
    let spans = tokio::task::block_in_place(|| collector.spans());
    let of = |name: &str| spans.get(name).unwrap_or_else(|| panic!("no {name} in {spans:#?}"));
    let root = of("RUN acme/app");
    assert_eq!(root["parent"], "");
    for (child, parent) in [
        ("compile", "RUN acme/app"),
        ("main", "RUN acme/app"),
        ("one", "main"),
        ("queued", "one"),
        ("task", "one"),
        ("step 0", "task"),
    ] {
        assert_eq!(of(child)["parent"], of(parent)["id"], "{child}");
        assert_eq!(of(child)["trace"], root["trace"], "{child}");
        assert_eq!(of(child)["service"], "russet");
    }
    // SERVER, and the code of an error.
    assert_eq!((&root["kind"], &root["status"]), (&json!(2), &json!(2)));
    assert_eq!(root["attributes"]["cicd.pipeline.result"], "failure");
    assert_eq!(root["attributes"]["cicd.pipeline.run.id"], pipeline.id.as_str());
    assert_eq!(of("one")["attributes"]["cicd.pipeline.task.run.result"], "failure");
    assert_eq!(of("task")["attributes"]["cicd.worker.name"], "mini-1");
    assert_eq!(of("step 0")["status"], 1);
    let took =
        |name: &str| of(name)["end_ms"].as_i64().unwrap() - of(name)["start_ms"].as_i64().unwrap();
    assert_eq!((took("queued"), took("task"), took("one")), (5000, 30_000, 35_000));
    let shown = server.pipeline(&pipeline).await;
    assert_eq!(shown.trace_id.as_deref(), root["trace"].as_str());
    // Nothing of what the job is given or says.
    assert!(!format!("{spans:?}").contains("COLOR"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_the_caller_is_gone_on_with_and_one_that_is_not_recorded_makes_no_spans() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
    let Some(collector) = Collector::start(&[]) else { return };
    let server = start(&collector.url).await;
    let token = server.class().await;
    let silent = format!("{}-00", PARENT.replace("4bf9", "5bf9"));
    let quiet = submit(&server, Some(&silent)).await;
    assert_eq!(quiet.trace_id.as_deref(), Some("5bf92f3577b34da6a3ce929d0e0e4736"));
    run(&server, &token, Outcome::Success).await;
    submit(&server, Some(&format!("{PARENT}-01"))).await;
    run(&server, &token, Outcome::Success).await;
    let spans = tokio::task::block_in_place(|| collector.spans());
    let root = &spans["RUN acme/app"];
    assert_eq!(root["trace"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!((&root["parent"], &root["status"]), (&json!("00f067aa0ba902b7"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_or_is_away_keeps_no_task_waiting_and_no_server_from_ending()
{
    let Some(collector) = Collector::start(&["slow"]) else { return };
    for endpoint in [collector.url.as_str(), "http://127.0.0.1:9"] {
        let server = start(endpoint).await;
        let token = server.class().await;
        for _ in 0..3 {
            submit(&server, None).await;
            run(&server, &token, Outcome::Success).await;
        }
        server.stop.send(()).unwrap();
        tokio::time::timeout(LIMIT, server.running).await.unwrap().unwrap();
    }
}
