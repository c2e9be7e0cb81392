//! Namespaces: who may do what in which, call by call, and what others learn of it.

use reqwest::{Method, StatusCode};
use russet_protocol::admin::{Items, Pipeline, ResourceClassItem, TokenItem};
use russet_protocol::namespaces::{NamespaceItem, NamespaceOwner};
use russet_protocol::outcome::Phase;
use russet_protocol::people::{AuditItem, Role};
use serde_json::{Value, json};

use crate::sign_in::person;
use crate::support::{Harness, LIMIT, ONE_JOB, ok, refused};

const ALL_SCOPES: [&str; 4] = ["read", "submit", "operate", "admin"];

impl Harness {
    /// Adds a service account with a role in a namespace alone. Returns a token of it.
    pub(crate) async fn member_of(&self, name: &str, role: &str, namespace: &str) -> String {
        let token = self.account(name, None, &ALL_SCOPES).await;
        self.set_role_in(name, Some(role), namespace).await;
        token
    }

    async fn set_role_in(&self, name: &str, role: Option<&str>, namespace: &str) {
        let path = format!("/api/v3/users/{name}/role");
        let body = json!({"role": role, "namespace": namespace});
        ok(self.as_admin(Method::PUT, &path).json(&body)).await;
    }

    /// Sends a call. Returns its status and body.
    async fn try_call(
        &self,
        token: &str,
        method: &Method,
        path: &str,
        body: &Value,
    ) -> (StatusCode, String) {
        let call = self.with_token(token, method.clone(), path).body(body.to_string());
        let answer = call.send().await.unwrap();
        let status = answer.status();
        // A stream goes on for as long as its pipeline does.
        if status.is_success() && path.ends_with("/stream") {
            return (status, String::new());
        }
        (status, answer.text().await.unwrap())
    }
}

/// One of everything in a namespace.
#[derive(Clone, Debug)]
struct Space {
    namespace: String,
    class: String,
    class_id: String,
    token_id: String,
    runner_token: String,
    pipeline: Pipeline,
}

impl Space {
    /// Makes one of everything; `number` tells it from earlier ones in the namespace.
    async fn make(server: &Harness, namespace: &str, number: usize) -> Self {
        let class = format!("{namespace}/mini{number}");
        let body = json!({"resource_class": class, "description": ""});
        let made = ok(server.as_admin(Method::POST, "/api/v3/runner/resource").json(&body)).await;
        let made: ResourceClassItem = made.json().await.unwrap();
        let body = json!({"resource_class": class, "nickname": "one"});
        let token = ok(server.as_admin(Method::POST, "/api/v3/runner/token").json(&body)).await;
        let token: TokenItem = token.json().await.unwrap();
        let context = format!("/api/v3/contexts/{namespace}%2Fdeploy");
        ok(server.as_admin(Method::PUT, &context).json(&json!({}))).await;
        let variable = json!({"value": "hunter2"});
        ok(server.as_admin(Method::PUT, &format!("{context}/env/KEY")).json(&variable)).await;
        let project = format!("{namespace}/app");
        let env = format!("/api/v3/projects/{namespace}%2Fapp/env/KEY");
        ok(server.as_admin(Method::PUT, &env).json(&variable)).await;
        let config = ONE_JOB.replace("acme/mini", &class);
        let body = json!({"project": project, "config": config, "branch": "main"});
        let pipeline = ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
        Self {
            namespace: namespace.to_owned(),
            class,
            class_id: made.id.to_string(),
            token_id: token.id.to_string(),
            runner_token: token.token.unwrap().expose().to_owned(),
            pipeline: pipeline.json().await.unwrap(),
        }
    }

    fn job(&self) -> String {
        self.pipeline.workflows[0].jobs[0].id.to_string()
    }

    /// Path of an operation with what is here, or with what is nowhere.
    fn path(&self, template: &str, scope: &str, is_there: bool) -> String {
        let id = match scope {
            "namespace of the pipeline" => self.pipeline.id.to_string(),
            "namespace of the workflow" => self.pipeline.workflows[0].id.to_string(),
            "namespace of the job" => self.job(),
            "namespace of the token" => self.token_id.clone(),
            _ => self.class_id.clone(),
        };
        let id = if is_there { id } else { "019a0000-0000-7000-8000-000000000000".to_owned() };
        let space = if is_there { self.namespace.as_str() } else { "zeta" };
        let name = match scope {
            "namespace of the context" => format!("{space}%2Fdeploy"),
            "namespace of the project" if template.contains("{host}") => "app".to_owned(),
            _ => "nothing".to_owned(),
        };
        let path = template
            .replace("{id}", &id)
            .replace("{project}", &format!("{space}%2Fapp"))
            .replace("{name}", &name)
            .replace("{host}", "circleci")
            .replace("{owner}", space)
            .replace("{number}", "1")
            .replace("{scope}", "project")
            .replace("{variable}", "KEY")
            .replace("{namespace}", space)
            .replace("{version}", "1.0.0")
            .replace("{path}", "nothing")
            .replace("{delivery}", "nothing")
            .replace("{trigger}", "nothing")
            .replace("{fingerprint}", "nothing");
        assert!(!path.contains('{'), "{path}");
        let is_queried = ["/tasks", "/tasks/running", "/runner/token"]
            .iter()
            .any(|end| template.ends_with(end) && scope == "namespace of the class");
        match is_queried {
            true => format!("{path}?resource-class={space}%2Fmini"),
            false => path,
        }
    }

    /// Body of a call whose body names what it is about.
    fn body(&self, template: &str, is_there: bool) -> Value {
        let space = if is_there { self.namespace.as_str() } else { "zeta" };
        let class = if is_there { self.class.clone() } else { "zeta/mini".to_owned() };
        match template.rsplit('/').next().unwrap() {
            "pause" => json!({"resource_class": class, "kind": "pause"}),
            "resume" | "remove" => json!({"resource_class": class}),
            "rename" => json!({"runner": format!("{space}-runner"), "to": "nothing"}),
            "resource" => json!({"resource_class": format!("{space}/more"), "description": ""}),
            "token" => json!({"resource_class": class, "nickname": "two"}),
            "pipelines" => json!({"project": format!("{space}/app"), "config": "version: 2.1"}),
            other => panic!("no body for {other}"),
        }
    }
}

/// Operation of the description that people call.
#[derive(Clone, Debug)]
struct Described {
    method: Method,
    path: String,
    needs: String,
    scope: String,
}

/// All operations of the description, each with what it is about.
async fn described(server: &Harness) -> Vec<Described> {
    let text: Value = server.get("/api/v3/openapi.json").await;
    let mut all = Vec::new();
    for (path, methods) in text["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let word = |name: &str| operation["x-russet"][name].as_str().map(str::to_owned);
            let stated = word("needs").zip(word("scope"));
            let (needs, scope) = stated.unwrap_or_else(|| panic!("{method} {path} states nothing"));
            let method: Method = method.to_ascii_uppercase().parse().unwrap();
            all.push(Described { method, path: path.clone(), needs, scope });
        }
    }
    assert!(all.len() > 100, "{}", all.len());
    all
}

/// Independent of the server's code: what a role may do where it counts.
fn may(role: Role, needs: &str) -> bool {
    let wanted = match needs {
        "read" => Role::Viewer,
        "submit" => Role::Member,
        "operate" => Role::Operator,
        "admin" => Role::Admin,
        other => panic!("{other}"),
    };
    role >= wanted
}

/// Returns true for an answer that says that the caller may not.
fn is_denial(status: StatusCode, text: &str) -> bool {
    status == StatusCode::FORBIDDEN
        || (status == StatusCode::NOT_FOUND
            && ["there is nothing at ", "or you may not see it"].iter().any(|of| text.contains(of)))
}

/// Calls that make something of a name that the caller chose: they are denied in words, since nothing
/// is learnt by them.
const MAKES_NAMED: [&str; 2] = ["/api/v3/contexts/{name}", "/api/v3/pipelines"];

#[tokio::test]
async fn every_call_counts_roles_of_its_namespace_and_hides_what_is_in_others() {
    let server = Harness::start().await;
    let mut callers = Vec::new();
    for role in Role::ALL {
        let token = server.member_of(role.as_str(), role.as_str(), "acme").await;
        callers.push((role, token));
    }
    let other = Space::make(&server, "other", 0).await;
    let before = audit(&server, &server.admin, "namespace=other").await.len();
    for (number, operation) in described(&server).await.into_iter().enumerate() {
        let Described { method, path, needs, scope } = &operation;
        if ["none", "account"].contains(&scope.as_str()) {
            continue;
        }
        let own = match scope.starts_with("namespace ") {
            true => Some(Space::make(&server, "acme", number).await),
            false => None,
        };
        for (role, token) in &callers {
            let cell = format!("{role:?}: {method} {path} ({needs}, {scope})");
            let send = async |space: &Space, is_there: bool| {
                let body = match scope.as_str() {
                    "namespace in the body" => space.body(path, is_there),
                    _ => json!({}),
                };
                let path = space.path(path, scope, is_there);
                server.try_call(token, method, &path, &body).await
            };
            match scope.as_str() {
                "server" => {
                    let (status, text) = send(&other, true).await;
                    assert!(is_denial(status, &text), "{cell}: {status} {text}");
                }
                "anywhere" => {
                    let (status, text) = send(&other, true).await;
                    assert_eq!(!is_denial(status, &text), may(*role, needs), "{cell}: {text}");
                }
                "namespaces within reach" => {
                    let (status, text) = send(&other, true).await;
                    assert_eq!(!is_denial(status, &text), may(*role, needs), "{cell}: {text}");
                    assert!(!text.contains("other/"), "{cell}: {text}");
                }
                _ => {
                    let own = own.as_ref().unwrap();
                    let (status, text) = send(&other, true).await;
                    let (nowhere, nothing) = send(&other, false).await;
                    let is_allowed_here = may(*role, needs);
                    let makes = *method != Method::DELETE && MAKES_NAMED.contains(&path.as_str());
                    let hidden = match makes || !is_allowed_here {
                        true => is_denial(status, &text),
                        false => status == StatusCode::NOT_FOUND,
                    };
                    assert!(hidden, "{cell} in another: {status} {text}");
                    // What is there is answered as what is not.
                    assert_eq!(status, nowhere, "{cell}: {text} {nothing}");
                    let words = |text: &str| {
                        // Names and ids are in backticks, and paths are those of the call.
                        let text = text.split("there is nothing at ").next().unwrap().to_owned();
                        text.split('`').step_by(2).collect::<String>()
                    };
                    assert_eq!(words(&text), words(&nothing), "{cell}");
                    let (status, text) = send(own, true).await;
                    assert_eq!(
                        !is_denial(status, &text),
                        is_allowed_here,
                        "{cell}: {status} {text}"
                    );
                    if is_allowed_here && scope != "namespace in the body" {
                        assert!(status != StatusCode::FORBIDDEN, "{cell}: {text}");
                    }
                }
            }
        }
    }
    // Nothing of it changed anything there.
    assert_eq!(audit(&server, &server.admin, "namespace=other").await.len(), before);
    let pipeline = server.pipeline(&other.pipeline).await;
    assert_eq!(pipeline.workflows[0].jobs[0].phase, Phase::Queued);
    assert!(!pipeline.pinned);
}

async fn audit(server: &Harness, token: &str, query: &str) -> Vec<AuditItem> {
    let path = format!("/api/v3/audit?limit=1000&{query}");
    let list = ok(server.with_token(token, Method::GET, &path)).await;
    list.json::<Items<AuditItem>>().await.unwrap().items
}

async fn names(server: &Harness, token: &str, path: &str, field: &str) -> Vec<String> {
    let list = ok(server.with_token(token, Method::GET, path)).await;
    let list: Value = list.json().await.unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lists_references_and_counts_show_what_is_within_reach_alone() {
    let server = Harness::start().await;
    let (acme, other) =
        (Space::make(&server, "acme", 0).await, Space::make(&server, "other", 0).await);
    let token = server.member_of("ana", "viewer", "acme").await;
    let get = |path: &str| server.with_token(&token, Method::GET, path);
    for (path, field, expected) in [
        ("/api/v3/pipelines", "project", "acme/app"),
        ("/api/v3/runner/resource?org-id=any", "resource_class", "acme/mini0"),
        ("/api/v3/contexts", "name", "acme/deploy"),
        ("/api/v2/context", "name", "acme/deploy"),
        ("/api/v3/namespaces", "name", "acme"),
    ] {
        assert_eq!(names(&server, &token, path, field).await, [expected], "{path}");
    }
    for path in ["/api/v3/jobs", "/api/v3/workflows", "/api/v3/projects"] {
        let text = ok(get(path)).await.text().await.unwrap();
        assert!(text.contains("acme/app") && !text.contains("other"), "{path}: {text}");
    }
    // `latest` is the latest of those that one may see, and the beginning of an id does not find others.
    let latest: Pipeline = ok(get("/api/v3/pipelines/latest")).await.json().await.unwrap();
    assert_eq!(latest.id, acme.pipeline.id);
    let id = other.pipeline.id.to_string();
    for reference in [&id, &id[..30], "other%2Fapp%231", "other%2Fapp%23latest"] {
        let path = format!("/api/v3/pipelines/{reference}");
        let problem = refused(get(&path), 404).await;
        assert!(problem["message"].as_str().unwrap().starts_with("there is no pipeline"));
    }
    let found = ok(get(&format!("/api/v3/pipelines/{}", &acme.pipeline.id.as_str()[..30]))).await;
    assert_eq!(found.json::<Pipeline>().await.unwrap().id, acme.pipeline.id);
    let project = "/api/v3/pipelines?project=other%2Fapp";
    assert!(names(&server, &token, project, "id").await.is_empty());
    // A key that was used by others leads to nothing of theirs.
    server.set_role_in("ana", Some("member"), "acme").await;
    let body = json!({"project": "acme/app", "config": ONE_JOB.replace("mini", "mini0")});
    let again = server.with_token(&token, Method::POST, "/api/v3/pipelines").json(&body);
    let problem = refused(again.header("idempotency-key", &id), 409).await;
    assert!(!problem.to_string().contains("other"), "{problem}");
}

#[tokio::test]
async fn pages_of_a_list_hold_what_is_within_reach_and_say_nothing_of_what_lies_between() {
    let server = Harness::start().await;
    let (acme, other) =
        (Space::make(&server, "acme", 0).await, Space::make(&server, "other", 0).await);
    let submit = async |space: &Space, project: &str, branch: &str| {
        server.clock.advance(std::time::Duration::from_millis(1));
        let config = ONE_JOB.replace("acme/mini", &space.class);
        let body = json!({"project": project, "config": config, "branch": branch});
        ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
    };
    for number in 0..12 {
        let (project, branch) =
            if number % 2 == 0 { ("acme/app", "main") } else { ("acme/lib", "next") };
        submit(&acme, project, branch).await;
        submit(&other, "other/app", "main").await;
    }
    let token = server.member_of("ana", "viewer", "acme").await;
    for (query, expected) in
        [("", 13), ("branch=main&", 7), ("sort=oldest&", 13), ("state=queued&", 13)]
    {
        let (mut found, mut page) = (Vec::new(), String::new());
        for _ in 0..20 {
            let path = format!("/api/v3/pipelines?{query}limit=3{page}");
            let list = ok(server.with_token(&token, Method::GET, &path)).await;
            let list: Value = list.json().await.unwrap();
            let items = list["items"].as_array().unwrap();
            found.extend(items.iter().map(|item| {
                (item["created_ms"].as_u64().unwrap(), item["project"].as_str().unwrap().to_owned())
            }));
            let Some(next) = list["next_page_token"].as_str() else { break };
            page = format!("&page-token={next}");
        }
        assert_eq!(found.len(), expected, "{query}");
        assert!(found.iter().all(|(_, project)| project.starts_with("acme/")), "{query}");
        let mut sorted = found.clone();
        sorted.sort();
        if !query.contains("oldest") {
            sorted.reverse();
        }
        let times = |all: &[(u64, String)]| all.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        assert_eq!(times(&found), times(&sorted), "{query}");
    }
}

#[tokio::test]
async fn a_project_uses_contexts_and_machines_of_its_namespace_and_not_of_others() {
    let server = Harness::start().await;
    Space::make(&server, "acme", 0).await;
    let other = Space::make(&server, "other", 0).await;
    let token = server.member_of("ana", "operator", "acme").await;
    let config = |class: &str, context: &str| {
        let config = ONE_JOB.replace("acme/mini", class);
        config.replace("jobs: [one]", &format!("jobs: [one: {{context: [{context}]}}]"))
    };
    let submit = |project: &str, class: &str, context: &str| {
        let body = json!({"project": project, "config": config(class, context)});
        server.with_token(&token, Method::POST, "/api/v3/pipelines").json(&body)
    };
    // Machines of others are as if they were not there.
    let problem = refused(submit("acme/app", &other.class, "deploy"), 422).await;
    let unknown = refused(submit("acme/app", "zeta/mini", "deploy"), 422).await;
    let words = |problem: &Value| problem["message"].as_str().unwrap().replace("other/mini0", "X");
    assert_eq!(words(&problem), words(&unknown).replace("zeta/mini", "X"));
    for project in ["other/app", "zeta/app", "app"] {
        let problem = refused(submit(project, "acme/mini0", "deploy"), 403).await;
        assert!(problem["hint"].as_str().unwrap().contains("russet namespace create"), "{problem}");
    }
    // A job that names a context of others does not run, whoever submits it.
    let made: Pipeline =
        ok(submit("acme/app", "acme/mini0", "other/deploy")).await.json().await.unwrap();
    let job: Value = server.get(&format!("/api/v3/jobs/{}", made.workflows[0].jobs[0].id)).await;
    let message = job["message"].as_str().unwrap();
    assert!(message.contains("there is no context `other/deploy`"), "{message}");
    // One without a namespace is that of the project's, before one of the server.
    ok(server.as_admin(Method::PUT, "/api/v3/contexts/deploy").json(&json!({"projects": []})))
        .await;
    let made: Pipeline = ok(submit("acme/app", "acme/mini0", "deploy")).await.json().await.unwrap();
    let job: Value = server.get(&format!("/api/v3/jobs/{}", made.workflows[0].jobs[0].id)).await;
    assert_eq!(job["phase"], "queued", "{job}");
    // A token of a class claims nothing of another.
    assert!(server.claim(&other.runner_token).await.is_some());
    assert!(server.claim(&other.runner_token).await.is_none());
}

#[tokio::test]
async fn a_job_gets_the_variables_of_the_context_of_its_namespace() {
    let server = Harness::start().await;
    let acme = Space::make(&server, "acme", 0).await;
    ok(server.as_admin(Method::PUT, "/api/v3/contexts/deploy").json(&json!({}))).await;
    let value = json!({"value": "of-the-server"});
    ok(server.as_admin(Method::PUT, "/api/v3/contexts/deploy/env/KEY").json(&value)).await;
    // The one that the fixture submitted comes first.
    drop(server.claim(&acme.runner_token).await);
    let config = ONE_JOB
        .replace("acme/mini", &acme.class)
        .replace("jobs: [one]", "jobs: [one: {context: [deploy]}]");
    let body = json!({"project": "acme/app", "config": config});
    ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
    let agent = server.claim(&acme.runner_token).await.unwrap();
    let config = ok(agent.call(Method::GET, "/api/v2/task/config")).await.text().await.unwrap();
    assert!(config.contains("hunter2") && !config.contains("of-the-server"), "{config}");
}

#[tokio::test]
async fn namespaces_are_claimed_once_and_given_to_another_owner() {
    let server = Harness::start().await;
    let create = |token: &str, body: Value| {
        server.with_token(token, Method::POST, "/api/v3/namespaces").json(&body)
    };
    let token = server.account("ana", None, &ALL_SCOPES).await;
    let owned = json!({"name": "acme", "owner": {"user": "ana"}});
    let made: NamespaceItem = ok(create(&server.admin, owned.clone())).await.json().await.unwrap();
    assert_eq!(made.owner, NamespaceOwner::User("ana".to_owned()));
    refused(create(&server.admin, owned), 409).await;
    for bad in ["Acme", "", "a.b", "a/b"] {
        refused(create(&server.admin, json!({"name": bad})), 400).await;
    }
    let unknown = json!({"name": "beta", "owner": {"user": "nobody"}});
    refused(create(&server.admin, unknown), 400).await;
    // Its owner has the role admin in it, and nowhere else.
    let class = |name: &str| {
        let body = json!({"resource_class": name, "description": ""});
        server.with_token(&token, Method::POST, "/api/v3/runner/resource").json(&body)
    };
    ok(class("acme/mini")).await;
    refused(class("beta/mini"), 404).await;
    refused(create(&token, json!({"name": "beta"})), 403).await;
    // An account that owns one is not removed.
    let problem = refused(server.as_admin(Method::DELETE, "/api/v3/users/ana"), 409).await;
    assert!(problem["message"].as_str().unwrap().contains("`acme`"), "{problem}");
    let owner = json!({"owner": {"organization": "acme"}});
    let path = "/api/v3/namespaces/acme/owner";
    ok(server.with_token(&token, Method::PUT, path).json(&owner)).await;
    ok(server.as_admin(Method::DELETE, "/api/v3/users/ana")).await;
    // The first use by somebody with a role over the server is a claim.
    let operator = server.account("bo", Some("operator"), &ALL_SCOPES).await;
    let body = json!({"resource_class": "beta/mini", "description": ""});
    ok(server.with_token(&operator, Method::POST, "/api/v3/runner/resource").json(&body)).await;
    let beta: NamespaceItem = server.get("/api/v3/namespaces/beta").await;
    assert_eq!(beta.owner, NamespaceOwner::Organization("beta".to_owned()));
    assert_eq!(beta.created_by, "bo");
}

#[tokio::test]
async fn an_administrator_of_a_namespace_reads_its_audit_log_and_no_more() {
    let server = Harness::start().await;
    Space::make(&server, "acme", 0).await;
    Space::make(&server, "other", 0).await;
    let token = server.member_of("ana", "admin", "acme").await;
    let events = audit(&server, &token, "").await;
    assert!(!events.is_empty());
    for event in &events {
        assert_eq!(event.namespace.as_deref(), Some("acme"), "{event:?}");
    }
    for (operation, count) in
        [("/runner/resource", 1), ("/contexts", 2), ("/projects", 1), ("/role", 1)]
    {
        let of = |event: &&AuditItem| event.operation.contains(operation);
        assert_eq!(events.iter().filter(of).count(), count, "{operation}: {events:?}");
    }
    assert!(audit(&server, &token, "namespace=other").await.is_empty());
    let other = audit(&server, &server.admin, "namespace=other").await;
    assert!(other.iter().all(|event| event.namespace.as_deref() == Some("other")));
    assert!(!other.is_empty());
    server.set_role_in("ana", Some("operator"), "acme").await;
    refused(server.with_token(&token, Method::GET, "/api/v3/audit"), 403).await;
}

#[tokio::test]
async fn a_stream_ends_when_the_role_in_its_namespace_is_taken_away() {
    let server = Harness::start().await;
    let acme = Space::make(&server, "acme", 0).await;
    let token = server.member_of("ana", "viewer", "acme").await;
    let path = format!("/api/v3/pipelines/{}/stream", acme.pipeline.id);
    let call = server.with_token(&token, Method::GET, &path).timeout(LIMIT * 2);
    let mut stream = ok(call).await;
    assert!(stream.chunk().await.unwrap().is_some());
    server.set_role_in("ana", None, "acme").await;
    let ends = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(LIMIT, ends).await.expect("the stream ends");
    refused(server.with_token(&token, Method::GET, &path), 403).await;
}

#[tokio::test]
async fn machines_are_paused_and_renamed_in_ones_own_namespace_alone() {
    let server = Harness::start().await;
    let (acme, other) =
        (Space::make(&server, "acme", 0).await, Space::make(&server, "other", 0).await);
    for space in [&acme, &other] {
        drop(server.claim(&space.runner_token).await);
    }
    // Both machines have one name.
    let token = server.member_of("ana", "operator", "acme").await;
    let rename = json!({"runner": "mini-1", "to": "mini-2"});
    ok(server.with_token(&token, Method::POST, "/api/v3/runner/rename").json(&rename)).await;
    let all = "/api/v3/runner?org-id=any";
    assert_eq!(names(&server, &token, all, "name").await, ["mini-2"]);
    assert_eq!(names(&server, &server.admin, all, "name").await, ["mini-2", "mini-1"]);
    let pause = json!({"runner": "mini-1", "kind": "pause"});
    let pause = server.with_token(&token, Method::POST, "/api/v3/runner/pause").json(&pause);
    refused(pause, 404).await;
}

#[tokio::test]
async fn pages_show_what_is_within_reach_and_buttons_that_work() {
    let server = Harness::start().await;
    let (acme, other) =
        (Space::make(&server, "acme", 0).await, Space::make(&server, "other", 0).await);
    for space in [&acme, &other] {
        drop(server.claim(&space.runner_token).await);
    }
    let browser = person(&server, "ana", None).await;
    assert_eq!(browser.get("/").await.status(), 403);
    server.set_role_in("ana", Some("viewer"), "acme").await;
    for path in ["/", "/pipelines", "/runners", "/pipelines?project=other%2Fapp"] {
        let page = browser.page(path).await;
        let shown = page.replace("value=\"other/app\"", "");
        assert!(!shown.contains("other/"), "{path}: {page}");
        assert!(path.contains('?') || page.contains("acme/"), "{path}");
    }
    let of = |space: &Space| {
        let (pipeline, job) = (&space.pipeline.id, space.job());
        [format!("/pipelines/{pipeline}"), format!("/jobs/{job}")]
    };
    for path in of(&acme) {
        let page = browser.page(&path).await;
        assert!(!page.contains("action=\"/do/"), "{page}");
    }
    for path in of(&other) {
        assert_eq!(browser.get(&path).await.status(), 404, "{path}");
        assert_eq!(browser.get(&format!("{path}/changes")).await.status(), 404, "{path}");
    }
    assert_eq!(browser.get("/audit").await.status(), 403);
    server.set_role_in("ana", Some("admin"), "acme").await;
    let page = browser.page(&of(&acme)[0]).await;
    assert!(page.contains("action=\"/do/cancel-pipeline\""), "{page}");
    let page = browser.page("/audit").await;
    assert!(page.contains("acme") && !page.contains("other"), "{page}");
}
