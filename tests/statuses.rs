//! Statuses at commits, with the real command line, server, agent and git: a push is pending and then green at its
//! commit, although the host was away and the server was killed meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use serde_json::{Value, json};

use crate::support::command_line::CommandLine;
use crate::support::{Agent, AgentOptions, CLASS, Server, test_dir, wait_for, wait_for_within};

/// A host with as much of GitHub's API as a server needs.
#[derive(Clone, Default)]
struct Host {
    statuses: Arc<Mutex<Vec<Value>>>,
    is_away: Arc<AtomicBool>,
}

impl Host {
    /// Starts it. Returns the address of its API too.
    fn start() -> (Self, String) {
        let host = Self::default();
        let (say, listens) = std::sync::mpsc::channel();
        let keep = host.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let router = Router::new().fallback(answer).with_state(keep);
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                say.send(listener.local_addr().unwrap()).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        (host, format!("http://{}", listens.recv().unwrap()))
    }

    fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    /// States and words of each name, in the order in which they came.
    fn heard(&self) -> BTreeMap<String, Vec<String>> {
        let mut heard = BTreeMap::<String, Vec<String>>::new();
        for status in self.statuses.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let word = |name: &str| status[name].as_str().unwrap().to_owned();
            let words = format!("{}: {}", word("state"), word("description"));
            heard.entry(word("context")).or_default().push(words);
        }
        heard
    }
}

async fn answer(
    State(host): State<Host>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> (StatusCode, axum::Json<Value>) {
    if host.is_away.load(Ordering::SeqCst) {
        return (StatusCode::SERVICE_UNAVAILABLE, axum::Json(json!({})));
    }
    let mut statuses = host.statuses.lock().unwrap_or_else(PoisonError::into_inner);
    let path = uri.path();
    if method == Method::GET && path.ends_with("/statuses") {
        return (StatusCode::OK, axum::Json(statuses.iter().rev().cloned().collect()));
    }
    if method == Method::POST && path.ends_with(&"0".repeat(40)) {
        return (
            StatusCode::UNPROCESSABLE_ENTITY,
            axum::Json(json!({"message": "No commit found"})),
        );
    }
    if method == Method::POST {
        let mut status: Value = serde_json::from_slice(&body).unwrap();
        status["id"] = json!(statuses.len() + 1);
        statuses.push(status);
        return (StatusCode::CREATED, axum::Json(json!({})));
    }
    (StatusCode::OK, axum::Json(json!({})))
}

fn git(dir: &Path, words: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=Ana", "-c", "user.email=ana@example.com"])
        .args(words)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes a bare repository, and a work tree whose commits are pushed there.
fn make_repository(dir: &Path) {
    git(dir, &["init", "--quiet", "--bare", "--initial-branch=main", "app.git"]);
    git(dir, &["init", "--quiet", "--initial-branch=main", "work"]);
    let work = dir.join("work");
    git(&work, &["remote", "add", "origin", "../app.git"]);
    std::fs::create_dir(work.join(".circleci")).unwrap();
    let config = json!({
        "version": 2.1,
        "jobs": {"test": {"machine": true, "resource_class": CLASS, "steps": ["checkout", {"run": "true"}]}},
        "workflows": {"build": {"jobs": ["test"]}},
    });
    std::fs::write(work.join(".circleci/config.yml"), config.to_string()).unwrap();
    push(dir, "first");
}

fn push(dir: &Path, message: &str) {
    let work = dir.join("work");
    git(&work, &["add", "--all"]);
    git(&work, &["commit", "--quiet", "--allow-empty", "-m", message]);
    git(&work, &["push", "--quiet", "origin", "main"]);
}

#[test]
fn a_push_is_pending_and_then_green_at_its_commit_whoever_is_away_meanwhile() {
    let (host, api) = Host::start();
    let mut server = Server::start_with(&[
        "--allow-git-file",
        "--allow-git-http",
        "--allow-git-to",
        "127.0.0.1",
    ]);
    let class_token = server.admin.class_token(CLASS);
    let dir = test_dir();
    make_repository(dir.path());
    std::fs::write(dir.path().join("token"), server.admin.token()).unwrap();
    std::fs::write(dir.path().join("git-token"), "github_pat_1").unwrap();
    let url = format!("file://{}/app.git", dir.path().display());
    let add = ["project", "add", &url, "--name", "acme/app", "--host", "github", "--api-url", &api];
    let add = [&add[..], &["--git-token-file", "git-token"]].concat();
    let said = CommandLine::new(&server, dir.path()).succeed(&add);
    assert!(said.contains("(GitHub)") && !said.contains("note:"), "{said}");
    let show = |server: &Server| {
        CommandLine::new(server, dir.path()).succeed(&["project", "show", "acme/app"])
    };
    wait_for("the baseline", || show(&server).contains("last poll").then_some(()));

    push(dir.path(), "second");
    CommandLine::new(&server, dir.path()).succeed(&["project", "poll", "acme/app"]);
    let of_job = "ci/russet: build / test";
    wait_for("a pending status", || host.heard().contains_key(of_job).then_some(()));
    assert_eq!(host.heard()[of_job], ["pending: Queued"]);

    host.set_away(true);
    let _agent = Agent::start_at(server.url(), &class_token, &AgentOptions::default());
    wait_for("the end of the job, of which the host does not hear", || {
        let text = show(&server);
        (text.contains("success: Succeeded") && text.contains("503")).then_some(())
    });
    server.kill();
    server.start_again();
    host.set_away(false);
    let is_green =
        |words: &Vec<String>| words.last().unwrap().starts_with("success: Succeeded in ");
    // A server that is killed within a call has it for a minute.
    wait_for_within(Duration::from_secs(180), "green statuses", || {
        let heard = host.heard();
        (heard.len() == 2 && heard.values().all(is_green)).then_some(())
    });
    for (context, words) in host.heard() {
        let mut distinct = words.clone();
        distinct.dedup();
        assert_eq!(words, distinct, "{context}");
    }
    wait_for("all are sent", || {
        let text = show(&server);
        let table = text.split("STATUS").nth(1)?;
        (!table.contains("soon") && !table.contains("again")).then_some(())
    });
}
