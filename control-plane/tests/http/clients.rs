//! Calls of public clients as they make them, where only the host is changed: CircleCI's command
//! lines v1 (1.0.48692) and v0.1.47860, its Go SDK, an autoscaler, a Terraform provider and install
//! scripts. docs/clients.md has the table.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use russet_protocol::outcome::Outcome;
use serde_json::{Value, json};

use crate::support::{CLASS, Harness, ONE_JOB, ok, refused};

async fn get(server: &Harness, path: &str) -> Value {
    server.get(path).await
}

fn claim_as(server: &Harness, token: &str, runner: &Value) -> reqwest::RequestBuilder {
    server.call(Method::POST, "/api/v3/runner/claim").bearer_auth(token).json(runner)
}

#[tokio::test]
async fn the_command_line_finds_its_organization_and_its_project_before_it_lists_runners() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.claim(&token).await;
    let orgs = get(&server, "/api/v3/orgs?filter%5Bslug%5D=gh%2Facme").await;
    let org = orgs["data"][0]["id"].as_str().unwrap().to_owned();
    let projects = get(&server, "/api/v3/projects?filter%5Bslug%5D=gh%2Facme%2Fapp").await;
    let project = &projects["data"][0];
    assert_eq!(project["attributes"]["name"], "acme/app");
    assert_eq!(project["references"]["org"]["id"], *org);
    for id in [&org, project["id"].as_str().unwrap()] {
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert!(id.chars().all(|c| c == '-' || c.is_ascii_hexdigit()), "{id}");
    }
    let again = get(&server, "/api/v3/projects?filter%5Bslug%5D=gh%2Facme%2Fapp").await;
    assert_eq!(again, projects);
    let classes = get(&server, &format!("/api/v3/runner/resource?org-id={org}")).await;
    assert_eq!(classes["items"][0]["resource_class"], CLASS);
    let runners = get(&server, &format!("/api/v3/runner?org-id={org}")).await;
    assert_eq!(runners["items"][0]["name"], "mini-1");
}

#[tokio::test]
async fn listings_say_who_is_busy_and_how_much_a_class_has_and_the_organization_wins() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let status =
        async || get(&server, "/api/v3/runner?org-id=x").await["items"][0]["status"].clone();
    assert_eq!(status().await, "busy");
    let class = get(&server, "/api/v3/runner/resource?org-id=x&namespace=other").await;
    assert_eq!(class["items"][0]["active_tasks"], 1);
    assert_eq!(class["items"][0]["runners"], 1);
    let runners = get(&server, "/api/v3/runner?org-id=x&namespace=other").await;
    assert_eq!(runners["items"].as_array().unwrap().len(), 1);
    let none = get(&server, "/api/v3/runner?namespace=other").await;
    assert_eq!(none["items"], json!([]));
    agent.finish(Outcome::Success).await;
    assert_eq!(status().await, "idle");
    for unfiltered in ["/api/v3/runner/resource", "/api/v3/runner", "/api/v2/runner"] {
        let problem = refused(server.as_admin(Method::GET, unfiltered), 400).await;
        assert!(problem["message"].as_str().unwrap().contains("`org-id`"), "{problem}");
    }
    let problem = refused(server.as_admin(Method::GET, "/api/v3/runner/tasks"), 400).await;
    assert_eq!(problem["message"], "the query needs `resource-class`");
}

#[tokio::test]
async fn the_second_version_has_the_same_calls_for_providers_autoscalers_and_scripts() {
    let server = Harness::start().await;
    for root in ["/api/v2/runner", "/api/v3/runner"] {
        let class = json!({"resource_class": "acme/other", "description": "x"});
        let path = format!("{root}/resource");
        let made = ok(server.as_admin(Method::POST, &path).json(&class)).await;
        assert_eq!(made.status(), StatusCode::CREATED);
        let made: Value = made.json().await.unwrap();
        refused(server.as_admin(Method::POST, &path).json(&class), 409).await;
        let token = json!({"resource_class": "acme/other", "nickname": "n"});
        let token = ok(server.as_admin(Method::POST, &format!("{root}/token")).json(&token)).await;
        assert_eq!(token.status(), StatusCode::CREATED);
        let token: Value = token.json().await.unwrap();
        assert!(token["token"].is_string());
        let tokens = get(&server, &format!("{root}/token?resource-class=acme/other")).await;
        assert_eq!(tokens["items"][0]["id"], token["id"]);
        let class = format!("{root}/resource/{}", made["id"].as_str().unwrap());
        refused(server.as_admin(Method::DELETE, &class), 409).await;
        let token = format!("{root}/token/{}", token["id"].as_str().unwrap());
        for path in [token, class] {
            let gone = ok(server.as_admin(Method::DELETE, &path)).await;
            assert_eq!(gone.status(), StatusCode::NO_CONTENT);
            assert_eq!(gone.bytes().await.unwrap(), "");
        }
    }
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    server.claim(&token).await.unwrap();
    server.submit(ONE_JOB).await;
    for path in ["/api/v2/tasks", "/api/v2/runner/tasks", "/api/v3/runner/tasks"] {
        let of = |class: &str, path: &str| format!("{path}?resource-class={class}");
        let waiting = get(&server, &of(CLASS, path)).await;
        assert_eq!(waiting, json!({"unclaimed_task_count": 1}), "{path}");
        let running = get(&server, &of(CLASS, &format!("{path}/running"))).await;
        assert_eq!(running, json!({"running_runner_tasks": 1}), "{path}");
        let unknown = server.as_admin(Method::GET, &of("acme/none", path));
        let problem = refused(unknown, 404).await;
        assert!(problem["message"].as_str().unwrap().starts_with("resource class not found"));
    }
    let runners = get(&server, &format!("/api/v2/runner?resource-class={CLASS}")).await;
    assert_eq!(runners["items"][0]["name"], "mini-1");
}

#[tokio::test]
async fn nobody_without_the_token_sees_any_of_it() {
    let server = Harness::start().await;
    for path in
        ["/api/v2/runner", "/api/v2/tasks", "/api/v2/context", "/api/v3/orgs", "/api/v3/projects"]
    {
        refused(server.call(Method::GET, path), 404).await;
    }
    refused(server.call(Method::POST, "/api/v3/configs/compile").json(&json!({})), 404).await;
    refused(server.call(Method::GET, "/api/v2/launch-agent/download"), 401).await;
}

#[tokio::test]
async fn contexts_are_listed_with_their_variables_and_never_with_values() {
    let server = Harness::start().await;
    let projects = json!({"projects": ["acme/app"]});
    ok(server.as_admin(Method::PUT, "/api/v3/contexts/deploy").json(&projects)).await;
    ok(server.as_admin(Method::PUT, "/api/v3/contexts/other").json(&json!({}))).await;
    let set = server.as_admin(Method::PUT, "/api/v3/contexts/deploy/env/KEY");
    ok(set.json(&json!({"value": "hunter2hunter2"}))).await;
    // The older command line looks here first whether there are contexts.
    let paths: Value =
        ok(server.call(Method::GET, "/api/v2/openapi.json")).await.json().await.unwrap();
    assert!(paths["paths"]["/context"].is_object());
    let all = get(&server, "/api/v2/context?owner-slug=gh%2Facme").await;
    let names: Vec<_> = all["items"].as_array().unwrap().iter().map(|item| &item["name"]).collect();
    assert_eq!(names, ["deploy", "other"]);
    assert!(all["next_page_token"].is_null());
    let some = get(&server, "/api/v2/context?owner-id=x&name=eplo").await;
    let item = &some["items"][0];
    assert_eq!(some["items"].as_array().unwrap().len(), 1);
    assert!(item["created_at"].as_str().unwrap().ends_with('Z'));
    let id = item["id"].as_str().unwrap();
    let shown = get(&server, &format!("/api/v2/context/{id}")).await;
    assert_eq!(shown["restrictions"][0]["name"], "acme/app");
    let variables = get(&server, &format!("/api/v2/context/{id}/environment-variable")).await;
    assert_eq!(variables["items"][0]["variable"], "KEY");
    assert_eq!(variables["items"][0]["context_id"], *id);
    assert!(!format!("{shown}{variables}").contains("hunter2"));
    refused(server.as_admin(Method::GET, "/api/v2/context/none"), 404).await;
}

#[tokio::test]
async fn a_configuration_is_compiled_and_its_mistakes_are_no_error_of_the_call() {
    let server = Harness::start().await;
    let config = "version: 2.1\nparameters: {n: {type: integer, default: 1}}\njobs:\n  build:\n    \
                  machine: true\n    resource_class: acme/mini\n    steps: [run: 'echo << pipeline.parameters.n >>']\n";
    let v3 = |config: &str| {
        let attributes = json!({
            "config": config, "pipeline_parameters": {"n": 7},
            "pipeline_values": {"pipeline.number": 1, "pipeline.git.branch": "main", "pipeline.git.tag": ""},
        });
        let body = json!({"data": {"attributes": attributes, "references": {"org": {"id": "x"}}}});
        server.as_admin(Method::POST, "/api/v3/configs/compile").json(&body)
    };
    let good: Value = ok(v3(config)).await.json().await.unwrap();
    let attributes = &good["data"]["attributes"];
    assert_eq!(
        (&attributes["outcome"], &attributes["phase"]),
        (&json!("succeeded"), &json!("ended"))
    );
    assert!(attributes["compiled_config"].as_str().unwrap().contains("echo 7"), "{good}");
    let bad: Value =
        ok(v3("version: 2.1\njobs: {a: {machin: true}}\n")).await.json().await.unwrap();
    assert_eq!(bad["data"]["attributes"]["outcome"], "failed");
    assert!(bad["meta"]["messages"].to_string().contains("unknown key `machin`"), "{bad}");

    let v2 = |body: &Value| {
        server.as_admin(Method::POST, "/api/v2/compile-config-with-defaults").json(body)
    };
    // The older command line asks with nothing whether there is such a call.
    let empty = server.as_admin(Method::POST, "/api/v2/compile-config-with-defaults");
    refused(empty, 400).await;
    let options = json!({"pipeline_values": {"pipeline.number": 1}});
    let good: Value =
        ok(v2(&json!({"config_yaml": config, "options": options}))).await.json().await.unwrap();
    assert_eq!((&good["valid"], &good["errors"]), (&json!(true), &json!([])));
    assert!(good["output-yaml"].as_str().unwrap().contains("echo 1"));
    let bad: Value = ok(v2(&json!({"config_yaml": "jobs: 1"}))).await.json().await.unwrap();
    assert_eq!(bad["valid"], false);
    assert!(bad["errors"][0]["message"].is_string());
}

#[tokio::test]
async fn an_install_script_gets_our_release_with_the_token_of_its_class() {
    let server = Harness::start().await;
    let token = server.class().await;
    let ask = |body: Value| {
        let request = server.call(Method::GET, "/api/v2/launch-agent/download");
        request.bearer_auth(&token).json(&body)
    };
    let mac = json!({"os": "darwin", "arch": "arm64"});
    refused(ask(mac.clone()), 404).await;
    crate::updates::put_release(&server, "1.2.0", "stable");
    let found: Value = ok(ask(mac.clone())).await.json().await.unwrap();
    assert_eq!(found["version"], "1.2.0");
    let archive = server.http.get(found["url"].as_str().unwrap());
    assert_eq!(ok(archive).await.bytes().await.unwrap(), "bytes of 1.2.0");
    assert!(found["checksum"].is_string());
    let query = "/api/v2/launch-agent/download?os=darwin&arch=amd64&version=1.2.0";
    ok(server.call(Method::GET, query).bearer_auth(&token)).await;
    refused(ask(json!({"os": "darwin", "arch": "arm64", "version": "9.9.9"})), 404).await;
    let problem = refused(ask(json!({"os": "windows", "arch": "amd64"})), 400).await;
    assert!(problem["message"].as_str().unwrap().contains("`windows`"));
    refused(server.call(Method::GET, query).bearer_auth("rsc_guess"), 401).await;
}

#[tokio::test]
async fn a_runner_of_a_single_task_leaves_the_lists_after_a_day_and_others_stay() {
    let server = Harness::start().await;
    let token = server.class().await;
    let names = async || {
        let runners = get(&server, "/api/v3/runner?org-id=x").await;
        let items = runners["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    ok(claim_as(&server, &token, &json!({"name": "lasting"}))).await;
    ok(claim_as(&server, &token, &json!({"name": "once", "single_task": true}))).await;
    server.clock.advance(Duration::from_secs(23 * 3600));
    assert_eq!(names().await, ["lasting", "once"]);
    server.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(names().await, ["lasting"]);
    let classes = get(&server, "/api/v3/runner/resource?org-id=x").await;
    assert_eq!(classes["items"][0]["runners"], 1);
}

#[tokio::test]
async fn two_agents_of_one_name_are_warned_of_and_one_that_restarts_is_not() {
    let server = Harness::start().await;
    let token = server.class().await;
    let claim = async |instance: &str| {
        let runner =
            json!({"name": "mini", "hostname": format!("host-{instance}"), "instance": instance});
        ok(claim_as(&server, &token, &runner)).await
    };
    let rival = async || get(&server, "/api/v3/runner?org-id=x").await["items"][0]["rival"].clone();
    for instance in ["a", "a", "b", "b"] {
        claim(instance).await;
    }
    assert!(rival().await.is_null());
    claim("a").await;
    assert_eq!(rival().await, "host-b");
    server.submit(ONE_JOB).await;
    let task: Value = claim("b").await.json().await.unwrap();
    let warning = task["warning"].as_str().unwrap();
    assert!(warning.contains("`host-a`") && warning.contains("`mini`"), "{warning}");
    server.clock.advance(Duration::from_secs(3600));
    assert!(rival().await.is_null());
}

#[tokio::test]
async fn a_claim_says_which_of_the_tasks_of_a_job_it_is() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(&ONE_JOB.replace("    machine:", "    parallelism: 2\n    machine:")).await;
    for index in 0..2 {
        let claim = server.claim(&token).await.unwrap().claim;
        assert_eq!((claim.node_index, claim.node_total), (Some(index), Some(2)));
    }
}
