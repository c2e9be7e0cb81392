//! The audit log: every change of people is in it, and no secret.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use russet_control_plane::ManualClock;
use russet_protocol::admin::{Items, Pipeline, ResourceClassItem};
use russet_protocol::people::AuditItem;
use serde_json::{Value, json};

use crate::support::{Harness, Home, LIMIT, ONE_JOB, ok};

const SECRET: &str = "hunter2-is-a-secret";

impl Harness {
    pub(crate) async fn audit(&self, query: &str) -> Vec<AuditItem> {
        let list: Items<AuditItem> = self.get(&format!("/api/v3/audit?limit=1000&{query}")).await;
        list.items
    }
}

/// Operations of the description that change something and are for people.
async fn changing_operations(server: &Harness) -> BTreeSet<String> {
    let text: Value = server.get("/api/v3/openapi.json").await;
    let mut all = BTreeSet::new();
    for (path, methods) in text["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["x-russet"]["changes"] == true {
                all.insert(format!("{} {path}", method.to_ascii_uppercase()));
            }
        }
    }
    assert!(all.len() > 40, "{all:?}");
    all
}

/// A configuration that waits for an approval, and one for its denial.
const HOLDS: &str = "
version: 2.1
jobs:
  one: {machine: true, resource_class: acme/mini, steps: [run: 'true']}
workflows:
  first: {jobs: [hold: {type: approval}, one: {requires: [hold]}]}
  second: {jobs: [hold: {type: approval}, one: {requires: [hold]}]}
";

/// Makes every change that there is, as somebody with an account.
async fn change_everything(server: &Harness, admin: &str, member: &str) {
    let call = |method: Method, path: &str| server.with_token(admin, method, path);
    let put = |path: &str, body: Value| call(Method::PUT, path).json(&body);
    let post = |path: &str, body: Value| call(Method::POST, path).json(&body);
    let delete = |path: &str| call(Method::DELETE, path);
    let done = async |request: RequestBuilder| -> Value {
        let text = ok(request).await.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_default()
    };
    let class = "/api/v3/runner/resource";
    done(post(class, json!({"resource_class": "acme/mini", "description": "minis"}))).await;
    let other = done(post(class, json!({"resource_class": "acme/other", "description": ""}))).await;
    let listed: Items<ResourceClassItem> = server.get(&format!("{class}?org-id=any")).await;
    let mini = listed.items[0].id.to_string();
    done(put(&format!("{class}/{mini}/pin"), json!({"channel": "beta"}))).await;
    done(delete(&format!("{class}/{mini}/pin"))).await;
    done(put(&format!("{class}/{mini}/ssh"), json!({"allow_ssh": true}))).await;
    done(delete(&format!("{class}/{}", other["id"].as_str().unwrap()))).await;
    let token = json!({"resource_class": "acme/mini", "nickname": "one"});
    let made = done(post("/api/v3/runner/token", token.clone())).await;
    done(delete(&format!("/api/v3/runner/token/{}", made["id"].as_str().unwrap()))).await;
    let made = done(post("/api/v3/runner/token", token)).await;
    let runner = made["token"].as_str().unwrap().to_owned();

    let limit = "/api/v3/limits/project/acme%2Fapp";
    done(put(limit, json!({"most": 2}))).await;
    done(delete(limit)).await;
    done(put("/api/v3/contexts/deploy", json!({"projects": ["acme/app"]}))).await;
    let variable = json!({"value": SECRET});
    done(put("/api/v3/contexts/deploy/env/KEY", variable.clone())).await;
    done(delete("/api/v3/contexts/deploy/env/KEY")).await;
    done(delete("/api/v3/contexts/deploy")).await;
    done(put("/api/v3/projects/acme%2Fapp/env/KEY", variable)).await;
    done(delete("/api/v3/projects/acme%2Fapp/env/KEY")).await;
    let key = include_str!("../data/ssh_key");
    let made =
        done(post("/api/v3/projects/acme%2Fapp/ssh-keys", json!({"private_key": key}))).await;
    let print = made["sha256"].as_str().unwrap().replace('/', "%2F").replace('+', "%2B");
    done(delete(&format!("/api/v3/projects/acme%2Fapp/ssh-keys/{print}"))).await;
    let orb = "version: 2.1\ncommands: {hi: {steps: [run: 'true']}}\n";
    done(put("/api/v3/orbs/acme/hi/1.0.0", json!({"source": orb}))).await;
    done(delete("/api/v3/orbs/acme/hi/1.0.0")).await;
    let target =
        json!({"name": "ops", "kind": "slack", "address": format!("http://127.0.0.1:9/{SECRET}")});
    done(post("/api/v3/alert-targets", target)).await;
    done(post("/api/v3/alert-targets/ops/test", json!({}))).await;
    done(delete("/api/v3/alert-targets/ops")).await;

    let connection = "/api/v3/projects/acme%2Fgit/connection";
    let remote = json!({"url": "https://127.0.0.1/acme/git", "host_kind": "git", "token": SECRET});
    done(put(connection, remote)).await;
    done(post(&format!("{connection}/poll"), json!({}))).await;
    let webhook = "/api/v3/projects/acme%2Fgit/webhook";
    done(put(webhook, json!({"secret": SECRET}))).await;
    done(delete(webhook)).await;
    done(delete(connection)).await;

    let submit = |config: &str| {
        let body = json!({"project": "acme/app", "config": config, "branch": "main"});
        server.with_token(member, Method::POST, "/api/v3/pipelines").json(&body)
    };
    let by_member = |path: String| server.with_token(member, Method::POST, &path).json(&json!({}));
    let one: Pipeline = serde_json::from_value(done(submit(ONE_JOB)).await).unwrap();
    done(by_member(format!("/api/v3/jobs/{}/cancel", one.workflows[0].jobs[0].id))).await;
    done(by_member(format!("/api/v3/jobs/{}/rerun", one.workflows[0].jobs[0].id))).await;
    done(by_member(format!("/api/v3/pipelines/{}/cancel", one.id))).await;
    done(by_member(format!("/api/v3/workflows/{}/rerun", one.workflows[0].id))).await;
    done(by_member(format!("/api/v3/pipelines/{}/cancel", one.id))).await;
    done(by_member(format!("/api/v3/pipelines/{}/rerun", one.id))).await;
    done(by_member(format!("/api/v3/pipelines/{}/cancel", one.id))).await;
    let holds: Pipeline = serde_json::from_value(done(submit(HOLDS)).await).unwrap();
    let hold = |at: usize| {
        let jobs = &holds.workflows[at].jobs;
        jobs.iter().find(|job| job.name == "hold").unwrap().id.to_string()
    };
    done(by_member(format!("/api/v3/jobs/{}/approve", hold(0)))).await;
    done(by_member(format!("/api/v3/jobs/{}/deny", hold(1)))).await;
    done(by_member(format!("/api/v3/pipelines/{}/cancel", holds.id))).await;
    done(put(&format!("/api/v3/pipelines/{}/pin", one.id), json!({}))).await;
    done(delete(&format!("/api/v3/pipelines/{}/pin", one.id))).await;
    done(put("/api/v3/retention", json!({"pipelines": 100}))).await;
    done(put("/api/v3/projects/acme%2Fapp/retention", json!({"pipelines": 10}))).await;

    drop(server.claim(&runner).await);
    let of = json!({"runner": "mini-1"});
    done(post("/api/v3/runner/pause", json!({"runner": "mini-1", "kind": "pause"}))).await;
    done(post("/api/v3/runner/resume", of)).await;
    done(post("/api/v3/runner/rename", json!({"runner": "mini-1", "to": "mini-2"}))).await;

    done(post("/api/v3/namespaces", json!({"name": "beta"}))).await;
    let owner = json!({"owner": {"organization": "Beta Ltd"}});
    done(put("/api/v3/namespaces/beta/owner", owner)).await;

    let bot = json!({"name": "other-bot", "kind": "service", "role": "viewer"});
    done(post("/api/v3/users", bot)).await;
    done(put("/api/v3/users/other-bot/role", json!({"role": "member"}))).await;
    let new = json!({"scopes": ["read"]});
    let made = done(post("/api/v3/users/other-bot/tokens", new.clone())).await;
    done(delete(&format!("/api/v3/users/other-bot/tokens/{}", made["id"].as_str().unwrap()))).await;
    done(delete("/api/v3/users/other-bot/sessions")).await;
    done(delete("/api/v3/users/other-bot")).await;
    done(post("/api/v3/users", json!({"name": "ana"}))).await;
    done(post("/api/v3/users/ana/link", json!({}))).await;
    done(server.as_admin(Method::POST, "/api/v3/admin-links")).await;
    let made = done(post("/api/v3/me/tokens", new)).await;
    done(delete(&format!("/api/v3/me/tokens/{}", made["id"].as_str().unwrap()))).await;
    let key = include_str!("../data/public_keys").lines().next().unwrap();
    let made = done(post("/api/v3/me/ssh-keys", json!({"key": key}))).await;
    done(delete(&format!("/api/v3/me/ssh-keys/{}", made["id"].as_str().unwrap()))).await;
    done(delete("/api/v3/me/sessions")).await;
    change_project(server, admin, &one.project).await;
    done(delete(&format!("/api/v3/pipelines/{}", one.id))).await;
    done(delete(&format!("{class}/{mini}/force"))).await;
}

/// Makes each change of what hangs on a project that has had a pipeline.
async fn change_project(server: &Harness, admin: &str, project: &str) {
    let project = format!("/api/v3/projects/{}", project.replace('/', "%2F"));
    let call = |method: Method, path: &str, body: Value| {
        ok(server.with_token(admin, method, &format!("{project}/{path}")).json(&body))
    };
    call(Method::PUT, "settings", json!({"default_branch": "trunk"})).await;
    let target = json!({"name": "hook", "kind": "webhook", "address": "http://127.0.0.1:9",
                        "signing_secret": SECRET});
    call(Method::POST, "notifications", target).await;
    call(Method::POST, "notifications/hook/test", json!({})).await;
    call(Method::DELETE, "notifications/hook", json!({})).await;
    let schedule = json!({"name": "nightly", "cron": "0 3 * * *", "branch": "main"});
    call(Method::POST, "schedules", schedule).await;
    for change in ["pause", "resume"] {
        call(Method::POST, &format!("schedules/nightly/{change}"), json!({})).await;
    }
    call(Method::DELETE, "schedules/nightly", json!({})).await;
}

/// Changes that need more than a call here, and are tested where their subject is: uploads, runners
/// that are away for long, tasks that are held, projects and artifacts that have ended, sessions of
/// browsers, builds from a Git remote. They go through the same door.
const ELSEWHERE: [&str; 15] = [
    "POST /api/v3/jobs/{id}/ssh/rerun",
    "POST /api/v3/projects/{project}/connection/build",
    "POST /api/v3/projects/{project}/deliveries/{delivery}/redeliver",
    "POST /api/v3/projects/{project}/triggers/{trigger}/approve",
    "POST /api/v3/jobs/{id}/ssh/extend",
    "POST /api/v3/jobs/{id}/ssh/end",
    "PUT /api/v3/sources/{id}",
    "POST /api/v3/sources/{id}/chunks",
    "PUT /api/v3/chunks",
    "POST /api/v3/runner/remove",
    "DELETE /api/v3/projects/{project}",
    "DELETE /api/v3/jobs/{id}/artifacts/{path}",
    "DELETE /api/v3/me/sessions/{id}",
    "DELETE /api/v3/users/{name}/sessions/{id}",
    "PUT /api/v3/me/password",
];

/// Changes of something that was there, of which the log says how it was.
const CHANGES_WHAT_WAS_THERE: [&str; 33] = [
    "DELETE /api/v3/limits/{scope}/{name}",
    "DELETE /api/v3/projects/{project}/notifications/{name}",
    "DELETE /api/v3/projects/{project}/schedules/{name}",
    "PUT /api/v3/projects/{project}/settings",
    "DELETE /api/v3/projects/{project}/connection",
    "PUT /api/v3/runner/resource/{id}/ssh",
    "DELETE /api/v3/me/ssh-keys/{id}",
    "PUT /api/v3/runner/resource/{id}/pin",
    "DELETE /api/v3/runner/resource/{id}/pin",
    "DELETE /api/v3/runner/resource/{id}",
    "DELETE /api/v3/runner/resource/{id}/force",
    "DELETE /api/v3/runner/token/{id}",
    "DELETE /api/v3/contexts/{name}",
    "DELETE /api/v3/contexts/{name}/env/{variable}",
    "DELETE /api/v3/projects/{project}/env/{variable}",
    "DELETE /api/v3/projects/{project}/ssh-keys/{fingerprint}",
    "DELETE /api/v3/orbs/{namespace}/{name}/{version}",
    "DELETE /api/v3/alert-targets/{name}",
    "PUT /api/v3/retention",
    "PUT /api/v3/projects/{project}/retention",
    "PUT /api/v3/pipelines/{id}/pin",
    "DELETE /api/v3/pipelines/{id}/pin",
    "DELETE /api/v3/pipelines/{id}",
    "POST /api/v3/jobs/{id}/approve",
    "POST /api/v3/jobs/{id}/deny",
    "POST /api/v3/jobs/{id}/cancel",
    "POST /api/v3/runner/pause",
    "POST /api/v3/runner/resume",
    "POST /api/v3/runner/rename",
    "PUT /api/v3/users/{name}/role",
    "DELETE /api/v3/users/{name}",
    "DELETE /api/v3/users/{name}/tokens/{id}",
    "PUT /api/v3/namespaces/{namespace}/owner",
];

#[tokio::test]
async fn every_change_is_in_the_log_with_who_made_it_and_no_secret() {
    let server = Harness::start().await;
    let scopes = ["read", "submit", "operate", "admin"];
    let admin = server.account("boss", Some("admin"), &scopes).await;
    let member = server.account("dev", Some("member"), &["read", "submit"]).await;
    change_everything(&server, &admin, &member).await;
    let events = server.audit("").await;
    let mut missing = changing_operations(&server).await;
    for event in &events {
        missing.remove(&event.operation.replace("{*", "{"));
        assert_eq!(event.address, "127.0.0.1", "{event:?}");
        let who = ["boss", "dev", "admin token"];
        assert!(who.contains(&event.who.as_str()), "{event:?}");
    }
    missing.retain(|operation| !ELSEWHERE.contains(&operation.as_str()));
    assert!(missing.is_empty(), "not in the log: {missing:?}");
    for event in &events {
        let is_removal = event.operation.starts_with("DELETE");
        let state = if is_removal { &event.before } else { &event.after };
        let is_known = state.is_some() || event.after.is_some();
        assert!(is_known, "the log does not say what changed: {event:?}");
    }
    // What was there is told where something was.
    for operation in CHANGES_WHAT_WAS_THERE {
        let of = events.iter().find(|event| event.operation == operation);
        let of = of.unwrap_or_else(|| panic!("{operation} is not in the log"));
        assert!(of.before.is_some(), "the log does not say what was there: {of:?}");
    }
    let of = |operation: &str| events.iter().filter(|event| event.operation == operation).count();
    assert_eq!(of("POST /api/v3/pipelines"), 2);
    let submitted = events.iter().find(|event| event.operation == "POST /api/v3/pipelines");
    assert_eq!(submitted.unwrap().who, "dev");
    let role = events.iter().find(|event| event.operation == "PUT /api/v3/users/{name}/role");
    let role = role.unwrap();
    assert_eq!(role.before.as_ref().unwrap()["role"], "viewer");
    assert_eq!(role.after.as_ref().unwrap()["role"], "member");
    let text = serde_json::to_string(&events).unwrap();
    let key = include_str!("../data/ssh_key").lines().nth(1).unwrap();
    for secret in [SECRET, key, &admin, &member, "rsc_", "rsp_", "rsl_"] {
        assert!(!text.contains(secret), "a secret is in the log: {secret}");
    }
}

#[tokio::test]
async fn a_change_that_was_refused_or_denied_is_not_in_the_log() {
    let server = Harness::start().await;
    let viewer = server.account("viewer", Some("viewer"), &["read"]).await;
    let before = server.audit("").await.len();
    let put = server.with_token(&viewer, Method::PUT, "/api/v3/contexts/deploy").json(&json!({}));
    assert_eq!(put.send().await.unwrap().status(), 403);
    let gone = server.as_admin(Method::DELETE, "/api/v3/contexts/deploy").send().await.unwrap();
    assert_eq!(gone.status(), 404);
    server.get::<Value>("/api/v3/contexts").await;
    assert_eq!(server.audit("").await.len(), before);
}

#[tokio::test]
async fn the_log_is_filtered_and_read_in_pages_and_goes_by_an_age_of_its_own() {
    let server = Harness::start_with(Home::new(), ManualClock::new(), |settings| {
        settings.keeping.audit_age = Some(Duration::from_secs(7 * 24 * 3600));
    })
    .await;
    for name in ["a", "b", "c"] {
        let path = format!("/api/v3/contexts/{name}");
        ok(server.as_admin(Method::PUT, &path).json(&json!({}))).await;
    }
    ok(server.as_admin(Method::DELETE, "/api/v3/contexts/b")).await;
    assert_eq!(server.audit("operation=DELETE").await.len(), 1);
    assert_eq!(server.audit("target=/contexts/b").await.len(), 2);
    assert_eq!(server.audit("target=%25").await.len(), 0);
    assert_eq!(server.audit("who=nobody").await.len(), 0);
    assert_eq!(server.audit("who=admin%20token").await.len(), 4);
    let all = server.audit("").await;
    let page: Items<AuditItem> = server.get("/api/v3/audit?limit=2").await;
    let last = &page.items[1].id;
    let next: Items<AuditItem> = server.get(&format!("/api/v3/audit?before={last}")).await;
    assert_eq!([page.items, next.items].concat(), all);
    server.clock.advance(Duration::from_secs(8 * 24 * 3600));
    let gone = async {
        while !server.audit("").await.is_empty() {
            server.clock.advance(Duration::from_secs(601));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.expect("old events are removed");
}
