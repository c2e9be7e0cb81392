//! A data directory of an earlier version, as its binaries left it: `tests/data/2026-11`, which says
//! how it was made. Nothing in it may be lost, and all goes on.

use std::time::Duration;

use reqwest::Method;
use russet_control_plane::ManualClock;
use russet_protocol::admin::{
    ArtifactItem, ContextItem, Items, Job, Pipeline, ResourceClassItem, RunnerItem, SshKeyItem,
    TestItems, VariableItem,
};
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::TestOutcome;
use russet_protocol::storage::{
    CACHE_LOOKUP_PATH, CACHES_PATH, CacheLookupResponse, WORKSPACE_PATH, Workspace,
};
use russet_protocol::task::TaskConfig;
use serde_json::json;

use crate::support::{Harness, Home, ok};

/// A minute after the directory was left, in milliseconds since 1970: its caches have not expired.
const LEFT_MS: u64 = 1_796_022_145_580 + 60_000;

/// Start of a clock that is moved by hand, in milliseconds since 1970.
const CLOCK_START_MS: u64 = 1_000_000_000;

/// Starts today's server on a copy of the directory. Returns the token of its class too.
async fn start() -> (Harness, String) {
    let home = Home::new();
    let packed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/2026-11/data.tar.gz");
    let mut tar = std::process::Command::new("tar");
    tar.args(["-xzf", packed, "-C"]).arg(home.path());
    assert!(tar.status().unwrap().success());
    let token = std::fs::read_to_string(home.path().join("data/class.token")).unwrap();
    let clock = ManualClock::new();
    clock.advance(Duration::from_millis(LEFT_MS - CLOCK_START_MS));
    (Harness::start_in(home, clock).await, token.trim().to_owned())
}

async fn pipelines(server: &Harness) -> Vec<Pipeline> {
    let list: Items<Pipeline> = server.get("/api/v3/pipelines?project=app").await;
    list.items
}

fn job<'a>(pipeline: &'a Pipeline, name: &str) -> &'a Job {
    let mut jobs = pipeline.workflows.iter().flat_map(|workflow| &workflow.jobs);
    jobs.find(|job| job.name == name).unwrap()
}

#[tokio::test]
async fn what_an_earlier_version_stored_is_all_there() {
    let (server, _) = start().await;
    let pipelines = pipelines(&server).await;
    let numbers: Vec<_> = pipelines.iter().map(|pipeline| pipeline.number).collect();
    assert_eq!(numbers, [2, 1]);
    let first = &pipelines[1];
    assert_eq!(first.branch.as_deref(), Some("main"));
    assert_eq!(first.workflows.len(), 2);
    for (name, phase, outcome) in [
        ("build", Phase::Ended, Some(Outcome::Success)),
        ("test", Phase::Ended, Some(Outcome::Success)),
        ("broken", Phase::Ended, Some(Outcome::Failed)),
        ("hold", Phase::OnHold, None),
        ("deploy", Phase::Blocked, None),
        ("waiting", Phase::Queued, None),
    ] {
        let job = job(first, name);
        assert_eq!((job.phase, job.outcome), (phase, outcome), "{name}");
    }
    assert_eq!(job(first, "test").parallelism, 2);
    assert!(pipelines[0].workflows.iter().all(|workflow| workflow.phase == Phase::Ended));

    let build = format!("/api/v3/jobs/{}", job(first, "build").id);
    let whole: Job = server.get(&build).await;
    let says = whole.steps.iter().find(|step| step.name == "Say what there is").unwrap();
    assert_eq!(says.outcome, Some(Outcome::Success));
    let log = ok(server.as_admin(Method::GET, &format!("{build}/stdout"))).await;
    let log = log.text().await.unwrap();
    // The first is in a row, the second in an object.
    for said in ["built from one\n", "\n5999\n6000\n"] {
        assert!(log.contains(said), "{said:?} in {log}");
    }
    let failed = format!("/api/v3/jobs/{}/stdout", job(first, "broken").id);
    let failed = ok(server.as_admin(Method::GET, &failed)).await.text().await.unwrap();
    assert!(failed.contains("about to fail"), "{failed}");
    let tests: TestItems = server.get(&format!("{build}/tests")).await;
    let results: Vec<_> = tests.items.iter().map(|test| (&*test.name, test.result)).collect();
    assert_eq!(results, [("adds", TestOutcome::Success), ("divides", TestOutcome::Failure)]);
    let artifacts: Items<ArtifactItem> = server.get(&format!("{build}/artifacts")).await;
    assert_eq!(artifacts.items[0].path, "report.txt");
    let report = server.as_admin(Method::GET, &format!("{build}/artifacts/report.txt"));
    assert_eq!(ok(report).await.text().await.unwrap(), "artifact\n");
}

#[tokio::test]
async fn what_an_earlier_version_was_told_holds() {
    let (server, _) = start().await;
    let classes: Items<ResourceClassItem> = server.get("/api/v3/runner/resource?org-id=any").await;
    let names: Vec<_> =
        classes.items.iter().map(|class| class.resource_class.to_string()).collect();
    assert_eq!(names, ["acme/mini", "acme/nobody"]);
    assert!(classes.items[0].pin.as_ref().is_some_and(|pin| pin.to_string().contains("beta")));
    let runners: Items<RunnerItem> = server.get("/api/v3/runner?org-id=any").await;
    let names: Vec<_> = runners.items.iter().map(|runner| &*runner.name).collect();
    assert_eq!(names, ["mini-1"]);
    let contexts: Items<ContextItem> = server.get("/api/v3/contexts").await;
    assert_eq!(contexts.items[0].name, "deploy");
    let variables: Items<VariableItem> = server.get("/api/v3/projects/app/env").await;
    assert_eq!(variables.items[0].name, "PROJECT_KEY");
    let keys: Items<SshKeyItem> = server.get("/api/v3/projects/app/ssh-keys").await;
    assert_eq!(keys.items.len(), 1);
}

#[tokio::test]
async fn what_an_earlier_version_began_goes_on() {
    let (server, token) = start().await;
    let first = pipelines(&server).await.remove(1);
    let approve = format!("/api/v3/jobs/{}/approve", job(&first, "hold").id);
    ok(server.as_admin(Method::POST, &approve).json(&json!({}))).await;
    let agent = server.claim(&token).await.expect("the token of the class is taken");
    let config = ok(agent.call(Method::GET, "/api/v2/task/config")).await;
    let config: TaskConfig = config.json().await.unwrap();
    let values = config.environment.iter().map(|var| (&*var.name, var.value.expose()));
    let values: Vec<_> = values.filter(|(name, _)| name.ends_with("_KEY")).collect();
    let sealed = [("PROJECT_KEY", "kept-of-the-project"), ("DEPLOY_KEY", "kept-of-the-context")];
    assert_eq!(values, sealed);
    let source = ok(agent.call(Method::GET, "/api/v3/task/source")).await;
    assert!(!source.bytes().await.unwrap().is_empty());
    let lookup = agent.call(Method::POST, CACHE_LOOKUP_PATH).json(&json!({"keys": ["deps-v1"]}));
    let found: CacheLookupResponse = ok(lookup).await.json().await.unwrap();
    let cache = found.cache.expect("the cache is kept");
    let path = format!("{CACHES_PATH}/{}/archive", cache.id);
    let archive = ok(agent.call(Method::GET, &path)).await.bytes().await.unwrap();
    assert_eq!(blake3::hash(&archive).to_hex().as_str(), cache.blake3);
    let workspace = ok(agent.call(Method::GET, WORKSPACE_PATH)).await;
    let workspace: Workspace = workspace.json().await.unwrap();
    let layers: Vec<_> = workspace.layers.iter().map(|layer| &*layer.job).collect();
    assert_eq!(layers, ["build"]);
    agent.finish(Outcome::Success).await;
    let cancel = format!("/api/v3/jobs/{}/cancel", job(&first, "waiting").id);
    ok(server.as_admin(Method::POST, &cancel).json(&json!({}))).await;
    let now = server.pipeline(&first).await;
    assert!(now.workflows.iter().all(|workflow| workflow.phase == Phase::Ended));
    let config = "version: 2.1\njobs: {one: {machine: true, resource_class: acme/mini, \
                  steps: [run: 'true']}}\nworkflows: {main: {jobs: [one]}}\n";
    let body = json!({"project": "app", "config": config});
    let next = ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
    assert_eq!(next.json::<Pipeline>().await.unwrap().number, 3);
}
