//! SSH keys of projects, and who gets them.

use reqwest::{Method, StatusCode};
use russet_protocol::admin::{Items, SshKeyItem};
use russet_protocol::task::{SshKey, TaskConfig};
use serde_json::json;

use crate::support::{CLASS, Harness, ok, refused};

const KEY: &str = include_str!("../data/ssh_key");
const SHA256: &str = include_str!("../data/ssh_key.sha256");
const MD5: &str = include_str!("../data/ssh_key.md5");

const PATH: &str = "/api/v3/projects/acme%2Fapp/ssh-keys";

/// The keys of a task with one step.
async fn keys(server: &Harness, token: &str, step: &str, from_fork: bool) -> Vec<SshKey> {
    let config = format!(
        "version: 2.1\njobs:\n  build:\n    machine: true\n    resource_class: {CLASS}\n    \
         steps: [{step}]\n"
    );
    let body = json!({"project": "acme/app", "config": config, "from_fork": from_fork});
    ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
    let agent = server.claim(token).await.unwrap();
    let config = ok(agent.call(Method::GET, "/api/v2/task/config")).await;
    config.json::<TaskConfig>().await.unwrap().ssh_keys
}

#[tokio::test]
async fn a_key_goes_to_the_tasks_that_ask_for_it_and_is_never_shown() {
    let server = Harness::start().await;
    let body = json!({"resource_class": CLASS, "description": "", "allow_forks": true});
    ok(server.as_admin(Method::POST, "/api/v3/runner/resource").json(&body)).await;
    let token = server.token().await.token.unwrap().expose().to_owned();
    let add = |body| server.as_admin(Method::POST, PATH).json(&body);
    let added = ok(add(json!({"private_key": KEY, "host": "github.com"}))).await;
    assert_eq!(added.status(), StatusCode::CREATED);
    let listed = ok(server.as_admin(Method::GET, PATH)).await.text().await.unwrap();
    assert!(listed.contains(SHA256.trim()) && !listed.contains("PRIVATE"), "{listed}");

    let all = keys(&server, &token, "add_ssh_keys", false).await;
    assert_eq!(all[0].private_key.expose(), KEY);
    assert_eq!(all[0].host.as_deref(), Some("github.com"));
    let named = |text: &str| format!("add_ssh_keys: {{fingerprints: ['{}']}}", text.trim());
    assert_eq!(keys(&server, &token, &named(MD5), false).await.len(), 1);
    assert_eq!(keys(&server, &token, &named(SHA256), false).await.len(), 1);
    assert!(keys(&server, &token, &named("aa:bb"), false).await.is_empty());
    assert!(keys(&server, &token, "run: make", false).await.is_empty());
    assert!(keys(&server, &token, "add_ssh_keys", true).await.is_empty(), "a fork gets none");

    let server = server.restart().await;
    for entry in std::fs::read_dir(server.dir.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let line = KEY.lines().nth(2).unwrap().as_bytes();
            assert!(!bytes.windows(line.len()).any(|part| part == line), "{}", path.display());
        }
    }
    let remove = |what: &str| server.as_admin(Method::DELETE, &format!("{PATH}/{what}"));
    refused(remove("aa:bb"), 404).await;
    ok(remove(MD5.trim())).await;
    let left: Items<SshKeyItem> = server.get(PATH).await;
    assert_eq!(left.items, []);
}

#[tokio::test]
async fn what_is_no_key_or_no_host_is_refused() {
    let server = Harness::start().await;
    for (key, host, why) in [
        ("hunter2", None, "OpenSSH"),
        (include_str!("../data/ssh_key_locked"), None, "passphrase"),
        (KEY, Some("a\nProxyCommand evil"), "no host"),
    ] {
        let body = json!({"private_key": key, "host": host});
        let answer = refused(server.as_admin(Method::POST, PATH).json(&body), 400).await;
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(why) && !message.contains("hunter2"), "{message}");
    }
}
