//! People, their roles and tokens: who may make which call.

use reqwest::{Method, RequestBuilder, StatusCode};
use russet_protocol::admin::Items;
use russet_protocol::people::{Me, Permission, PersonalTokenItem, Role, UserItem};
use serde_json::{Value, json};

use crate::support::{Harness, LIMIT, ONE_JOB, ok, refused};

const ALL_SCOPES: [&str; 4] = ["read", "submit", "operate", "admin"];

impl Harness {
    pub(crate) fn with_token(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        self.call(method, path).header("circle-token", token)
    }

    /// Adds a service account. Returns a token of it with these scopes.
    pub(crate) async fn account(&self, name: &str, role: Option<&str>, scopes: &[&str]) -> String {
        let body = json!({"name": name, "kind": "service", "role": role});
        ok(self.as_admin(Method::POST, "/api/v3/users").json(&body)).await;
        self.account_token(name, json!({"scopes": scopes})).await.1
    }

    /// Makes a token of a service account. Returns its id and the token.
    pub(crate) async fn account_token(&self, name: &str, new: Value) -> (String, String) {
        let path = format!("/api/v3/users/{name}/tokens");
        let made = ok(self.as_admin(Method::POST, &path).json(&new)).await;
        let made: PersonalTokenItem = made.json().await.unwrap();
        (made.id.to_string(), made.token.unwrap().expose().to_owned())
    }
}

/// Operation of the description.
struct Described {
    method: Method,
    path: String,
    needs: String,
}

/// All operations of the description, with texts for their parameters.
async fn described(server: &Harness) -> Vec<Described> {
    let text: Value = server.get("/api/v3/openapi.json").await;
    let mut all = Vec::new();
    for (path, methods) in text["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let mut concrete = String::new();
            for (at, part) in path.split(['{', '}']).enumerate() {
                concrete.push_str(if at % 2 == 0 { part } else { "nothing-of-this-name" });
            }
            let needs = operation["x-russet"]["needs"].as_str().unwrap().to_owned();
            let method = method.to_ascii_uppercase().parse().unwrap();
            all.push(Described { method, path: concrete, needs });
        }
    }
    assert!(all.len() > 100, "{}", all.len());
    all
}

/// Independent of the server's code: what a role may do.
fn may(role: Option<Role>, needs: &str) -> bool {
    let rank = |role| match role {
        None => 0,
        Some(Role::Viewer) => 1,
        Some(Role::Member) => 2,
        Some(Role::Operator) => 3,
        Some(Role::Admin) => 4,
    };
    match needs {
        "read" => rank(role) >= 1,
        "submit" => rank(role) >= 2,
        "operate" => rank(role) >= 3,
        "admin" => rank(role) >= 4,
        "account" | "anybody" => true,
        "owner" => false,
        other => panic!("{other}"),
    }
}

/// Returns true for an answer of the door, not of a handler behind it.
fn is_denial(status: StatusCode, problem: &Value) -> bool {
    let message = problem["message"].as_str().unwrap_or_default();
    match status {
        StatusCode::NOT_FOUND => message.starts_with("there is nothing at "),
        StatusCode::FORBIDDEN => true,
        _ => false,
    }
}

#[tokio::test]
async fn every_role_may_make_just_the_calls_that_its_permissions_allow() {
    let server = Harness::start().await;
    let mut callers = Vec::new();
    for role in
        [None, Some(Role::Viewer), Some(Role::Member), Some(Role::Operator), Some(Role::Admin)]
    {
        let name = role.map_or("nothing", Role::as_str);
        let token = server.account(name, role.map(Role::as_str), &ALL_SCOPES).await;
        callers.push((name, role, token));
    }
    for operation in described(&server).await {
        let Described { method, path, needs } = &operation;
        if ["none", "class_token", "task_token"].contains(&needs.as_str()) {
            continue;
        }
        for (name, role, token) in &callers {
            // Nothing of these bodies and names is there, so a call that is allowed changes nothing.
            let answer =
                server.with_token(token, method.clone(), path).body("{}").send().await.unwrap();
            let status = answer.status();
            let text = answer.text().await.unwrap();
            let problem: Value = serde_json::from_str(&text).unwrap_or_default();
            let cell = format!("{name}: {method} {path} ({needs}): {status} {text}");
            assert_eq!(!is_denial(status, &problem), may(*role, needs), "{cell}");
            if status == StatusCode::FORBIDDEN && needs != "owner" {
                assert!(text.contains(&format!("`{needs}`")), "{cell}");
            }
            let is_public =
                path.starts_with("/api/v2/") || path.starts_with("/api/v3/runner/resource");
            assert!(!(is_public && status == StatusCode::FORBIDDEN), "{cell}");
        }
        // Nobody, a wrong token, and tokens of agents are answered as if nothing were there.
        for token in ["", "rsp_wrong", "rsc_wrong"] {
            let answer =
                server.with_token(token, method.clone(), path).body("{}").send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{method} {path} with `{token}`");
        }
    }
}

#[tokio::test]
async fn agents_calls_take_no_personal_token() {
    let server = Harness::start().await;
    let token = server.account("admin", Some("admin"), &ALL_SCOPES).await;
    for Described { method, path, needs } in described(&server).await {
        if !["class_token", "task_token"].contains(&needs.as_str()) {
            continue;
        }
        let call = server.call(method.clone(), &path).bearer_auth(&token).body("{}");
        let status = call.send().await.unwrap().status();
        // Of some calls the path is read before the token.
        assert!([400, 401, 404].contains(&status.as_u16()), "{method} {path}: {status}");
    }
}

#[tokio::test]
async fn a_token_does_only_what_its_scopes_say() {
    let server = Harness::start().await;
    server.class().await;
    let token = server.account("bot", Some("admin"), &["submit"]).await;
    let body = json!({"project": "acme/app", "config": ONE_JOB});
    let made = ok(server.with_token(&token, Method::POST, "/api/v3/pipelines").json(&body)).await;
    let made: Value = made.json().await.unwrap();
    assert_eq!(made["author"], "bot");
    let list = server.with_token(&token, Method::GET, "/api/v3/pipelines");
    let problem = refused(list, 403).await;
    assert!(problem["message"].as_str().unwrap().contains("`read`"), "{problem}");
    let list = server.with_token(&token, Method::GET, "/api/v3/runner?org-id=any");
    refused(list, 404).await;
    let me: Me =
        ok(server.with_token(&token, Method::GET, "/api/v3/me")).await.json().await.unwrap();
    assert_eq!(me.scopes, [Permission::Submit]);
    assert_eq!(me.user.unwrap().role, Some(Role::Admin));
}

#[tokio::test]
async fn a_token_makes_none_that_does_more_or_lasts_longer_than_itself() {
    let server = Harness::start().await;
    server.account("bot", Some("admin"), &["read"]).await;
    let new = json!({"scopes": ["read", "submit"], "expires_in_s": 3600});
    let (_, token) = server.account_token("bot", new).await;
    let make = |new: Value| server.with_token(&token, Method::POST, "/api/v3/me/tokens").json(&new);
    refused(make(json!({"scopes": ["admin"], "expires_in_s": 60})), 403).await;
    refused(make(json!({"scopes": ["read"]})), 400).await;
    refused(make(json!({"scopes": ["read"], "expires_in_s": 7200})), 400).await;
    refused(make(json!({"scopes": [], "expires_in_s": 60})), 400).await;
    ok(make(json!({"scopes": ["read"], "expires_in_s": 60}))).await;
    // The admin token is nobody's account.
    let own = server.as_admin(Method::POST, "/api/v3/me/tokens").json(&json!({"scopes": ["read"]}));
    refused(own, 403).await;
}

#[tokio::test]
async fn a_token_is_stored_as_a_hash_listed_with_its_last_use_and_ends() {
    let server = Harness::start().await;
    server.account("bot", Some("viewer"), &["read"]).await;
    let new = json!({"scopes": ["read"], "description": "laptop", "expires_in_s": 3600});
    let (id, token) = server.account_token("bot", new).await;
    let bytes = server.dir.stored_bytes();
    let secret = token.trim_start_matches("rsp_").as_bytes();
    assert!(!bytes.windows(secret.len()).any(|part| part == secret));
    let me = || server.with_token(&token, Method::GET, "/api/v3/me");
    ok(me()).await;
    let path = "/api/v3/users/bot/tokens";
    let item = async || {
        let list: Items<PersonalTokenItem> = server.get(path).await;
        list.items.into_iter().find(|item| item.id.as_str() == id).unwrap()
    };
    assert_eq!((item().await.description.as_str(), item().await.used_ms), ("laptop", None));
    assert!(item().await.token.is_none());
    let used = async {
        while item().await.used_ms.is_none() {
            server.clock.advance(std::time::Duration::from_secs(61));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, used).await.expect("the use is written");
    server.clock.advance(std::time::Duration::from_secs(3600));
    refused(me(), 404).await;
    ok(server.as_admin(Method::DELETE, &format!("{path}/{id}"))).await;
    refused(server.as_admin(Method::DELETE, &format!("{path}/{id}")), 404).await;
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked_or_its_account_has_another_role() {
    let server = Harness::start().await;
    server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    server.account("bot", Some("viewer"), &["read"]).await;
    let path = format!("/api/v3/pipelines/{}/stream", pipeline.id);
    for ending in ["revoke", "role", "remove"] {
        let role = json!({"role": "viewer"});
        ok(server.as_admin(Method::PUT, "/api/v3/users/bot/role").json(&role)).await;
        let (id, token) = server.account_token("bot", json!({"scopes": ["read"]})).await;
        let call = server.with_token(&token, Method::GET, &path).timeout(LIMIT * 2);
        let mut stream = ok(call).await;
        assert!(stream.chunk().await.unwrap().is_some());
        match ending {
            "revoke" => {
                let path = format!("/api/v3/users/bot/tokens/{id}");
                ok(server.as_admin(Method::DELETE, &path)).await;
            }
            "role" => {
                let role = json!({"role": null});
                let call = server.as_admin(Method::PUT, "/api/v3/users/bot/role").json(&role);
                ok(call).await;
            }
            _ => drop(ok(server.as_admin(Method::DELETE, "/api/v3/users/bot")).await),
        }
        let ends = async { while let Ok(Some(_)) = stream.chunk().await {} };
        tokio::time::timeout(LIMIT, ends).await.expect("the stream ends");
    }
}

#[tokio::test]
async fn a_person_acts_under_the_name_of_the_account_whatever_the_call_says() {
    let server = Harness::start().await;
    server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let token = server.account("ana", Some("member"), &["read", "submit"]).await;
    let cancel = format!("/api/v3/pipelines/{}/cancel?as=somebody", pipeline.id);
    ok(server.with_token(&token, Method::POST, &cancel)).await;
    let job: Value =
        server.get(&format!("/api/v3/jobs/{}", pipeline.workflows[0].jobs[0].id)).await;
    assert!(job.to_string().contains("ana") && !job.to_string().contains("somebody"), "{job}");
}

#[tokio::test]
async fn accounts_are_added_listed_changed_and_removed() {
    let server = Harness::start().await;
    server.account("bot", Some("viewer"), &["read"]).await;
    let add = |name: &str| {
        server
            .as_admin(Method::POST, "/api/v3/users")
            .json(&json!({"name": name, "role": "member"}))
    };
    ok(add("ana")).await;
    refused(add("ana"), 409).await;
    refused(add("Ana"), 400).await;
    let role = json!({"role": "operator", "namespace": "acme"});
    let set = server.as_admin(Method::PUT, "/api/v3/users/ana/role").json(&role);
    let ana: UserItem = ok(set).await.json().await.unwrap();
    assert_eq!((ana.role, ana.namespaces["acme"]), (Some(Role::Member), Role::Operator));
    // A person makes their own tokens.
    let token = json!({"scopes": ["read"]});
    refused(server.as_admin(Method::POST, "/api/v3/users/ana/tokens").json(&token), 409).await;
    let all: Items<UserItem> = server.get("/api/v3/users").await;
    let names: Vec<_> = all.items.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["ana", "bot"]);
    ok(server.as_admin(Method::DELETE, "/api/v3/users/ana")).await;
    refused(server.as_admin(Method::GET, "/api/v3/users/ana"), 404).await;
}
