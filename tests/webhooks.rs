//! Webhooks of GitHub as people and GitHub see them: the real server and command line, a real repository, and
//! signatures by `@octokit/webhooks-methods` of npm, which `.ci/run` installs.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::command_line::CommandLine;
use crate::support::{Lacks, Server, checkout, has_tool, skip, wait_for};

const CONFIG: &str = "version: 2.1\njobs:\n  build: {machine: true, resource_class: acme/mini, steps: [run: make]}\n\
                      workflows: {main: {jobs: [build]}}\n";

/// Returns the folder of the packages; a test without them is listed as skipped.
#[track_caller]
fn octokit() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let folder = cache.map(|cache| cache.join("russet-ci/github-webhooks"));
    let folder =
        folder.filter(|folder| folder.join("node_modules/@octokit/webhooks-methods").is_dir());
    if folder.is_none() || !has_tool("node") || !has_tool("curl") {
        skip(Lacks::Tool, "@octokit/webhooks-methods of npm is not installed (.ci/run does that)");
        return None;
    }
    folder
}

fn git(dir: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ana", "-c", "user.email=ana@example.com"])
        .args(words)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository, a server with its project, and GitHub's part.
struct Scene {
    server: Server,
    dir: tempfile::TempDir,
    octokit: PathBuf,
    secret: String,
}

impl Scene {
    fn new(octokit: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "app.git"]);
        git(dir.path(), &["init", "--quiet", "--initial-branch=main", "work"]);
        std::fs::create_dir(dir.path().join("work/.circleci")).unwrap();
        std::fs::write(dir.path().join("work/.circleci/config.yml"), CONFIG).unwrap();
        let options = ["--allow-git-file", "--public-url", "https://ci.example.com"];
        let why = "repositories of its own machine are of one server";
        let server = Server::start_alone(why, &options);
        std::fs::write(dir.path().join("token"), server.admin.token()).unwrap();
        let mut scene = Self { server, dir, octokit, secret: String::new() };
        scene.push("main", "first");
        scene.ok(&["resource-class", "create", "acme/mini"]);
        scene.ok(&["project", "add", &scene.url(), "--name", "acme/app", "--poll", "24h"]);
        scene.wait("the baseline", |of| of["has_baseline"] == true);
        let setup = scene.ok(&["project", "webhook", "acme/app", "--output", "json"]);
        let setup: Value = serde_json::from_str(&setup).unwrap();
        assert_eq!(setup["url"], "https://ci.example.com/webhooks/github");
        scene.secret = setup["secret"].as_str().unwrap().to_owned();
        scene
    }

    fn url(&self) -> String {
        format!("file://{}/app.git", self.dir.path().display())
    }

    fn ok(&self, args: &[&str]) -> String {
        CommandLine::new(&self.server, self.dir.path()).succeed(args)
    }

    /// Commits and pushes. Returns the commits before and after.
    fn push(&self, to: &str, message: &str) -> (String, String) {
        let work = self.dir.path().join("work");
        let head = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(&work).output();
        let head = String::from_utf8(head.unwrap().stdout).unwrap();
        git(&work, &["add", "--all"]);
        git(&work, &["commit", "--quiet", "--allow-empty", "-m", message]);
        git(&work, &["push", "--quiet", "--force", "../app.git", &format!("HEAD:{to}")]);
        (head.trim().to_owned(), git(&work, &["rev-parse", "HEAD"]))
    }

    fn wait(&self, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || {
            let text = self.ok(&["project", "show", "acme/app", "--output", "json"]);
            let of: Value = serde_json::from_str(&text).unwrap();
            done(&of).then_some(of)
        })
    }

    /// Waits until the newest trigger is of a commit and in a state.
    fn wait_for_trigger(&self, revision: &str, state: &str) -> Value {
        let is_it = |of: &&Value| of["revision"] == revision && of["state"] == state;
        let of =
            self.wait(state, |of| of["triggers"].as_array().unwrap().iter().any(|it| is_it(&it)));
        of["triggers"].as_array().unwrap().iter().find(is_it).unwrap().clone()
    }

    /// Delivers as GitHub does. Returns the status, 0 where nobody answers.
    fn deliver(&self, event: &str, id: &str, payload: &Value) -> u32 {
        let mut payload = payload.clone();
        payload["repository"] = json!({"id": 1, "clone_url": self.url()});
        let body = payload.to_string();
        let file = self.dir.path().join("body.json");
        std::fs::write(&file, &body).unwrap();
        let asked = json!({"secret": self.secret, "body": body}).to_string();
        let script = checkout().join("control-plane/tests/data/sign_webhooks.mjs");
        let mut signer = Command::new("node");
        signer.arg(script).arg(&self.octokit);
        let signed = assert_cmd::Command::from(signer).write_stdin(format!("{asked}\n")).output();
        let signature: Value = serde_json::from_slice(&signed.unwrap().stdout).unwrap();
        let output = Command::new("curl")
            .args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"])
            .args(["--header", "content-type: application/json"])
            .args(["--header", &format!("x-github-event: {event}")])
            .args(["--header", &format!("x-github-delivery: {id}")])
            .args(["--header", &format!("x-hub-signature-256: {}", signature.as_str().unwrap())])
            .arg("--data-binary")
            .arg(format!("@{}", file.display()))
            .arg(format!("{}/webhooks/github", self.server.url()))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().parse().unwrap()
    }
}

fn push_of(before: &str, after: &str) -> Value {
    json!({"ref": "refs/heads/main", "before": before, "after": after, "head_commit": {"id": after}})
}

#[test]
fn a_push_is_built_by_a_webhook_and_once_after_a_server_that_was_killed() {
    let Some(octokit) = octokit() else { return };
    let mut scene = Scene::new(octokit);
    let (before, after) = scene.push("main", "second");
    assert_eq!(scene.deliver("push", "d-1", &push_of(&before, &after)), 200);
    scene.wait_for_trigger(&after, "built");
    // A server that was killed has no answer: the same delivery comes again later.
    let (before, after) = scene.push("main", "third");
    let payload = push_of(&before, &after);
    scene.server.kill();
    assert_eq!(scene.deliver("push", "d-2", &payload), 0);
    scene.server.start_again();
    assert_eq!(scene.deliver("push", "d-2", &payload), 200);
    scene.wait_for_trigger(&after, "built");
    assert_eq!(scene.deliver("push", "d-2", &payload), 200);
    let again = scene.ok(&["project", "redeliver", "acme/app", "d-2"]);
    assert_eq!(again, "noted: it was heard of already\n");
    let of = scene.wait("the triggers", |_| true);
    assert_eq!(of["triggers"].as_array().unwrap().len(), 2, "{of}");
    let list = scene.ok(&["project", "deliveries", "acme/app"]);
    assert!(list.contains("d-1") && list.contains("push") && list.contains("noted"), "{list}");
    let secret = std::mem::replace(&mut scene.secret, "a secret of another".to_owned());
    assert_eq!(scene.deliver("push", "d-3", &payload), 401);
    scene.secret = secret;
    let off = scene.ok(&["project", "webhook", "acme/app", "--off"]);
    assert_eq!(off, "No webhooks are taken of acme/app any more.\n");
    assert_eq!(scene.deliver("push", "d-4", &payload), 401);
}

#[test]
fn a_commit_of_a_fork_is_shown_until_somebody_lets_it_through() {
    let Some(octokit) = octokit() else { return };
    let scene = Scene::new(octokit);
    let shown = scene.ok(&["project", "settings", "set", "acme/app", "--forks", "approve"]);
    assert!(shown.contains("approve"), "{shown}");
    let (base, head) = scene.push("refs/pull/7/head", "from a fork");
    let pull = json!({"action": "opened", "pull_request": {
        "number": 7,
        "head": {"ref": "main", "sha": head, "repo": {"id": 2, "name": "app"}},
        "base": {"ref": "main", "sha": base, "repo": {"id": 1}},
    }});
    assert_eq!(scene.deliver("pull_request", "d-1", &pull), 200);
    let held = scene.wait_for_trigger(&head, "held");
    let id = held["id"].as_str().unwrap();
    let shown = scene.ok(&["project", "show", "acme/app"]);
    let command = format!("russet project approve acme/app {id}");
    assert!(shown.contains("needs approval") && shown.contains(&command), "{shown}");
    assert!(shown.contains("pull/7"), "{shown}");
    let said = scene.ok(&["project", "approve", "acme/app", id, "--yes"]);
    assert!(said.contains(&head), "{said}");
    let built = scene.wait_for_trigger(&head, "built");
    assert_eq!((&built["from_fork"], &built["approved_by"]), (&json!(true), &json!("admin")));
}
