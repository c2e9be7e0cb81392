//! `/api/v2` as CircleCI publishes it: read by calls on the wire, and by a public client that is not ours.

use std::path::PathBuf;

use reqwest::Method;
use russet_protocol::admin::Pipeline;
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::{TestOutcome, TestResult};
use serde_json::{Value, json};

use crate::support::{Harness, ok, refused};

const CONFIG: &str = "
version: 2.1
jobs:
  one: {machine: true, resource_class: acme/mini, steps: [run: make]}
  two: {machine: true, resource_class: acme/mini, parallelism: 2, steps: [run: make]}
workflows:
  main:
    jobs:
      - one
      - wait: {type: approval, requires: [one]}
      - two: {requires: [wait], context: deploy}
";

/// A pipeline of a commit, whose first job has run.
async fn with_history(server: &Harness) -> Pipeline {
    let token = server.class().await;
    let context = json!({"projects": ["acme/app"]});
    ok(server.as_admin(Method::PUT, "/api/v3/contexts/deploy").json(&context)).await;
    let body = json!({
        "project": "acme/app", "config": CONFIG, "branch": "main", "revision": "a".repeat(40),
        "repository_url": "https://github.com/acme/app", "author": "ada",
    });
    let made = ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
    let pipeline: Pipeline = made.json().await.unwrap();
    let agent = server.claim(&token).await.unwrap();
    let results = [
        TestResult { name: "adds".into(), run_time_s: 0.5, ..TestResult::default() },
        TestResult {
            name: "divides".into(),
            classname: "math".into(),
            result: TestOutcome::Error,
            message: Some("by zero".into()),
            ..TestResult::default()
        },
    ];
    let results = json!({"allocation": agent.claim.allocation, "batch": 0, "results": results});
    ok(agent.call(Method::POST, "/api/v3/task/test-results").json(&results)).await;
    agent.finish(Outcome::Success).await;
    pipeline
}

#[tokio::test]
async fn a_pipeline_is_read_down_to_its_jobs_in_circlecis_form() {
    let server = Harness::start().await;
    let made = with_history(&server).await;
    let pipeline: Value = server.get(&format!("/api/v2/pipeline/{}", made.id)).await;
    assert_eq!(pipeline["project_slug"], "gh/acme/app");
    assert_eq!(pipeline["number"], 1);
    assert_eq!(pipeline["state"], "created");
    assert_eq!(pipeline["trigger"]["type"], "api");
    assert_eq!(pipeline["trigger"]["actor"]["login"], "ada");
    assert_eq!(pipeline["vcs"]["provider_name"], "GitHub");
    assert_eq!(pipeline["vcs"]["branch"], "main");
    assert_eq!(pipeline["vcs"]["revision"], "a".repeat(40));
    assert!(pipeline["vcs"].get("tag").is_none(), "{pipeline}");

    let workflows: Value = server.get(&format!("/api/v2/pipeline/{}/workflow", made.id)).await;
    let workflow = &workflows["items"][0];
    assert_eq!((&workflow["name"], &workflow["status"]), (&json!("main"), &json!("on_hold")));
    assert_eq!(workflow["pipeline_id"], pipeline["id"]);
    assert_eq!(workflow["stopped_at"], Value::Null);
    let path = format!("/api/v2/workflow/{}", workflow["id"].as_str().unwrap());
    assert_eq!(server.get::<Value>(&path).await, *workflow);

    let jobs: Value = server.get(&format!("{path}/job")).await;
    let [one, wait, two] = jobs["items"].as_array().unwrap().as_slice() else { panic!("{jobs}") };
    assert_eq!((&one["status"], &one["type"]), (&json!("success"), &json!("build")));
    assert!(one["stopped_at"].is_string() && one["job_number"] == 1, "{one}");
    assert_eq!((&wait["status"], &wait["type"]), (&json!("on_hold"), &json!("approval")));
    assert!(wait.get("job_number").is_none(), "{wait}");
    assert_eq!(two["status"], "blocked");
    assert_eq!(two["dependencies"], json!([wait["id"]]));

    // The number of an approval stands for it in no call, and it can be approved by its id.
    let id = wait["approval_request_id"].as_str().unwrap();
    ok(server.as_admin(Method::POST, &format!("/api/v3/jobs/{id}/approve"))).await;
    let jobs: Value = server.get(&format!("{path}/job")).await;
    assert_eq!(jobs["items"][1]["status"], "success");
    assert_eq!(jobs["items"][2]["status"], "queued");
    assert_eq!(server.get::<Value>(&path).await["status"], "running");
}

#[tokio::test]
async fn a_project_and_its_jobs_are_found_by_slug_and_number_however_the_slug_is_written() {
    let server = Harness::start().await;
    let made = with_history(&server).await;
    let project: Value = server.get("/api/v2/project/gh/acme/app").await;
    assert_eq!(project["slug"], "gh/acme/app");
    assert_eq!(
        (&project["name"], &project["organization_slug"]),
        (&json!("app"), &json!("gh/acme"))
    );
    assert_eq!(project["vcs_info"]["vcs_url"], "https://github.com/acme/app");
    let by_id = format!(
        "circleci/{}/{}",
        project["organization_id"].as_str().unwrap(),
        project["id"].as_str().unwrap()
    );
    for slug in ["github/acme/app", "gh%2Facme%2Fapp", "circleci%2facme%2Fapp", &by_id] {
        let root = format!("/api/v2/project/{slug}");
        assert_eq!(server.get::<Value>(&root).await, project, "{slug}");
        let pipeline: Value = server.get(&format!("{root}/pipeline/1")).await;
        assert_eq!(pipeline["id"], *made.id.as_str());
        let job: Value = server.get(&format!("{root}/job/1")).await;
        assert_eq!((&job["name"], &job["status"]), (&json!("one"), &json!("success")));
        assert_eq!(job["project"]["id"], project["id"]);
        assert!(job["duration"].is_u64() && job["web_url"].as_str().unwrap().starts_with("http"));
        let tests: Value = server.get(&format!("{root}/1/tests")).await;
        assert_eq!(tests["items"][1]["result"], "failure");
        assert_eq!(tests["items"][1]["message"], "by zero");
        let none: Value = server.get(&format!("{root}/1/artifacts")).await;
        assert_eq!(none, json!({"items": [], "next_page_token": null}));
    }
    let job: Value = server.get("/api/v2/project/gh/acme/app/job/3").await;
    assert_eq!(job["contexts"], json!([{"name": "deploy"}]));
    assert_eq!(job["parallel_runs"].as_array().unwrap().len(), 2);
    for path in ["gh/acme/other", "svn/acme/app", "gh/acme", "gh%2Facme", "gh/acme/app/job/99"] {
        refused(server.as_admin(Method::GET, &format!("/api/v2/project/{path}")), 404).await;
    }
    for path in ["job/x", "pipeline/x", "x/tests"] {
        let path = format!("/api/v2/project/gh/acme/app/{path}");
        refused(server.as_admin(Method::GET, &path), 400).await;
    }
}

#[tokio::test]
async fn lists_go_on_by_their_tokens_and_hide_other_namespaces_and_other_peoples_work() {
    let server = Harness::start().await;
    server.class().await;
    for _ in 0..21 {
        server.submit(crate::support::ONE_JOB).await;
    }
    let list = "/api/v2/project/circleci/acme/app/pipeline";
    let first: Value = server.get(&format!("{list}?branch=main")).await;
    assert_eq!(first["items"].as_array().unwrap().len(), 20);
    assert_eq!(first["items"][0]["number"], 21);
    let token = first["next_page_token"].as_str().unwrap();
    let rest: Value = server.get(&format!("{list}?branch=main&page-token={token}")).await;
    assert_eq!((&rest["items"][0]["number"], &rest["next_page_token"]), (&json!(1), &Value::Null));
    let none: Value = server.get(&format!("{list}?branch=other")).await;
    assert_eq!(none["items"], json!([]));
    let of_owner: Value = server.get("/api/v2/pipeline?org-slug=gh%2Facme").await;
    assert_eq!(of_owner["items"].as_array().unwrap().len(), 20);
    let of_other: Value = server.get("/api/v2/pipeline?org-slug=gh%2Fother").await;
    assert_eq!(of_other["items"], json!([]));
    let own: Value = server.get(&format!("{list}/mine")).await;
    assert_eq!(own["items"], json!([]));

    // Somebody who may read another namespace alone.
    let stranger = server.account("eve", None, &["read"]).await;
    let role = json!({"role": "viewer", "namespace": "other"});
    ok(server.as_admin(Method::PUT, "/api/v3/users/eve/role").json(&role)).await;
    let call = |path: &str| server.with_token(&stranger, Method::GET, path);
    refused(call(list), 404).await;
    let id = first["items"][0]["id"].as_str().unwrap();
    refused(call(&format!("/api/v2/pipeline/{id}")), 404).await;
    refused(call("/api/v2/project/circleci%2Facme%2Fapp"), 404).await;
    let all: Value = ok(call("/api/v2/pipeline")).await.json().await.unwrap();
    assert_eq!(all["items"], json!([]));
    let me: Value = ok(call("/api/v2/me")).await.json().await.unwrap();
    assert_eq!(me["login"], "eve");
}

/// Directory of `pycircleci`, which `.ci/run` fills.
fn public_client() -> Option<PathBuf> {
    if !russet_test_skip::has_tool("python3") {
        return None;
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let dir = cache.join("russet-ci/pycircleci");
    if dir.join("pycircleci").is_dir() {
        return Some(dir);
    }
    russet_test_skip::skip(russet_test_skip::Lacks::Tool, "pycircleci for python3");
    None
}

/// Walks from the project to the tests of a job, as a report of a week does.
const WALK: &str = "
import json, os
from pycircleci.api import Api
api = Api(os.environ['TOKEN'], os.environ['SERVER'] + '/api')
project = api.get_project('gh/acme/app')
pipelines = api.get_project_pipelines('acme', 'app', branch='main', paginate=True)
numbered = api.get_project_pipeline('acme', 'app', pipelines[0]['number'])
workflows = api.get_pipeline_workflow(numbered['id'])
workflow = api.get_workflow(workflows[0]['id'])
jobs = api.get_workflow_jobs(workflow['id'])
job = api.get_job_details('acme', 'app', jobs[0]['job_number'])
print(json.dumps({
    'me': api.get_user_info('v2')['login'],
    'project': project['slug'],
    'all': [pipeline['number'] for pipeline in api.get_pipelines('acme')],
    'jobs': [job['status'] for job in jobs],
    'job': [job['name'], job['pipeline']['id'] == numbered['id']],
    'contexts': [context['name'] for context in api.get_contexts('acme')],
}))
";

#[tokio::test]
async fn a_public_client_walks_from_a_project_to_its_jobs() {
    let Some(dir) = public_client() else { return };
    let server = Harness::start().await;
    with_history(&server).await;
    let walk = tokio::process::Command::new("python3")
        .args(["-c", WALK])
        .env("PYTHONPATH", dir)
        .env("TOKEN", &server.admin)
        .env("SERVER", &server.url)
        .output();
    let output = walk.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let wanted = json!({
        "me": "admin", "project": "gh/acme/app", "all": [1],
        "jobs": ["success", "on_hold", "blocked"], "job": ["one", true], "contexts": ["deploy"],
    });
    assert_eq!(found, wanted);
}

/// A call as CircleCI's command line v1 makes it.
fn command_line(server: &Harness, method: Method, path: &str) -> reqwest::RequestBuilder {
    let agent = "circleci-cli (darwin/arm64; 1.0.48692)";
    server.call(method, path).bearer_auth(&server.admin).header("user-agent", agent)
}

#[tokio::test]
async fn the_command_line_finds_runs_workflows_and_jobs_from_a_checkout() {
    let server = Harness::start().await;
    let made = with_history(&server).await;
    let slug = "/api/v3/projects?filter%5Bslug%5D=gh%2Facme%2Fapp";
    let json = async |request| ok(request).await.json::<Value>().await.unwrap();
    let project = json(command_line(&server, Method::GET, slug)).await["data"][0]["id"].clone();
    let search = |filter: &str, from: &str| {
        let scope = json!({"project_ids": [project], "from": from, "to": "2099-01-01T00:00:00Z"});
        let page = json!({"cursor": "", "limit": 10});
        let body = json!({"scope": scope, "filter": filter, "page": page});
        command_line(&server, Method::POST, "/api/v3/runs/search").json(&body)
    };
    let filter = "pipeline.git.branch == \"main\" and pipeline.status == \"on_hold\"";
    let runs = json(search(filter, "1970-01-01T00:00:00Z")).await;
    let run = &runs["data"][0];
    assert_eq!((&run["id"], &run["attributes"]["phase"]), (&json!(made.id), &json!("started")));
    let vcs = &run["references"]["event"]["attributes"]["vcs"];
    assert_eq!((&vcs["branch"], &vcs["revision"]), (&json!("main"), &json!("a".repeat(40))));
    assert_eq!(runs["page"]["next"], Value::Null);
    for (filter, from) in [
        ("pipeline.git.branch == \"other\"", "1970-01-01T00:00:00Z"),
        ("pipeline.status == \"failed\"", "1970-01-01T00:00:00Z"),
        ("", "2098-01-01T00:00:00Z"),
    ] {
        assert_eq!(json(search(filter, from)).await["data"], json!([]), "{filter}");
    }
    refused(search("pipeline.git.tag == \"x\"", "1970-01-01T00:00:00Z"), 400).await;
    refused(search("", "yesterday"), 400).await;

    let path = format!("/api/v3/workflows?filter%5Brun_id%5D={}", made.id);
    let workflows = json(command_line(&server, Method::GET, &path)).await;
    let id = workflows["data"][0]["id"].as_str().unwrap();
    let one = json(command_line(&server, Method::GET, &format!("/api/v3/workflows/{id}"))).await;
    assert_eq!(one["data"], workflows["data"][0]);
    let path = format!("/api/v3/jobs?filter%5Bworkflow_id%5D={id}");
    let jobs = json(command_line(&server, Method::GET, &path)).await;
    let phases: Vec<_> =
        jobs["data"].as_array().unwrap().iter().map(|job| &job["attributes"]["phase"]).collect();
    assert_eq!(phases, ["ended", "queued", "created"]);
    assert_eq!(jobs["data"][0]["attributes"]["outcome"], "succeeded");
    assert_eq!(jobs["data"][1]["attributes"]["type"], "approval");
    let id = jobs["data"][0]["id"].as_str().unwrap();
    let job = json(command_line(&server, Method::GET, &format!("/api/v3/jobs/{id}"))).await;
    assert_eq!(job["data"]["references"]["workflow"]["id"], workflows["data"][0]["id"]);
    assert!(job["data"]["attributes"]["parallel_executions"][0]["steps"].is_array(), "{job}");
    let path = format!("/api/v3/jobs/{id}/tests");
    let tests = ok(command_line(&server, Method::GET, &path)).await.text().await.unwrap();
    assert_eq!(tests.lines().count(), 2);
    let path = format!("/api/v3/jobs/{id}/artifacts");
    assert_eq!(json(command_line(&server, Method::GET, &path)).await["data"], json!([]));
    // What somebody may not see is answered as what is not there.
    let stranger = server.account("eve", None, &["read"]).await;
    let role = json!({"role": "viewer", "namespace": "other"});
    ok(server.as_admin(Method::PUT, "/api/v3/users/eve/role").json(&role)).await;
    let nothing = "019a0000-0000-7000-8000-000000000000";
    let workflow = workflows["data"][0]["id"].as_str().unwrap();
    for (list, filter, there) in
        [("workflows", "run_id", made.id.as_str()), ("jobs", "workflow_id", workflow)]
    {
        let call = |id: &str| {
            let path = format!("/api/v3/circleci/{list}?filter%5B{filter}%5D={id}");
            server.with_token(&stranger, Method::GET, &path)
        };
        assert_eq!(refused(call(there), 404).await, refused(call(nothing), 404).await, "{list}");
    }
    // Our own form stays for everybody else.
    let own: Value = server.get(&format!("/api/v3/jobs/{id}")).await;
    assert_eq!((&own["id"], own.get("data")), (&json!(id), None));
}
