//! Webhooks made through npm's Prism, which holds each call and answer against GitHub's published description. The hooks
//! are those of its examples.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use russet_protocol::projects::HostKind;
use russet_protocol::secret::Secret;
use russet_test_skip::{Lacks, skip};

use super::{find_hook, put_hook};
use crate::clock::ManualClock;
use crate::git::GitSettings;
use crate::hosts::{ApiCredential, HostAccess, HostRoom};

struct Prism(Child);

impl Drop for Prism {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[track_caller]
fn description_folder() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let folder = cache.map(|cache| cache.join("russet-ci/github-description"));
    let folder = folder.filter(|folder| folder.join("node_modules/@stoplight/prism-cli").is_dir());
    if folder.is_none() || !russet_test_skip::has_tool("node") {
        skip(
            Lacks::Tool,
            "GitHub's description and Prism of npm are not installed (.ci/run does that)",
        );
        return None;
    }
    folder
}

/// Starts a host that answers with the examples. Returns its address.
async fn start_host(dir: &std::path::Path) -> String {
    let examples = std::fs::read(dir.join("examples.json")).unwrap();
    let examples: serde_json::Value = serde_json::from_slice(&examples).unwrap();
    let answer = move |method: Method| {
        let hooks = examples["hooks"].clone();
        let (status, body) = match method.as_str() {
            "GET" => (200, hooks),
            "POST" => (201, hooks[0].clone()),
            _ => (200, hooks[0].clone()),
        };
        std::future::ready((StatusCode::from_u16(status).unwrap(), axum::Json(body)))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// Starts Prism. Returns its address too.
async fn start_prism(folder: &std::path::Path, dir: &std::path::Path) -> (Prism, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/github_description.mjs");
    assert!(Command::new("node").arg(script).arg(folder).arg(dir).status().unwrap().success());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("node")
        .arg(folder.join("node_modules/.bin/prism"))
        .args(["proxy", "--errors", "--host", "127.0.0.1", "--port", &port.to_string()])
        .arg(dir.join("api.json"))
        .arg(start_host(dir).await)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let prism = Prism(child);
    let up = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), up).await.expect("Prism listens");
    (prism, format!("http://127.0.0.1:{port}"))
}

#[tokio::test]
async fn a_webhook_is_made_or_set_anew_by_calls_that_githubs_description_allows() {
    let Some(folder) = description_folder() else { return };
    drop(rustls::crypto::ring::default_provider().install_default());
    let dir = tempfile::tempdir().unwrap();
    let (_prism, api) = start_prism(&folder, dir.path()).await;
    let allow_to = vec!["127.0.0.1".parse().unwrap()];
    let settings = GitSettings { allow_to, ..GitSettings::default() };
    let room = HostRoom::new(&settings, Arc::new(ManualClock::new()));
    let access = HostAccess {
        kind: HostKind::Github,
        api,
        repository: "acme/app".to_owned(),
        credential: ApiCredential::Token(Secret::new("github_pat_1")),
    };
    let there = "https://example.com/webhook";
    assert_eq!(find_hook(&room, &access, there).await.unwrap(), Some(12_345_678));
    assert_eq!(
        find_hook(&room, &access, "https://ci.example/webhooks/github").await.unwrap(),
        None
    );
    for url in [there, "https://ci.example/webhooks/github"] {
        put_hook(&room, &access, url, &Secret::new("s3cret")).await.unwrap();
    }
}
