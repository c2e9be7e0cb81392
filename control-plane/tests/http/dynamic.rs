//! Setups: a job says what its pipeline goes on with, once, while it runs.

use reqwest::{Method, RequestBuilder};
use russet_protocol::admin::{Pipeline, StreamEvent};
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::task::TaskConfig;
use serde_json::{Value, json};

use crate::support::{Agent, Harness, ok, refused};

const SETUP: &str = "
version: 2.1
setup: true
parameters:
  level: {type: integer, default: 1}
  late: {type: boolean, default: false}
jobs:
  choose:
    machine: true
    resource_class: acme/mini
    environment: {IN_SETUP: << pipeline.in_setup >>, NUMBER: << pipeline.number >>}
    steps: [run: 'true']
workflows:
  setup:
    jobs: [choose]
";

const NEXT: &str = "
version: 2.1
parameters:
  level: {type: integer, default: 1}
  late: {type: boolean, default: false}
jobs:
  build:
    machine: true
    resource_class: acme/mini
    environment:
      LEVEL: << pipeline.parameters.level >>
      IN_SETUP: << pipeline.in_setup >>
      NUMBER: << pipeline.number >>
    steps: [run: 'true']
workflows:
  main:
    when: << pipeline.parameters.late >>
    jobs: [build]
";

impl Harness {
    async fn submit_setup(&self, more: Value) -> Pipeline {
        let mut body = json!({"project": "acme/app", "config": SETUP});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ok(self.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await.json().await.unwrap()
    }

    fn go_on(&self, key: &str, configuration: &str, parameters: Value) -> RequestBuilder {
        let body = json!({
            "continuation-key": key, "configuration": configuration, "parameters": parameters,
        });
        self.call(Method::POST, "/api/v2/pipeline/continue").json(&body)
    }
}

async fn variable(agent: &Agent, name: &str) -> Option<(String, bool)> {
    let config = ok(agent.call(Method::GET, "/api/v2/task/config")).await;
    let config: TaskConfig = config.json().await.unwrap();
    let found = config.environment.into_iter().rev().find(|variable| variable.name == name);
    found.map(|variable| (variable.value.expose().to_owned(), variable.masked))
}

async fn key(agent: &Agent) -> String {
    let (key, is_masked) = variable(agent, "CIRCLE_CONTINUATION_KEY").await.unwrap();
    assert!(is_masked);
    key
}

#[tokio::test]
async fn a_pipeline_goes_on_with_the_workflows_and_parameters_that_its_setup_job_sends() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit_setup(json!({})).await;
    let first = server.claim(&token).await.unwrap();
    first.finish(Outcome::Success).await;
    let pipeline = server.submit_setup(json!({"parameters": {"level": 3}})).await;
    assert_eq!(pipeline.number, 2);
    let mut live = server.live(&pipeline).await;
    let setup = server.claim(&token).await.unwrap();
    assert_eq!(variable(&setup, "IN_SETUP").await.unwrap().0, "1");
    assert_eq!(variable(&setup, "NUMBER").await.unwrap().0, "2");

    let key = key(&setup).await;
    let answer = ok(server.go_on(&key, NEXT, json!({"late": true}))).await;
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["message"], "The pipeline goes on with main.");
    let again = refused(server.go_on(&key, NEXT, json!({})), 409).await;
    assert!(again["message"].as_str().unwrap().contains("has gone on already"), "{again}");
    setup.finish(Outcome::Success).await;

    let build = server.claim(&token).await.unwrap();
    assert_eq!(variable(&build, "LEVEL").await.unwrap().0, "3");
    assert_eq!(variable(&build, "IN_SETUP").await.unwrap().0, "0");
    assert_eq!(variable(&build, "NUMBER").await.unwrap().0, "2");
    assert_eq!(variable(&build, "CIRCLE_CONTINUATION_KEY").await, None);
    build.finish(Outcome::Success).await;

    let pipeline = server.pipeline(&pipeline).await;
    let names: Vec<&str> = pipeline.workflows.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["setup", "main"]);
    assert!(pipeline.workflows.iter().all(|w| w.outcome == Some(Outcome::Success)));
    assert_eq!(pipeline.workflows[1].jobs[0].number, 3);
    let events = live.rest().await;
    let seen = |name: &str| {
        events.iter().any(|event| {
            matches!(event, StreamEvent::Job { job, .. }
                if job.name == name && job.phase == Phase::Ended)
        })
    };
    assert!(seen("choose") && seen("build"), "{events:#?}");
}

#[tokio::test]
async fn the_key_is_worth_nothing_once_its_job_has_ended_and_nobody_elses_is() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit_setup(json!({})).await;
    let setup = server.claim(&token).await.unwrap();
    let old = key(&setup).await;
    let new = key(&setup).await;
    assert_ne!(old, new);
    for wrong in [old.as_str(), "", "rsk_x", setup.claim.task_token.expose()] {
        refused(server.go_on(wrong, NEXT, json!({})), 404).await;
    }
    setup.finish(Outcome::Success).await;
    let late = refused(server.go_on(&new, NEXT, json!({})), 409).await;
    assert!(late["message"].as_str().unwrap().contains("does not run any more"), "{late}");
}

#[tokio::test]
async fn a_continuation_that_is_wrong_is_refused_with_its_places_and_may_be_sent_again() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit_setup(json!({})).await;
    let setup = server.claim(&token).await.unwrap();
    let key = key(&setup).await;
    let wrong = refused(server.go_on(&key, "version: 2.1\njobs: {a: {}}\n", json!({})), 422).await;
    assert!(wrong["diagnostics"][0].as_str().unwrap().contains("continuation:2:"), "{wrong}");
    refused(server.go_on(&key, SETUP, json!({})), 422).await;
    refused(server.go_on(&key, NEXT, json!({"unknown": 1})), 422).await;
    refused(server.go_on(&key, NEXT, json!({"late": [1]})), 400).await;
    let other_class = NEXT.replace("acme/mini", "acme/other");
    refused(server.go_on(&key, &other_class, json!({"late": true})), 422).await;
    assert_eq!(server.pipeline(&pipeline).await.workflows.len(), 1);

    // What CircleCI's own orb sends where there is nothing to go on with.
    let nothing = "{version: 2, jobs: {}, workflows: {version: 2}}";
    ok(server.go_on(&key, nothing, json!({}))).await;
    setup.finish(Outcome::Success).await;
    let pipeline = server.pipeline(&pipeline).await;
    assert_eq!(pipeline.workflows.len(), 1);
    assert_eq!(pipeline.workflows[0].outcome, Some(Outcome::Success));
}

#[tokio::test]
async fn a_workflow_that_a_setup_does_not_know_is_chosen_of_what_it_goes_on_with() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit_setup(json!({"workflow": "other", "on_host": true})).await;
    assert_eq!(pipeline.workflows[0].name, "setup");
    let setup = server.claim(&token).await.unwrap();
    let next = format!("{NEXT}  other:\n    jobs: [build]\n");
    ok(server.go_on(&key(&setup).await, &next, json!({"late": true}))).await;
    let pipeline = server.pipeline(&pipeline).await;
    let names: Vec<&str> = pipeline.workflows.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["setup", "other"]);
}

#[tokio::test]
async fn contexts_that_nobody_made_are_made_where_that_was_asked_for() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit_setup(json!({"make_contexts": true})).await;
    let setup = server.claim(&token).await.unwrap();
    let next = NEXT.replace("jobs: [build]", "jobs: [build: {context: [deploy]}]");
    ok(server.go_on(&key(&setup).await, &next, json!({"late": true}))).await;
    assert!(server.claim(&token).await.is_some());
}

#[tokio::test]
async fn a_setup_goes_on_after_the_server_was_started_anew() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit_setup(json!({"parameters": {"level": 7}})).await;
    let setup = server.claim(&token).await.unwrap();
    let key = key(&setup).await;
    let server = server.restart().await;
    ok(server.go_on(&key, NEXT, json!({"late": true}))).await;
    assert_eq!(server.pipeline(&pipeline).await.workflows.len(), 2);
}
