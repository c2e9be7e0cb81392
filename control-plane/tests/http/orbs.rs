//! Orbs of the server and of a project.

use reqwest::{Method, StatusCode};
use russet_protocol::admin::{Items, Orb, OrbItem, Pipeline};
use serde_json::{Value, json};

use crate::support::{Harness, ok, refused};

const CONFIG: &str = "
version: 2.1
orbs: {tools: acme/tools@1}
workflows:
  main:
    jobs: [tools/greet]
";

fn orb(text: &str) -> String {
    format!(
        "version: 2.1\njobs:\n  greet:\n    machine: true\n    resource_class: acme/mini\n    \
         steps: [run: {{name: {text}, command: echo {text}}}]\n"
    )
}

impl Harness {
    async fn put_orb(&self, version: &str, source: &str) -> StatusCode {
        let path = format!("/api/v3/orbs/acme/tools/{version}");
        let request = self.as_admin(Method::PUT, &path).json(&json!({"source": source}));
        request.send().await.unwrap().status()
    }

    /// Returns the name of the one job's step.
    async fn greeting(&self, token: &str, orbs: Value) -> String {
        let body = json!({"project": "acme/app", "config": CONFIG, "orbs": orbs});
        let response = ok(self.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
        let _pipeline: Pipeline = response.json().await.unwrap();
        let agent = self.claim(token).await.unwrap();
        let config = ok(agent.call(Method::GET, "/api/v2/task/config")).await;
        let config: Value = config.json().await.unwrap();
        config["steps"][0]["name"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_highest_version_that_fits_is_taken_and_a_project_may_bring_its_own() {
    let server = Harness::start().await;
    let token = server.class().await;
    let body = json!({"project": "acme/app", "config": CONFIG});
    let wrong = refused(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body), 422).await;
    let text = wrong["diagnostics"][0].as_str().unwrap();
    assert!(text.contains("the orb `acme/tools@1` is not there"), "{text}");
    for version in ["1.2.0", "1.10.0", "2.0.0"] {
        assert_eq!(server.put_orb(version, &orb(&format!("s{version}"))).await, 204);
    }
    assert_eq!(server.greeting(&token, json!([])).await, "s1.10.0");
    let own =
        |version: &str| json!([{"name": "acme/tools", "version": version, "source": orb("own")}]);
    assert_eq!(server.greeting(&token, own("1.10.0")).await, "own");
    assert_eq!(server.greeting(&token, own("1.3.0")).await, "s1.10.0");
}

#[tokio::test]
async fn a_version_is_never_exchanged_and_one_in_development_is() {
    let server = Harness::start().await;
    assert_eq!(server.put_orb("1.0.0", &orb("one")).await, 204);
    assert_eq!(server.put_orb("1.0.0", &orb("one")).await, 204);
    assert_eq!(server.put_orb("1.0.0", &orb("two")).await, 409);
    assert_eq!(server.put_orb("dev:first", &orb("one")).await, 204);
    assert_eq!(server.put_orb("dev:first", &orb("two")).await, 204);
    let kept: Orb = server.get("/api/v3/orbs/acme/tools/dev:first").await;
    assert_eq!(kept.source, orb("two"));
    let list: Items<OrbItem> = server.get("/api/v3/orbs").await;
    let list: Vec<&str> = list.items.iter().map(|item| item.version.as_str()).collect();
    assert_eq!(list, ["1.0.0", "dev:first"]);
    let path = "/api/v3/orbs/acme/tools/1.0.0";
    ok(server.as_admin(Method::DELETE, path)).await;
    refused(server.as_admin(Method::DELETE, path), 404).await;
    refused(server.as_admin(Method::GET, path), 404).await;
}

#[tokio::test]
async fn what_is_no_orb_is_refused_with_its_place() {
    let server = Harness::start().await;
    let put = |version: &str, source: &str| {
        let path = format!("/api/v3/orbs/acme/tools/{version}");
        server.as_admin(Method::PUT, &path).json(&json!({"source": source}))
    };
    let wrong = refused(put("1.0.0", "commands: ["), 422).await;
    assert!(wrong["diagnostics"][0].as_str().unwrap().contains("acme/tools@1.0.0:1:"), "{wrong}");
    refused(put("1.0.0", "version: 2.1\n"), 422).await;
    for version in ["1", "volatile", "x"] {
        refused(put(version, &orb("one")), 400).await;
    }
    // Without the token of the administrator there is nothing to see.
    refused(server.call(Method::GET, "/api/v3/orbs"), 404).await;
}
