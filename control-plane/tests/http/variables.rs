//! Contexts, variables, and what forks may not have.

use reqwest::{Method, StatusCode};
use russet_protocol::admin::{ContextItem, Items, Pipeline, VariableItem};
use russet_protocol::outcome::Outcome;
use russet_protocol::task::TaskConfig;
use serde_json::json;

use crate::support::{Agent, Harness, ok, refused};

const CONFIG: &str = "
version: 2.1
jobs:
  one:
    machine: true
    resource_class: acme/mini
    environment: {OWN: job}
    steps: [run: 'true']
workflows:
  main:
    jobs:
      - one: {context: [first, second]}
";

impl Harness {
    async fn set(&self, of: &str, name: &str, value: &str) {
        let path = format!("/api/v3/{of}/env/{name}");
        ok(self.as_admin(Method::PUT, &path).json(&json!({"value": value}))).await;
    }

    async fn context(&self, name: &str, projects: Option<&[&str]>) {
        let path = format!("/api/v3/contexts/{name}");
        ok(self.as_admin(Method::PUT, &path).json(&json!({"projects": projects}))).await;
    }

    async fn submit_from(&self, from_fork: bool) -> Pipeline {
        let body = json!({"project": "acme/app", "config": CONFIG, "from_fork": from_fork});
        ok(self.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await.json().await.unwrap()
    }
}

async fn environment(agent: &Agent) -> Vec<(String, String, bool)> {
    let config = ok(agent.call(Method::GET, "/api/v2/task/config")).await;
    let config: TaskConfig = config.json().await.unwrap();
    let seen = config.environment.into_iter();
    seen.map(|var| (var.name, var.value.expose().to_owned(), var.masked)).collect()
}

#[tokio::test]
async fn a_job_gets_the_variables_of_its_project_and_contexts_in_the_order_in_which_they_win() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.context("first", None).await;
    server.context("second", Some(&["acme/other", "acme/app"])).await;
    server.set("projects/acme%2Fapp", "TOKEN", "of the project").await;
    server.set("projects/acme%2Fother", "TOKEN", "of another").await;
    server.set("contexts/first", "TOKEN", "of the first").await;
    server.set("contexts/second", "TOKEN", "before").await;
    server.set("contexts/second", "TOKEN", "of the second\nwith two lines").await;
    server.submit_from(false).await;
    let agent = server.claim(&token).await.unwrap();
    let var = |value: &str| ("TOKEN".to_owned(), value.to_owned(), true);
    let own = ("OWN".to_owned(), "job".to_owned(), false);
    let second = "of the second\nwith two lines";
    let expected = [var("of the project"), var("of the first"), var(second), own];
    assert_eq!(environment(&agent).await, expected);
}

#[tokio::test]
async fn values_are_sealed_on_disk_and_never_shown_and_outlive_a_restart() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.context("first", None).await;
    server.context("second", None).await;
    server.set("contexts/first", "TOKEN", "hunter2-and-more").await;
    let listed = server.as_admin(Method::GET, "/api/v3/contexts/first/env");
    let listed = ok(listed).await.text().await.unwrap();
    assert!(listed.contains("TOKEN") && !listed.contains("hunter2"), "{listed}");
    let server = server.restart().await;
    for entry in std::fs::read_dir(server.dir.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(7).any(|part| part == b"hunter2"), "{}", path.display());
        }
    }
    server.submit_from(false).await;
    let agent = server.claim(&token).await.unwrap();
    assert_eq!(environment(&agent).await[0].1, "hunter2-and-more");
}

#[tokio::test]
async fn a_job_is_unauthorized_without_its_context_or_with_that_of_others() {
    let server = Harness::start().await;
    let token = server.class().await;
    let ended = async |why: &str| {
        let job = server.job(&server.submit_from(false).await).await;
        assert_eq!(job.outcome, Some(Outcome::Unauthorized));
        assert!(job.message.as_deref().unwrap().contains(why), "{:?}", job.message);
    };
    ended("there is no context `first`").await;
    server.context("first", None).await;
    server.context("second", Some(&["acme/other"])).await;
    ended("may not use the context `second`").await;
    server.context("second", Some(&["acme/app"])).await;
    server.submit_from(false).await;
    let agent = server.claim(&token).await.unwrap();
    // What was allowed when the job was queued need not be when it starts.
    server.context("second", Some(&[])).await;
    refused(agent.call(Method::GET, "/api/v2/task/config"), 409).await;
}

#[tokio::test]
async fn a_fork_gets_no_secrets_and_a_runner_only_where_its_class_says_so() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.context("first", None).await;
    server.context("second", None).await;
    server.set("projects/acme%2Fapp", "TOKEN", "of the project").await;
    let job = server.job(&server.submit_from(true).await).await;
    assert_eq!(job.outcome, Some(Outcome::Unauthorized));
    assert!(job.message.as_deref().unwrap().contains("takes no tasks of forks"));
    let open = json!({"resource_class": "acme/open", "description": "", "allow_forks": true});
    ok(server.as_admin(Method::POST, "/api/v3/runner/resource").json(&open)).await;
    let submit = async |config: String| -> Pipeline {
        let body = json!({"project": "acme/app", "config": config, "from_fork": true});
        let call = server.as_admin(Method::POST, "/api/v3/pipelines").json(&body);
        ok(call).await.json().await.unwrap()
    };
    let config = CONFIG.replace("acme/mini", "acme/open");
    let job = server.job(&submit(config.clone()).await).await;
    assert!(job.message.as_deref().unwrap().contains("may not use the context `first`"));
    submit(config.replace("[first, second]", "[]")).await;
    let body = json!({"resource_class": "acme/open", "nickname": "test"});
    let call = server.as_admin(Method::POST, "/api/v3/runner/token").json(&body);
    let open: serde_json::Value = ok(call).await.json().await.unwrap();
    assert!(server.claim(&token).await.is_none());
    let agent = server.claim(open["token"].as_str().unwrap()).await.unwrap();
    assert_eq!(environment(&agent).await, [("OWN".to_owned(), "job".to_owned(), false)]);
}

#[tokio::test]
async fn contexts_and_variables_are_listed_and_removed() {
    let server = Harness::start().await;
    server.context("first", Some(&["acme/app"])).await;
    server.set("contexts/first", "B", "1").await;
    server.set("contexts/first", "A", "1").await;
    let contexts: Items<ContextItem> = server.get("/api/v3/contexts").await;
    assert_eq!(contexts.items[0].projects.as_deref(), Some(&["acme/app".to_owned()][..]));
    let names: Items<VariableItem> = server.get("/api/v3/contexts/first/env").await;
    assert_eq!(names.items.iter().map(|item| &*item.name).collect::<Vec<_>>(), ["A", "B"]);
    let unset = || server.as_admin(Method::DELETE, "/api/v3/contexts/first/env/A");
    ok(unset()).await;
    refused(unset(), 404).await;
    for (path, status) in [
        ("contexts/none/env/A", 404),
        ("contexts/first/env/1A", 400),
        ("contexts/first/env/A-B", 400),
        ("projects/acme%2Fapp/env/A%20B", 400),
    ] {
        let call = server.as_admin(Method::PUT, &format!("/api/v3/{path}"));
        refused(call.json(&json!({"value": "x"})), status).await;
    }
    let long = json!({"value": "x".repeat(200_000)});
    let call = server.as_admin(Method::PUT, "/api/v3/contexts/first/env/A").json(&long);
    refused(call, 400).await;
    ok(server.as_admin(Method::DELETE, "/api/v3/contexts/first")).await;
    refused(server.as_admin(Method::GET, "/api/v3/contexts/first/env"), 404).await;
    let call = server.call(Method::GET, "/api/v3/contexts");
    assert_ne!(call.send().await.unwrap().status(), StatusCode::OK);
}
